"""The committed golden tensors are those of these modules: the Rust tests compare with the same files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from latentbit_training import bundle, golden
from latentbit_training.vae import CausalConv3d, Downsample, RmsNorm, Upsample, fold, unfold

FOLDER = Path(__file__).parents[2] / "testdata" / "golden"


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=2e-4, rtol=1e-4)


@torch.no_grad()
def test_operators() -> None:
    t = load_file(FOLDER / "operators.safetensors")
    conv = CausalConv3d(5, 19, (3, 3, 3))
    conv.load_state_dict({"weight": t["conv.weight"], "bias": t["conv.bias"]})
    x = t["conv.input"].permute(3, 0, 1, 2)[None]
    close(golden.last(unfold(conv(fold(x), 6), 6)), t["conv.output"])
    norm = RmsNorm(37)
    norm.load_state_dict({"gamma": t["norm.gamma"]})
    close(norm(t["norm.input"].permute(0, 3, 1, 2)).permute(0, 2, 3, 1), t["norm.output"])


@pytest.mark.parametrize("name", golden.RESAMPLERS)
@torch.no_grad()
def test_resamplers(name: str) -> None:
    weights = load_file(FOLDER / "resample.safetensors")
    t = load_file(FOLDER / "resample-tensors.safetensors")
    x = t["input"].permute(0, 3, 1, 2)
    for kind, module in (("down", Downsample), ("up", Upsample)):
        layer = module(8, *golden.RESAMPLERS[name])
        prefix = f"vae.{kind}.{name}."
        layer.load_state_dict({k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)})
        close(layer(x, 9).permute(0, 2, 3, 1), t[f"{kind}.{name}"])
        close(layer(x[:1], 1).permute(0, 2, 3, 1), t[f"{kind}.{name}.first"])


@pytest.mark.parametrize("name", ["tiny", "tiny22", "small-wan"])
@torch.no_grad()
def test_vae(name: str) -> None:
    _, vae, _ = bundle.load(FOLDER / f"vae-{name}.safetensors")
    t = load_file(FOLDER / f"vae-{name}-tensors.safetensors")
    frames = t["frames"].permute(3, 0, 1, 2)[None]
    for count in (1, 5, 9):
        latent = vae.normalize(vae.encode(frames[:, :, :count]))
        close(golden.last(latent), t[f"latent.{count}"])
        close(golden.last(vae.decode(vae.denormalize(latent))), t[f"decoded.{count}"])


@pytest.mark.parametrize("name", golden.TOKENIZERS)
@torch.no_grad()
def test_tokenizer(name: str) -> None:
    config, _, tokenizer = bundle.load(FOLDER / f"tokenizer-{name}.safetensors")
    assert tokenizer is not None
    assert config.tokenizer == golden.TOKENIZERS[name]
    t = load_file(FOLDER / f"tokenizer-{name}-tensors.safetensors")
    for size in ((1, 5, 7), (4, 9, 14), (5, 12, 3)):
        key = "x".join(map(str, size))
        u, grid = tokenizer.encode(t[f"latent.{key}"].permute(3, 0, 1, 2)[None])
        close(u[0], t[f"outputs.{key}"])
        bits = t[f"bits.{key}"].bool()
        assert torch.equal(bits, t[f"outputs.{key}"] > 0)
        for kept in (tokenizer.config.bits, tokenizer.config.bits // 2, 0):
            decoded = tokenizer.decode_bits(bits[None], grid, size, kept)
            close(golden.last(decoded), t[f"decoded.{key}.{kept}"])


@pytest.mark.parametrize("storage", ["int8", "bf16"])
@torch.no_grad()
def test_storage(storage: str) -> None:
    _, vae, tokenizer = bundle.load(FOLDER / f"storage-{storage}.safetensors")
    assert tokenizer is not None
    t = load_file(FOLDER / f"storage-{storage}-tensors.safetensors")
    latent = vae.normalize(vae.encode(t["frames"].permute(3, 0, 1, 2)[None]))
    close(golden.last(latent), t["latent"])
    close(tokenizer.encode(latent)[0][0], t["outputs"])
