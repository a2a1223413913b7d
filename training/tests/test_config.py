from __future__ import annotations

import json

import pytest
import torch

from latentbit_training import golden
from latentbit_training.config import (
    TOKENIZER_PRESETS,
    VAE_PRESETS,
    BundleConfig,
    TokenizerConfig,
    VaeConfig,
    tokenizer_config,
    vae_config,
)
from latentbit_training.tokenizer import Tokenizer
from latentbit_training.vae import WanVae


@pytest.mark.parametrize("name", VAE_PRESETS)
def test_vae_round_trip(name: str) -> None:
    config = golden.statistics(VAE_PRESETS[name]())
    text = BundleConfig("test", config).to_json()
    assert vae_config(json.loads(text)["vae"]) == config


@pytest.mark.parametrize("name", TOKENIZER_PRESETS)
def test_tokenizer_round_trip(name: str) -> None:
    config = TOKENIZER_PRESETS[name]()
    text = BundleConfig("test", VAE_PRESETS["tiny"](), config).to_json()
    assert tokenizer_config(json.loads(text)["tokenizer"]) == config


def test_later_fields_are_left_out_where_they_say_nothing() -> None:
    """Bundles from before keep their bytes."""
    text = BundleConfig("test", VAE_PRESETS["tiny"]()).to_json()
    assert "shortcuts" not in text
    assert "decoder_channels" not in text
    assert "depth_step" not in BundleConfig("test", VAE_PRESETS["tiny"](), TokenizerConfig()).to_json()
    whole = BundleConfig("test", VAE_PRESETS["tiny"](), TokenizerConfig(depth_step=3))
    assert json.loads(whole.to_json())["tokenizer"]["depth_step"] == 3
    assert BundleConfig.from_json(whole.to_json()) == whole
    raw = json.loads(BundleConfig("test", VAE_PRESETS["wan22"]()).to_json())["vae"]
    assert raw["shortcuts"] is True
    assert [stage["decoder_channels"] for stage in raw["stages"]] == [256, 512, 1024, 1024]
    assert list(VAE_PRESETS["wan22"]().latent_mean) == raw["latent_mean"]


@pytest.mark.parametrize("name", ["wan21", "wan22"])
def test_official_statistics(name: str) -> None:
    config = VAE_PRESETS[name]()
    assert len(config.latent_mean) == len(config.latent_std) == config.latent_channels
    assert min(config.latent_std) > 0


@pytest.mark.parametrize("tokenizer", [None, TokenizerConfig(window=None)])
def test_bundle_round_trip(tokenizer: TokenizerConfig | None) -> None:
    config = BundleConfig("name", VAE_PRESETS["tiny"](), tokenizer, {"vae": {"steps": 3, "minutes": 0.5}})
    assert BundleConfig.from_json(config.to_json()) == config


def test_an_unknown_format_is_refused() -> None:
    raw = json.loads(BundleConfig("name", VAE_PRESETS["tiny"]()).to_json()) | {"format": "latentbit.bundle/999"}
    with pytest.raises(ValueError, match="bundle/999"):
        BundleConfig.from_json(json.dumps(raw))


def vae_parameters(config: VaeConfig) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in WanVae(config).parameters())


def tokenizer_parameters(config: TokenizerConfig) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in Tokenizer(config).parameters())


def test_sizes() -> None:
    assert vae_parameters(VAE_PRESETS["wan21"]()) == pytest.approx(127e6, rel=0.005)
    assert vae_parameters(VAE_PRESETS["wan22"]()) == pytest.approx(705e6, rel=0.005)
    assert vae_parameters(VAE_PRESETS["compact"]()) < 8e6
    assert tokenizer_parameters(TOKENIZER_PRESETS["small"]()) == pytest.approx(28e6, rel=0.05)
    assert tokenizer_parameters(TOKENIZER_PRESETS["large"]()) == pytest.approx(300e6, rel=0.05)
    assert tokenizer_parameters(TOKENIZER_PRESETS["compact"]()) < 7e6


STRIDES = {"wan21": (4, 8, 8), "wan22": (4, 16, 16), "compact": (4, 8, 8), "tiny": (4, 4, 4), "tiny22": (4, 16, 16)}


@pytest.mark.parametrize(("name", "strides"), STRIDES.items())
def test_strides(name: str, strides: tuple[int, int, int]) -> None:
    assert VAE_PRESETS[name]().strides == strides


def test_wan21_has_the_names_and_shapes_of_the_official_checkpoint() -> None:
    with torch.device("meta"):
        state = WanVae(VAE_PRESETS["wan21"]()).state_dict()
    shapes = {
        "encoder.conv1.weight": (96, 3, 3, 3, 3),
        "encoder.downsamples.0.residual.0.gamma": (96,),
        "encoder.downsamples.0.residual.6.bias": (96,),
        "encoder.downsamples.2.resample.1.weight": (96, 96, 3, 3),
        "encoder.downsamples.3.shortcut.weight": (192, 96, 1, 1, 1),
        "encoder.downsamples.5.time_conv.weight": (192, 192, 3, 1, 1),
        "encoder.downsamples.8.time_conv.bias": (384,),
        "encoder.downsamples.10.residual.2.weight": (384, 384, 3, 3, 3),
        "encoder.middle.0.residual.3.gamma": (384,),
        "encoder.middle.1.norm.gamma": (384,),
        "encoder.middle.1.to_qkv.weight": (1152, 384, 1, 1),
        "encoder.middle.1.proj.bias": (384,),
        "encoder.middle.2.residual.6.weight": (384, 384, 3, 3, 3),
        "encoder.head.0.gamma": (384,),
        "encoder.head.2.weight": (32, 384, 3, 3, 3),
        "conv1.weight": (32, 32, 1, 1, 1),
        "conv2.weight": (16, 16, 1, 1, 1),
        "decoder.conv1.weight": (384, 16, 3, 3, 3),
        "decoder.middle.1.to_qkv.bias": (1152,),
        "decoder.upsamples.3.resample.1.weight": (192, 384, 3, 3),
        "decoder.upsamples.3.time_conv.weight": (768, 384, 3, 1, 1),
        "decoder.upsamples.4.shortcut.weight": (384, 192, 1, 1, 1),
        "decoder.upsamples.11.resample.1.weight": (96, 192, 3, 3),
        "decoder.upsamples.14.residual.6.weight": (96, 96, 3, 3, 3),
        "decoder.head.2.weight": (3, 96, 3, 3, 3),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
    # These halve and double space alone.
    assert not any(name.startswith(("encoder.downsamples.2.time", "decoder.upsamples.11.time")) for name in state)
    assert len(state) == 194


def test_wan22_has_the_names_and_shapes_of_the_official_checkpoint() -> None:
    with torch.device("meta"):
        state = WanVae(VAE_PRESETS["wan22"]()).state_dict()
    shapes = {
        "encoder.conv1.weight": (160, 12, 3, 3, 3),
        "encoder.downsamples.0.downsamples.0.residual.0.gamma": (160,),
        "encoder.downsamples.0.downsamples.2.resample.1.weight": (160, 160, 3, 3),
        "encoder.downsamples.1.downsamples.0.shortcut.weight": (320, 160, 1, 1, 1),
        "encoder.downsamples.1.downsamples.2.time_conv.weight": (320, 320, 3, 1, 1),
        "encoder.downsamples.3.downsamples.1.residual.6.weight": (640, 640, 3, 3, 3),
        "encoder.middle.1.to_qkv.weight": (1920, 640, 1, 1),
        "encoder.head.2.weight": (96, 640, 3, 3, 3),
        "conv1.weight": (96, 96, 1, 1, 1),
        "conv2.weight": (48, 48, 1, 1, 1),
        "decoder.conv1.weight": (1024, 48, 3, 3, 3),
        "decoder.upsamples.0.upsamples.3.time_conv.weight": (2048, 1024, 3, 1, 1),
        "decoder.upsamples.0.upsamples.3.resample.1.weight": (1024, 1024, 3, 3),
        "decoder.upsamples.2.upsamples.0.shortcut.weight": (512, 1024, 1, 1, 1),
        "decoder.upsamples.2.upsamples.3.resample.1.weight": (512, 512, 3, 3),
        "decoder.upsamples.3.upsamples.2.residual.6.weight": (256, 256, 3, 3, 3),
        "decoder.head.2.weight": (12, 256, 3, 3, 3),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
    space_alone = ("encoder.downsamples.0.downsamples.2.time", "decoder.upsamples.2.upsamples.3.time")
    assert not any(name.startswith(space_alone) for name in state)
    assert not any(name.startswith("decoder.upsamples.3.upsamples.3") for name in state)
