"""The VAE alone: our own, and weights as diffusers writes them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

import latentbit
from conftest import TINY_BUNDLE, clip


@pytest.fixture(scope="module")
def vae() -> latentbit.Vae:
    return latentbit.Vae(latentbit.Bundle(TINY_BUNDLE, dtype="f32"))


def test_latents_hold_what_tokens_are_made_of(vae: latentbit.Vae) -> None:
    frames = clip(17)
    latents = vae.encode(frames)
    assert latents.shape == (vae.channels, 5, 4, 6)
    assert latents.dtype == np.float32
    back = vae.decode(latents)
    assert back.shape == frames.shape
    assert back.dtype == np.uint8
    assert vae.decode(latents, frames=15, width=23, height=15).shape == (15, 15, 23, 3)
    signed = vae.decode(latents, value_range="-1..1", layout="CTHW")
    assert signed.shape == (3, 17, 16, 24)
    np.testing.assert_allclose((signed + 1) * 127.5, back.transpose(3, 0, 1, 2), atol=0.51)
    with pytest.raises(ValueError, match="at most the 17"):
        vae.decode(latents, frames=18)
    for wrong, match in (
        (latents[1:], "channels"),
        (latents[0], "expected"),
        (np.where(latents == latents.max(), np.nan, latents), "NaN"),
        ([], "none to decode"),
    ):
        with pytest.raises(ValueError, match=match):
            vae.decode(wrong)
    with pytest.raises(TypeError, match="floats"):
        vae.decode(latents.astype(np.int32))


def test_scales_are_apart_by_mean_and_deviation() -> None:
    bundle = latentbit.Bundle(dtype="f32")
    raw, normalised = (latentbit.Vae(bundle, scale=scale) for scale in ("raw", "normalised"))
    frames = clip(5, height=32, width=32)
    given = normalised.encode(frames)
    np.testing.assert_allclose(
        raw.encode(frames), given * raw.std[:, None, None, None] + raw.mean[:, None, None, None], rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        normalised.decode(given, floats=True), raw.decode(raw.encode(frames), floats=True), atol=1e-4
    )
    with pytest.raises(ValueError, match="raw, normalised"):
        latentbit.Vae(bundle, scale="normal")


def test_pieces_make_the_whole(vae: latentbit.Vae) -> None:
    frames = clip(45)
    whole = vae.encode(frames)
    pieces = list(vae.latents(frame for frame in frames))
    assert len(pieces) > 1
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=1e-5)
    back = vae.decode(whole, floats=True)
    for step in (1, 3, 5):
        parts = [whole[:, at : at + step] for at in range(0, whole.shape[1], step)]
        np.testing.assert_allclose(vae.decode(iter(parts), floats=True), back, atol=1e-5)
    given = 0

    def parts_of() -> Iterator[npt.NDArray[Any]]:
        nonlocal given
        for at in range(whole.shape[1]):
            given += 1
            yield whole[:, at : at + 1]

    assert next(vae.frames(parts_of())).shape == (16, 24, 3)
    assert given == 1


def test_videos_of_a_batch_are_what_each_is_alone(vae: latentbit.Vae) -> None:
    videos = np.stack([np.roll(clip(9), shift, axis=2) for shift in range(3)])
    latents = vae.encode(torch.from_numpy(videos))
    assert latents.shape[0] == 3
    frames = vae.decode(latents, floats=True)
    for number in range(3):
        np.testing.assert_allclose(latents[number], vae.encode(videos[number]), atol=1e-5)
        np.testing.assert_allclose(frames[number], vae.decode(latents[number], floats=True), atol=1e-5)


def test_a_bundle_goes_to_other_processes(vae: latentbit.Vae) -> None:
    other = pickle.loads(pickle.dumps(vae.bundle))
    assert (other.sha256, other.dtype, other.path) == (vae.bundle.sha256, "f32", TINY_BUNDLE)
    assert pickle.loads(pickle.dumps(latentbit.Bundle())).path is None


WAN_SIZES: dict[str, dict[str, Any]] = {
    "2.1": {"base_dim": 16, "z_dim": 16},
    "2.2": {
        "base_dim": 16, "decoder_base_dim": 24, "z_dim": 48, "is_residual": True, "patch_size": 2, "in_channels": 12,
        "out_channels": 12, "scale_factor_spatial": 16, "temperal_downsample": [False, True, True],
        "latents_mean": [0.1] * 48, "latents_std": [1.5] * 48,
    },
}


@pytest.mark.parametrize("version", WAN_SIZES)
def test_we_stand_in_for_the_vae_of_diffusers(version: str, tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    from latentbit.diffusers import LatentBitVae

    torch.manual_seed(5)
    theirs = diffusers.AutoencoderKLWan(**WAN_SIZES[version]).eval()
    theirs.save_pretrained(tmp_path / "vae")
    ours = LatentBitVae(tmp_path, dtype="f32")
    for name in ("z_dim", "latents_mean", "latents_std", "scale_factor_temporal", "scale_factor_spatial"):
        assert getattr(ours.config, name) == pytest.approx(getattr(theirs.config, name)), name
    frames = torch.from_numpy(
        np.stack([clip(9, 32, 48), np.roll(clip(9, 32, 48), 3, 1)]).astype(np.float32).transpose(0, 4, 1, 2, 3)
    ) / 127.5 - 1
    with torch.no_grad():
        expected = theirs.encode(frames).latent_dist.mode()
        found = ours.encode(frames).latent_dist.mode()
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
        torch.testing.assert_close(ours.encode(frames).latent_dist.sample(), found)
        # The pipeline's own call.
        back = ours.decode(expected, return_dict=False)[0]
        torch.testing.assert_close(back, theirs.decode(expected, return_dict=False)[0], rtol=1e-3, atol=2e-3)
        assert ours(frames).sample.shape == frames.shape


def test_a_pipeline_takes_it(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    from latentbit.diffusers import LatentBitVae

    torch.manual_seed(0)
    theirs = diffusers.AutoencoderKLWan(base_dim=8, z_dim=16).eval()
    theirs.save_pretrained(tmp_path)
    transformer = diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16,
        text_dim=32, freq_dim=16, ffn_dim=32, num_layers=1, cross_attn_norm=True, qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )
    made = []
    for vae in (theirs, LatentBitVae(tmp_path, dtype="f32")):
        pipe = diffusers.WanPipeline(
            tokenizer=None, text_encoder=None, vae=vae, transformer=transformer,
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
        )
        pipe.set_progress_bar_config(disable=True)
        words = torch.zeros(1, 16, 32)
        made.append(
            pipe(
                prompt_embeds=words, negative_prompt_embeds=words, height=32, width=32, num_frames=9,
                num_inference_steps=2, output_type="np", generator=torch.Generator().manual_seed(1),
            ).frames
        )
    np.testing.assert_allclose(made[0], made[1], atol=3e-3)
