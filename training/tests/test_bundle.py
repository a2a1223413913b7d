from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import make_vae
from safetensors import safe_open
from torch import Tensor, nn

from latentbit_training import bundle
from latentbit_training.config import BundleConfig
from latentbit_training.tokenizer import Tokenizer


def weights(module: nn.Module | None) -> dict[str, Tensor]:
    assert module is not None
    return module.state_dict()


@pytest.mark.parametrize("storage", bundle.STORAGES)
def test_round_trip(storage: str, tmp_path: Path, make_tokenizer: Callable[..., Tokenizer]) -> None:
    vae, tokenizer = make_vae("tiny"), make_tokenizer()
    config = BundleConfig("test", vae.config, tokenizer.config, {"vae": {"steps": 3}})
    bundle.save(tmp_path / "b.safetensors", config, vae, tokenizer, storage)
    stored_config, stored_vae, stored_tokenizer = bundle.load(tmp_path / "b.safetensors")
    assert stored_config == config
    for before, after in ((weights(vae), weights(stored_vae)), (weights(tokenizer), weights(stored_tokenizer))):
        assert list(before) == list(after)
        for name, weight in before.items():
            error = (after[name] - weight).abs()
            assert after[name].dtype == torch.float32
            if weight.ndim == 1 or storage == "f32":
                assert not error.any()
            elif storage in bundle.HALVES:
                # Below its normal numbers f16 has steps of 2^-24.
                assert bool((error <= weight.abs() * (2**-8 if storage == "bf16" else 2**-11) + 2**-25).all())
                assert error.any()
            else:
                half_step = weight.flatten(1).abs().amax(1) / 254
                assert bool((error.flatten(1).amax(1) <= half_step * (1 + 1e-5)).all())
                assert error.any()


def test_int8_is_what_is_stored(tmp_path: Path) -> None:
    vae = make_vae("tiny")
    path = tmp_path / "b.safetensors"
    bundle.save(path, BundleConfig("test", vae.config), vae, None, "int8")
    with safe_open(str(path), "pt") as file:
        weight, scale = file.get_tensor("vae.conv2.weight"), file.get_tensor("vae.conv2.weight.scale")
        assert file.get_tensor("vae.conv2.bias").dtype == torch.float32
    assert weight.dtype == torch.int8
    assert scale.shape == weight.shape[:1]
    assert bundle.load(path)[2] is None


def test_a_channel_of_zeros_survives_int8() -> None:
    weight = torch.randn(3, 4)
    weight[1] = 0
    packed, scale = bundle.pack_int8(weight)
    assert not packed[1].any()
    assert scale.isfinite().all()
    assert (scale > 0).all()
    assert packed[0].abs().max() == 127


def test_rounded_weights_are_stored_without_further_loss(tmp_path: Path) -> None:
    """What the tokenizer is trained on is what the bundle holds."""
    vae = make_vae("tiny")
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    bundle.round_weights(vae)
    rounded = vae.state_dict()
    assert any((rounded[name] != before[name]).any() for name in before)
    bundle.save(tmp_path / "b.safetensors", BundleConfig("test", vae.config), vae, None, "int8")
    for name, value in bundle.load(tmp_path / "b.safetensors")[1].state_dict().items():
        torch.testing.assert_close(value, rounded[name], atol=0, rtol=1e-6)


@pytest.mark.parametrize("storage", ["bf16", "f16"])
def test_rounding_to_halves_is_what_is_stored(storage: str, tmp_path: Path) -> None:
    vae = make_vae("tiny")
    bundle.save(tmp_path / "b.safetensors", BundleConfig("test", vae.config), vae, None, storage)
    bundle.round_weights(vae, storage)
    for name, value in bundle.load(tmp_path / "b.safetensors")[1].state_dict().items():
        assert torch.equal(value, vae.state_dict()[name])


def test_f16_does_not_hold_everything(tmp_path: Path) -> None:
    vae = make_vae("tiny")
    vae.conv2.weight[0] = 1e5
    with pytest.raises(ValueError, match=r"vae.conv2.weight has values that f16 cannot hold"):
        bundle.save(tmp_path / "b.safetensors", BundleConfig("test", vae.config), vae, None, "f16")


def test_another_format_is_refused(tmp_path: Path) -> None:
    vae = make_vae("tiny")
    config = replace(BundleConfig("test", vae.config), format="latentbit.bundle/999")
    bundle.save(tmp_path / "b.safetensors", config, vae, None, "f32")
    with pytest.raises(ValueError, match="bundle/999"):
        bundle.load(tmp_path / "b.safetensors")
