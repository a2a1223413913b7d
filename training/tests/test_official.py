"""Official weights: read, written, refused, and trained upon. The VAEs have the official layout, but few channels."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from latentbit_training import bundle, export, golden, latents, official, train_tokenizer
from latentbit_training.config import VAE_PRESETS, WAN21_MEAN, BundleConfig, VaeConfig, wan, wan21, wan22
from latentbit_training.vae import WanVae
from latentbit_training.warm import read_part

CONFIGS = {
    "2.1": replace(wan21(), stages=wan(4).stages),
    "2.2": replace(wan22(), stages=wan(4, 6).stages),
    "few channels": wan(4, 6, 5, patch=2, shortcuts=True),
}


def make(config: VaeConfig) -> WanVae:
    vae = WanVae(config).eval().requires_grad_(False)
    golden.stir(vae)
    return vae


def assert_same(state: dict[str, Tensor], vae: WanVae) -> None:
    expected = vae.state_dict()
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert state[name].dtype == torch.float32
        assert torch.equal(state[name], value), name


@pytest.mark.parametrize("name", CONFIGS)
def test_checkpoint(name: str, tmp_path: Path) -> None:
    vae = make(CONFIGS[name])
    path = tmp_path / "Wan_VAE.pth"
    official.write_checkpoint(path, vae)
    raw = torch.load(path, weights_only=True)
    assert raw["decoder.head.0.gamma"].ndim == 4
    assert raw["encoder.middle.1.norm.gamma"].ndim == 3
    config, state, past = read_part(path, VaeConfig)
    assert config == CONFIGS[name]
    assert past == {}
    assert_same(state, vae)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("where", ["alone", "pipeline", "file"])
def test_diffusers_folder(name: str, where: str, tmp_path: Path) -> None:
    vae = make(CONFIGS[name])
    folder = tmp_path / "vae" if where == "pipeline" else tmp_path
    official.write_diffusers(folder, vae)
    config, state, _ = read_part(folder / official.WEIGHTS_FILE if where == "file" else tmp_path, VaeConfig)
    count = vae.config.latent_channels
    mean, std = vae.config.latent_mean or (0.0,) * count, vae.config.latent_std or (1.0,) * count
    assert config == replace(vae.config, latent_mean=mean, latent_std=std)
    assert_same(state, vae)


def test_names_of_diffusers() -> None:
    config = wan21()
    names = {
        "encoder.conv1.weight": "encoder.conv_in.weight",
        "encoder.downsamples.3.residual.0.gamma": "encoder.down_blocks.3.norm1.gamma",
        "encoder.downsamples.3.shortcut.bias": "encoder.down_blocks.3.conv_shortcut.bias",
        "encoder.downsamples.5.resample.1.weight": "encoder.down_blocks.5.resample.1.weight",
        "encoder.downsamples.5.time_conv.weight": "encoder.down_blocks.5.time_conv.weight",
        "encoder.middle.0.residual.6.weight": "encoder.mid_block.resnets.0.conv2.weight",
        "encoder.middle.1.to_qkv.weight": "encoder.mid_block.attentions.0.to_qkv.weight",
        "encoder.head.0.gamma": "encoder.norm_out.gamma",
        "conv1.bias": "quant_conv.bias",
        "conv2.bias": "post_quant_conv.bias",
        "decoder.middle.2.residual.3.gamma": "decoder.mid_block.resnets.1.norm2.gamma",
        "decoder.upsamples.0.residual.2.weight": "decoder.up_blocks.0.resnets.0.conv1.weight",
        "decoder.upsamples.3.time_conv.weight": "decoder.up_blocks.0.upsamplers.0.time_conv.weight",
        "decoder.upsamples.11.resample.1.bias": "decoder.up_blocks.2.upsamplers.0.resample.1.bias",
        "decoder.upsamples.14.residual.6.bias": "decoder.up_blocks.3.resnets.2.conv2.bias",
        "decoder.head.2.weight": "decoder.conv_out.weight",
    }
    assert {ours: official.diffusers_name(ours, config) for ours in names} == names
    names = {
        "encoder.downsamples.1.downsamples.0.shortcut.weight": "encoder.down_blocks.1.resnets.0.conv_shortcut.weight",
        "encoder.downsamples.1.downsamples.2.time_conv.bias": "encoder.down_blocks.1.downsampler.time_conv.bias",
        "decoder.upsamples.0.upsamples.3.resample.1.weight": "decoder.up_blocks.0.upsampler.resample.1.weight",
        "decoder.upsamples.3.upsamples.2.residual.6.weight": "decoder.up_blocks.3.resnets.2.conv2.weight",
    }
    assert {ours: official.diffusers_name(ours, wan22()) for ours in names} == names


@pytest.mark.parametrize("config", [wan21(), wan22()])
def test_names_of_diffusers_are_different_ones(config: VaeConfig) -> None:
    ours = official.expected_shapes(config)
    assert len({official.diffusers_name(name, config) for name in ours}) == len(ours)
    assert official.config_from_diffusers(Path("config.json"), official.diffusers_config(config)) == config


def test_what_config_json_leaves_out_is_as_in_wan21() -> None:
    assert official.config_from_diffusers(Path("config.json"), {}) == wan21()


@pytest.mark.parametrize(("changes", "message"), [
    ({"_class_name": "AutoencoderKL"}, "AutoencoderKL, not"),
    ({"attn_scales": [0.5]}, "attn_scales"),
    ({"in_channels": 12}, "in_channels is 12"),
    ({"z_dim": 12}, "16 latents_mean"),
])
def test_a_config_json_that_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        official.config_from_diffusers(Path("config.json"), changes)


def test_diffusers_has_not_every_vae() -> None:
    with pytest.raises(ValueError, match="diffusers has no VAE"):
        official.diffusers_config(VAE_PRESETS["tiny"]())


def test_weights_that_do_not_fit_are_all_listed(tmp_path: Path) -> None:
    vae = make(CONFIGS["2.1"])
    state = official.checkpoint_state(vae.state_dict())
    del state["encoder.middle.1.proj.bias"], state["decoder.upsamples.3.time_conv.weight"]
    state["decoder.extra"] = torch.zeros(1)
    state["encoder.head.2.weight"] = torch.zeros(32, 16, 1, 3, 3)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="do not fit") as error:
        official.read(tmp_path / "a.pth")
    text = str(error.value)
    assert "2 missing: encoder.middle.1.proj.bias, decoder.upsamples.3.time_conv.weight" in text
    assert "1 not known: decoder.extra" in text
    assert "encoder.head.2.weight is (32, 16, 1, 3, 3), not (32, 16, 3, 3, 3)" in text
    assert "a.pth" in text


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    vae = make(CONFIGS["2.1"])
    official.write_diffusers(tmp_path, vae)
    weights = load_file(tmp_path / official.WEIGHTS_FILE)
    save_file({f"module.{name}": value for name, value in weights.items()}, tmp_path / official.WEIGHTS_FILE)
    with pytest.raises(ValueError, match=r"194 missing: .*, and 182 more; 194 not known: .*, and 182 more"):
        official.read(tmp_path)


@pytest.mark.parametrize("shape", [(4, 2), (2, 2, 1, 1), (1, 1, 1, 4)])
def test_gains_have_their_channels_first(shape: tuple[int, ...], tmp_path: Path) -> None:
    state = official.checkpoint_state(make(CONFIGS["2.1"]).state_dict())
    state["encoder.downsamples.0.residual.0.gamma"] = torch.ones(shape)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="1 of another shape"):
        official.read(tmp_path / "a.pth")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"config": BundleConfig("x", VAE_PRESETS["tiny"]())}, path)
    with pytest.raises(ValueError, match="cannot be read as weights and nothing else"):
        official.read(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="cannot be read as weights"):
        official.read(path)
    torch.save([torch.zeros(1)], path)
    with pytest.raises(ValueError, match="no table"):
        official.read(path)
    torch.save({"layer.weight": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="no checkpoint of a Wan VAE"):
        official.read(path)
    with pytest.raises(ValueError, match=r"lacks config.json and diffusion_pytorch_model.safetensors"):
        read_part(tmp_path, VaeConfig)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_part(tmp_path / "absent.pth", VaeConfig)
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="no bundle"):
        read_part(tmp_path / "a.safetensors", VaeConfig)


def test_a_bundle_beside_a_config_json_is_a_bundle(tmp_path: Path) -> None:
    official.write_diffusers(tmp_path, make(CONFIGS["2.1"]))
    vae = make(VAE_PRESETS["tiny"]())
    bundle.save(tmp_path / "b.safetensors", BundleConfig("b", vae.config), vae, None, "f32")
    config, state, _ = read_part(tmp_path / "b.safetensors", VaeConfig)
    assert config == vae.config
    assert_same(state, vae)


def folder(path: Path, vae: WanVae) -> Path:
    official.write_diffusers(path / "wan", vae)
    return path / "wan"


def checkpoint(path: Path, vae: WanVae) -> Path:
    official.write_checkpoint(path / "Wan_VAE.pth", vae)
    return path / "Wan_VAE.pth"


def whole(path: Path, vae: WanVae) -> Path:
    bundle.save(path / "vae.safetensors", BundleConfig("vae", vae.config), vae, None, "f32")
    return path / "vae.safetensors"


@pytest.mark.parametrize(("name", "write", "storage"), [
    ("2.1", checkpoint, "f32"), ("2.1", folder, "bf16"), ("2.2", checkpoint, "f16"), ("2.2", folder, "int8"),
    ("2.1", whole, "f32"),
])
def test_from_official_weights_to_a_bundle(
    cached: Path, tmp_path: Path, name: str, write: Callable[[Path, WanVae], Path], storage: str
) -> None:
    """Cached latents, both phases of the training, and one bundle of both."""
    vae = make(CONFIGS[name])
    path = write(tmp_path, vae)
    common = ["--cache", str(cached), "--vae", str(path), "--storage", storage, "--device", "cpu"]
    latents.main([*common, "--out", str(tmp_path / "latents")])
    command = [*common, "--latents", str(tmp_path / "latents"), "--out", str(tmp_path / "run"), "--preset", "tiny"]
    command += ["--no-compile", "--recompute", "--size", "32", "--image-batch", "2", "--clip-batch", "1"]
    command += ["--clip-chunks", "1", "--steps", "4", "--pixel-start", "0.5", "--log-every", "1"]
    trained = train_tokenizer.main(command)
    assert trained.config.latent_channels == vae.config.latent_channels
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [any(key.endswith("pixel_mse") for key in line) for line in log[1:5]] == [False, False, True, True]

    out = tmp_path / "whole.safetensors"
    export.main(["--name", "wan", "--vae", str(path), "--tokenizer", str(tmp_path / "run" / "tokenizer.pt"),
                 "--storage", storage, "--out", str(out)])
    config, stored, tokenizer = bundle.load(out)
    assert tokenizer is not None
    assert config.tokenizer == trained.config
    assert (config.vae.shortcuts, config.vae.latent_channels) == (vae.config.shortcuts, vae.config.latent_channels)
    assert "vae" not in config.training
    assert config.training["tokenizer"]["steps"] == 4
    bundle.round_weights(vae, storage)
    for key, value in stored.state_dict().items():
        torch.testing.assert_close(value, vae.state_dict()[key], atol=0, rtol=1e-6)
    types = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16, "int8": torch.int8}
    with safe_open(str(out), "pt") as file:
        assert file.get_tensor("vae.encoder.conv1.weight").dtype == types[storage]
        assert file.get_tensor("vae.encoder.conv1.bias").dtype == torch.float32


def test_a_tokenizer_of_another_vae_is_not_joined(tmp_path: Path, trained_tokenizer: Path) -> None:
    path = checkpoint(tmp_path, make(CONFIGS["2.2"]))
    with pytest.raises(SystemExit):
        export.main(["--name", "x", "--vae", str(path), "--tokenizer", str(trained_tokenizer),
                     "--out", str(tmp_path / "x.safetensors")])
    assert not (tmp_path / "x.safetensors").exists()


@pytest.fixture
def trained_tokenizer(tmp_path: Path, make_tokenizer: Callable[..., torch.nn.Module]) -> Path:
    model = make_tokenizer()
    path = tmp_path / "tokenizer.pt"
    torch.save({"config": model.config, "state": model.state_dict(), "step": 1, "minutes": 0.0}, path)
    return path


def test_the_statistics_are_those_of_the_official_vae() -> None:
    config = official.config_of(Path("x"), make(CONFIGS["2.1"]).state_dict())
    assert config.latent_mean == WAN21_MEAN
    assert CONFIGS["few channels"].latent_mean == ()


@pytest.mark.parametrize("name", ["2.1", "2.2"])
def test_recomputing_changes_no_gradient(name: str) -> None:
    vae = make(CONFIGS[name])
    latent = torch.randn(1, vae.config.latent_channels, 2, 2, 2)
    found = []
    for on in (False, True):
        vae.decoder.recompute(on)
        z = latent.clone().requires_grad_()
        vae.decode(z).square().mean().backward()
        assert z.grad is not None
        found.append(z.grad)
    torch.testing.assert_close(found[0], found[1])
