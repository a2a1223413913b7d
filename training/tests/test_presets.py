"""The paper's sizes: built, trained for a step by the usual command, and exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from latentbit_training import bundle, export, golden, train_tokenizer
from latentbit_training.config import TOKENIZER_PRESETS, BundleConfig, compact
from latentbit_training.tokenizer import Tokenizer
from latentbit_training.vae import WanVae

BITS = [14, 18, 32, 36]


@pytest.fixture(scope="module")
def vae_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file of a VAE with 16 latent channels and random weights."""
    torch.manual_seed(3)
    vae = WanVae(golden.statistics(compact()))
    path = tmp_path_factory.mktemp("vae") / "vae.pt"
    torch.save({"config": vae.config, "state": vae.state_dict(), "step": 0, "minutes": 0.0}, path)
    return path


@pytest.mark.parametrize("bits", BITS)
def test_small_is_trained_and_exported(cached: Path, vae_file: Path, tmp_path: Path, bits: int) -> None:
    command = ["--cache", str(cached), "--vae", str(vae_file), "--out", str(tmp_path), "--preset", "small", "--bits"]
    command += [str(bits), "--steps", "1", "--size", "16", "--image-batch", "1", "--clip-share", "0", "--no-compile"]
    trained = train_tokenizer.main([*command, "--device", "cpu", "--pixel-start", "0"])
    out = tmp_path / "small.safetensors"
    export.main(["--name", "small", "--vae", str(vae_file), "--tokenizer", str(tmp_path / "tokenizer.pt"),
                 "--out", str(out)])
    config, _, tokenizer = bundle.load(out)
    assert tokenizer is not None
    assert config.tokenizer == replace(TOKENIZER_PRESETS["small"](), bits=bits)
    assert config.tokenizer.patch == (1, 1, 1)
    for name, weight in tokenizer.state_dict().items():
        reference = trained.state_dict()[name]
        assert (weight - reference).abs().max() <= reference.abs().max() / 253, name
    latent = torch.randn(1, 16, 2, 3, 5)
    assert tokenizer(latent)[0].shape == latent.shape
    assert tokenizer.bits(latent)[0].shape == (1, 30, bits)


@pytest.mark.parametrize("bits", BITS)
def test_large_is_built(bits: int) -> None:
    with torch.device("meta"):
        model = Tokenizer(replace(TOKENIZER_PRESETS["large"](), bits=bits))
    assert model.encoder.head.out_features == model.decoder.embed.in_features == bits


def test_large_is_trained_and_exported(cached: Path, vae_file: Path, tmp_path: Path) -> None:
    # Once and with AdamW, because Muon's products of 300 million weights take minutes on one core.
    command = ["--cache", str(cached), "--vae", str(vae_file), "--out", str(tmp_path / "run"), "--preset", "large"]
    command += ["--steps", "1", "--size", "16", "--image-batch", "1", "--clip-share", "0", "--no-compile"]
    trained = train_tokenizer.main([*command, "--device", "cpu", "--optimizer", "adamw"])
    vae = WanVae(golden.statistics(compact()))
    out = tmp_path / "large.safetensors"
    bundle.save(out, BundleConfig("large", vae.config, trained.config), vae, trained, "int8")
    assert out.stat().st_size == pytest.approx(310e6, rel=0.05)
    config, _, tokenizer = bundle.load(out)
    assert tokenizer is not None
    assert config.tokenizer == TOKENIZER_PRESETS["large"]()
    for file in (tmp_path / "run").iterdir():
        file.unlink()
