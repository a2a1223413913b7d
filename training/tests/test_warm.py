from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Trained, make_vae

from latentbit_training import bundle, config, export, golden, train_tokenizer, train_vae
from latentbit_training.config import BundleConfig, VaeConfig
from latentbit_training.init import init_near_linear
from latentbit_training.tokenizer import Tokenizer
from latentbit_training.vae import WanVae
from latentbit_training.warm import past_of, warm_start_tokenizer, warm_start_vae, with_blocks

# tiny has (1, 1, 1) blocks in its encoder and (1, 1, 2) in its decoder.
GROWN = with_blocks(config.tiny(), [3, 1, 2], [2, 4, 3])
# tiny's first kernels see 3 frames in all stages.
LONGER = with_blocks(config.tiny(), None, [1, 2, 2], [5, 3, 4])


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Path, WanVae]:
    """A VAE of random weights, and a bundle of it."""
    vae = make_vae("tiny")
    bundle.save(tmp_path / "vae.safetensors", BundleConfig("vae", vae.config), vae, None, "f32")
    return tmp_path / "vae.safetensors", vae


def fresh(vae_config: VaeConfig) -> WanVae:
    model = WanVae(vae_config).eval().requires_grad_(False)
    golden.stir(model)
    init_near_linear(model)
    return model


@pytest.mark.parametrize("grown", [config.tiny(), GROWN, LONGER])
def test_a_grown_vae_computes_the_same(stored: tuple[Path, WanVae], grown: VaeConfig) -> None:
    path, vae = stored
    model = fresh(grown)
    clip = torch.rand(2, 3, 9, 16, 24) * 2 - 1
    assert not torch.equal(model.encode(clip), vae.encode(clip))
    warm_start_vae(model, path)
    latent = vae.encode(clip)
    # Longer kernels sum the same numbers in another order.
    assert torch.allclose(model.encode(clip), latent, atol=1e-5)
    assert torch.allclose(model.decode(latent), vae.decode(latent), atol=1e-5)


def test_a_vae_with_more_latent_channels_computes_the_same_at_first(tmp_path: Path) -> None:
    plain = replace(config.tiny(), moments=False)
    vae = fresh(plain)
    bundle.save(tmp_path / "vae.safetensors", BundleConfig("vae", plain), vae, None, "f32")
    model = fresh(replace(plain, latent_channels=7))
    warm_start_vae(model, tmp_path / "vae.safetensors")
    clip = torch.rand(1, 3, 9, 16, 24) * 2 - 1
    latent = model.encode(clip)
    assert torch.allclose(latent[:, :4], vae.encode(clip), atol=1e-5)
    assert latent[:, 4:].std() > 0.1
    assert torch.allclose(model.decode(latent), vae.decode(latent[:, :4]), atol=1e-5)


def test_moments_cannot_be_widened(stored: tuple[Path, WanVae]) -> None:
    with pytest.raises(ValueError, match="latent_channels is 4 there and 7 here"):
        warm_start_vae(WanVae(replace(config.tiny(), latent_channels=7)), stored[0])


def test_a_grown_vae_with_shortcuts_computes_the_same(tmp_path: Path) -> None:
    vae = make_vae("tiny22")
    bundle.save(tmp_path / "vae.safetensors", BundleConfig("vae", vae.config), vae, None, "f32")
    model = fresh(with_blocks(config.tiny22(), [2, 1, 3, 1], [1, 2, 1, 3]))
    warm_start_vae(model, tmp_path / "vae.safetensors")
    clip = torch.rand(1, 3, 5, 32, 48) * 2 - 1
    latent = vae.encode(clip)
    assert torch.allclose(model.encode(clip), latent, atol=1e-5)
    assert torch.allclose(model.decode(latent), vae.decode(latent), atol=1e-5)


def test_a_middle_may_be_put_in(tmp_path: Path) -> None:
    vae = WanVae(replace(config.tiny(), mid_blocks=0, mid_attention=False)).eval().requires_grad_(False)
    golden.stir(vae)
    bundle.save(tmp_path / "vae.safetensors", BundleConfig("vae", vae.config), vae, None, "f32")
    model = fresh(config.tiny())
    assert len(model.encoder.middle) == 3
    warm_start_vae(model, tmp_path / "vae.safetensors")
    clip = torch.rand(1, 3, 5, 16, 24) * 2 - 1
    latent = vae.encode(clip)
    assert torch.allclose(model.encode(clip), latent, atol=1e-5)
    assert torch.allclose(model.decode(latent), vae.decode(latent), atol=1e-5)


def test_new_blocks_come_last_and_learn(stored: tuple[Path, WanVae]) -> None:
    path, vae = stored
    model = fresh(GROWN)
    warm_start_vae(model, path)
    old, new = vae.state_dict(), model.state_dict()
    # Encoder: one block, then the first resampling, which two new blocks have pushed back.
    assert torch.equal(new["encoder.downsamples.3.time_conv.weight"], old["encoder.downsamples.1.time_conv.weight"])
    key = "encoder.downsamples.{}.residual.{}.weight"
    assert torch.equal(new[key.format(0, 6)], old[key.format(0, 6)])
    for index in (1, 2):
        assert new[key.format(index, 6)].abs().max() == 0
        assert new[key.format(index, 2)].abs().min() > 0
    model.requires_grad_(True)
    clip = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    (model.decode(model.encode(clip)) - clip).square().mean().backward()
    for name, parameter in model.named_parameters():
        if ".residual.6." in name:
            assert parameter.grad is not None
            assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(("change", "message"), [
    ({"latent_channels": 8}, "latent_channels is 4 there and 8 here"),
    ({"mid_blocks": 3}, "mid_blocks is 2 there and 3 here"),
    ({"stages": config.tiny().stages[:2]}, "it has 3 stages, not 2"),
    ({"stages": (replace(config.tiny().stages[0], channels=12), *config.tiny().stages[1:])},
     "stage 0: channels is 8 there and 12 here"),
    ({"stages": with_blocks(config.tiny(), None, [1, 1, 1]).stages},
     "stage 2 has 2 decoder_blocks there and only 1 here"),
    ({"stages": with_blocks(config.tiny(), None, None, [3, 1, 3]).stages},
     r"stage 1 has kernels of \(3, 3, 3\) there and \(1, 3, 3\) here"),
])
def test_a_vae_that_does_not_fit_is_refused(
    stored: tuple[Path, WanVae], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=rf"vae\.safetensors does not fit: {message}"):
        warm_start_vae(WanVae(replace(config.tiny(), **change)), stored[0])


def test_a_new_block_that_changes_the_channels_is_refused(tmp_path: Path) -> None:
    # Without a block in its second stage the bundle's encoder stays narrow until the third one.
    narrow = with_blocks(config.tiny(), [1, 0, 1], None)
    bundle.save(tmp_path / "a.safetensors", BundleConfig("a", narrow), WanVae(narrow), None, "f32")
    with pytest.raises(ValueError, match=r"encoder\.downsamples\.2 changes the channels"):
        warm_start_vae(WanVae(config.tiny()), tmp_path / "a.safetensors")


def test_number_of_blocks() -> None:
    assert with_blocks(config.tiny(), None, None) == config.tiny()
    assert [stage.encoder_blocks for stage in GROWN.stages] == [3, 1, 2]
    assert [stage.decoder_blocks for stage in GROWN.stages] == [2, 4, 3]
    for counts in ([1, 1], [1, 1, -1]):
        with pytest.raises(ValueError, match="3 numbers of at least 0 are needed"):
            with_blocks(config.tiny(), counts, None)
    with pytest.raises(ValueError, match="3 numbers of at least 1 are needed"):
        with_blocks(config.tiny(), None, None, [1, 0, 1])
    assert [stage.kernels[0] for stage in LONGER.stages] == [(5, 3, 3), (3, 3, 3), (4, 1, 1)]


def test_tokenizer(make_tokenizer: Callable[..., Tokenizer], tmp_path: Path) -> None:
    vae, tokenizer = make_vae("tiny"), make_tokenizer()
    whole, alone = tmp_path / "whole.safetensors", tmp_path / "alone.safetensors"
    bundle.save(whole, BundleConfig("whole", vae.config, tokenizer.config), vae, tokenizer, "f32")
    bundle.save(alone, BundleConfig("alone", vae.config), vae, None, "f32")
    model = make_tokenizer(window=None)
    warm_start_tokenizer(model, whole)
    assert all(torch.equal(value, tokenizer.state_dict()[name]) for name, value in model.state_dict().items())
    fewer = make_tokenizer(bits=4)
    warm_start_tokenizer(fewer, whole)
    latent = torch.randn(1, 4, 2, 4, 4)
    assert torch.allclose(fewer.encode(latent)[0], tokenizer.encode(latent)[0][..., :4], atol=1e-6)
    with pytest.raises(ValueError, match="bits is 10 there and 12 here"):
        warm_start_tokenizer(make_tokenizer(bits=12), whole)
    with pytest.raises(ValueError, match="holds no tokenizer"):
        warm_start_tokenizer(make_tokenizer(), alone)


def test_a_depth_head_may_come_and_go(make_tokenizer: Callable[..., Tokenizer], tmp_path: Path) -> None:
    vae, plain, headed = make_vae("tiny"), make_tokenizer(), make_tokenizer(depth_step=2)
    assert headed.depth_head is not None
    trained = headed.depth_head.weight.data.normal_()
    for name, tokenizer in (("plain", plain), ("headed", headed)):
        whole = BundleConfig(name, vae.config, tokenizer.config)
        bundle.save(tmp_path / f"{name}.safetensors", whole, vae, tokenizer, "f32")
    latent = torch.randn(1, 4, 2, 4, 4)

    gone = make_tokenizer()
    warm_start_tokenizer(gone, tmp_path / "headed.safetensors")
    assert torch.equal(gone.encode(latent)[0], headed.encode(latent)[0])

    new = make_tokenizer(depth_step=2)
    fresh = new.state_dict()["depth_head.bias"].clone()
    warm_start_tokenizer(new, tmp_path / "plain.safetensors")
    assert torch.equal(new.encode(latent)[0], plain.encode(latent)[0])
    assert torch.equal(new.state_dict()["depth_head.bias"], fresh)

    # Of depths 0, 4, 8 the first head knew all, of 10 too.
    other = make_tokenizer(depth_step=4)
    warm_start_tokenizer(other, tmp_path / "headed.safetensors")
    assert torch.equal(other.state_dict()["depth_head.weight"], trained[[0, 2, 4, 5]])


def test_weights_files_of_the_recipe(
    trained: Trained, make_tokenizer: Callable[..., Tokenizer]
) -> None:
    vae, tokenizer = WanVae(config.tiny()), make_tokenizer()
    warm_start_vae(vae, trained.vae / "vae.pt")
    warm_start_tokenizer(tokenizer, trained.tokenizer / "tokenizer.pt")
    for model, path in ((vae, trained.vae / "vae.pt"), (tokenizer, trained.tokenizer / "tokenizer.pt")):
        state = torch.load(path, weights_only=False)["state"]
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match="holds a TokenizerConfig, not a VaeConfig"):
        warm_start_vae(vae, trained.tokenizer / "tokenizer.pt")
    with pytest.raises(ValueError, match="is no weights file"):
        warm_start_vae(vae, trained.vae / "checkpoint.pt")


def test_both_trainings_start_from_what_they_are_given(trained: Trained, tmp_path: Path) -> None:
    command = [*trained.vae_command, "--out", str(tmp_path / "vae"), "--steps", "1", "--rate", "1e-6"]
    command += ["--init", str(trained.vae / "vae.pt"), "--decoder-blocks", "2", "1", "2"]
    vae = train_vae.main(command)
    assert [stage.decoder_blocks for stage in vae.config.stages] == [2, 1, 2]
    old = torch.load(trained.vae / "vae.pt", weights_only=False)["state"]
    torch.testing.assert_close(vae.state_dict()["conv1.weight"], old["conv1.weight"], atol=1e-5, rtol=0)
    # A resumed run needs its first weights no more.
    train_vae.main([*command, "--steps", "2", "--init", str(tmp_path / "gone.pt")])

    old = torch.load(trained.tokenizer / "tokenizer.pt", weights_only=False)["state"]
    tokenizer_command = [*trained.tokenizer_command, "--steps", "1", "--rate", "1e-6"]
    tokenizer = train_tokenizer.main([
        *tokenizer_command, "--out", str(tmp_path / "tokenizer"), "--init", str(trained.tokenizer / "tokenizer.pt"),
    ])
    for name, value in tokenizer.state_dict().items():
        torch.testing.assert_close(value, old[name], atol=1e-5, rtol=0)

    # A bundle tells how long its weights were trained in all, and so does what starts from it.
    whole = tmp_path / "whole.safetensors"
    export.main(["--name", "whole", "--vae", str(tmp_path / "vae" / "vae.pt"), "--tokenizer",
                 str(tmp_path / "tokenizer" / "tokenizer.pt"), "--out", str(whole)])
    past = bundle.load(whole)[0].training
    assert (past["vae"]["steps"], past["tokenizer"]["steps"]) == (42, 13)
    minutes = [torch.load(run / "vae.pt", weights_only=False)["minutes"] for run in (trained.vae, tmp_path / "vae")]
    assert past["vae"]["minutes"] == pytest.approx(sum(minutes), abs=0.06)
    train_tokenizer.main([*tokenizer_command, "--out", str(tmp_path / "again"), "--init", str(whole)])
    stored = torch.load(tmp_path / "again" / "tokenizer.pt", weights_only=False)
    assert past_of(stored)["steps"] == 14
