from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Trained

from latentbit_training import latents, train_tokenizer
from latentbit_training.data import load, to_unit
from latentbit_training.latents import LatentSampler, aligned, frozen, sensitivity


@pytest.fixture(scope="module")
def stored(trained: Trained, cached: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The latents of `cached`."""
    out = tmp_path_factory.mktemp("latents")
    latents.main(["--cache", str(cached), "--vae", str(trained.vae / "vae.pt"), "--out", str(out), "--device", "cpu"])
    return out


def test_whole_positions() -> None:
    assert aligned(np.zeros((20, 19, 9, 3), np.uint8), (4, 8, 8)).shape == (17, 16, 8, 3)
    assert aligned(np.zeros((1, 7, 9, 3), np.uint8), (4, 8, 8)).size == 0


def test_latents_are_those_of_the_frozen_vae(trained: Trained, cached: Path, stored: Path) -> None:
    vae = frozen(trained.vae / "vae.pt", "int8")
    for kind in ("images", "videos"):
        pictures, found = load(cached, kind), load(stored, kind, np.float16)
        assert len(pictures) == len(found)
        for picture, latent in zip(pictures, found, strict=True):
            assert picture.weight == latent.weight
            frames = aligned(picture.frames, vae.config.strides)
            both = []
            for view in (frames, frames[:, :, ::-1]):
                with torch.no_grad():
                    expected = vae.normalize(vae.encode(to_unit(view)[None]))[0].permute(1, 2, 3, 0)
                both.append(float((torch.from_numpy(np.array(latent.frames)).float() - expected).abs().max()))
            assert min(both) < 0.05 * float(expected.abs().max())


def test_batches(stored: Path) -> None:
    sampler = LatentSampler(stored, 1)
    assert sampler.image_batch(3, 4).shape == (3, 4, 1, 4, 4)
    # 20 frames are 5 latent frames: two chunks of 2.
    clips = sampler.clip_batch(8, 2, 5)
    assert clips.shape == (8, 4, 2, 5, 5)
    frames = torch.from_numpy(np.array(sampler.videos[0].frames)).float()
    means = [frames[start : start + 2].mean((1, 2)).T for start in (0, 2)]
    for clip in clips:
        # The clip is of one colour in each frame, so a crop tells which chunk it is.
        assert min(float((clip.mean((2, 3)) - mean).abs().max()) for mean in means) < 0.5
    assert torch.equal(LatentSampler(stored, 1).image_batch(3, 4), LatentSampler(stored, 1).image_batch(3, 4))
    with pytest.raises(ValueError, match="smaller size"):
        sampler.image_batch(1, 999)


def test_the_first_phase_takes_them(trained: Trained, stored: Path, tmp_path: Path) -> None:
    command = [*trained.tokenizer_command, "--latents", str(stored), "--out", str(tmp_path), "--steps", "10"]
    train_tokenizer.main([*command, "--pixel-start", "0.5", "--clip-chunks", "1"])
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [any(key.endswith("pixel_mse") for key in line) for line in log[1:11]] == [False] * 5 + [True] * 5
    assert all(any(key.endswith("latent_mse") for key in line) for line in log[1:11])


def test_sensitivity_is_what_a_channel_means_for_pixels(trained: Trained) -> None:
    vae = frozen(trained.vae / "vae.pt", "int8")
    latent = torch.randn(2, 4, 1, 6, 6)
    found = sensitivity(vae, latent)
    assert found.shape == (1, 4, 1, 1, 1)
    # The error of all channels at once is the sum of what each means.
    before = vae.decode(vae.denormalize(latent))
    after = vae.decode(vae.denormalize(latent + 0.3 * torch.randn(latent.shape)))
    assert float((after - before).square().mean()) == pytest.approx(float(found.sum()) * 0.3**2, rel=0.3)
    # A channel that the decoder does not see means nothing.
    vae.conv2.weight[:, 2] = 0
    assert float(sensitivity(vae, latent)[0, 2]) == 0
