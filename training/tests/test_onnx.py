"""Exported networks in ONNX Runtime against PyTorch, which the golden tensors tie to the codec."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from latentbit_training import bundle, export_onnx, golden
from latentbit_training.config import (
    FULL,
    SPATIAL,
    TOKENIZER_PRESETS,
    VAE_PRESETS,
    BundleConfig,
    StageConfig,
    TokenizerConfig,
    VaeConfig,
)
from latentbit_training.tokenizer import Tokenizer
from latentbit_training.vae import WanVae

Array = npt.NDArray[Any]
DEFAULT = Path(__file__).resolve().parents[2] / "models/default.safetensors"
VAES = {"wan21": golden.small_wan, "wan22": VAE_PRESETS["tiny22"], "tiny": VAE_PRESETS["tiny"]}
# What the presets have not: other strides in time, kernels of other lengths, stages without blocks.
OTHERS = {
    "strides 1x4x4": VaeConfig((StageConfig(8, 2, 1),), latent_channels=3, patch=4, moments=False),
    "strides 8x8x8": VaeConfig(
        (
            StageConfig(8, 1, 1, (FULL, FULL), down_space=True, down_time=True),
            StageConfig(8, 1, 1, (SPATIAL, FULL), down_time=True),
            StageConfig(12, 1, 1, (FULL, (1, 1, 1)), down_space=True, down_time=True),
            StageConfig(12, 0, 1, decoder_channels=6),
        ),
        latent_channels=3, patch=2,
    ),
    "kernels": VaeConfig(
        (
            StageConfig(8, 1, 1, ((5, 3, 3), (2, 1, 1)), down_space=True, down_time=True),
            StageConfig(8, 0, 1, ((3, 5, 1), SPATIAL)),
        ),
        latent_channels=3, mid_blocks=1, mid_attention=False,
    ),
}
NUMBERS = {"f32": np.float32, "f16": np.float16}
SIZES = ((1, 1, 1), (1, 5, 7), (4, 9, 14), (3, 12, 3), (5, 6, 6))


def made(path: Path, vae: VaeConfig, tokenizer: TokenizerConfig | None = None, storage: str = "f32") -> Path:
    """A bundle with random weights."""
    config = golden.statistics(vae)
    network, codes = WanVae(config), Tokenizer(tokenizer) if tokenizer else None
    golden.stir(network)
    if codes:
        golden.stir(codes)
        if codes.depth_head is not None:
            nn.init.normal_(codes.depth_head.weight, std=0.3)
    bundle.save(path, BundleConfig("random", config, tokenizer), network, codes, storage)
    return path


class Exported:
    """What `export` wrote, in ONNX Runtime."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about: dict[str, Any] = json.loads((folder / export_onnx.MANIFEST).read_text())
        self.sessions: dict[str, Any] = {}

    def run(self, network: str, inputs: dict[str, Array]) -> dict[str, Array]:
        if network not in self.sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            file = self.folder / self.about["networks"][network]["files"][0]["name"]
            self.sessions[network] = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        names = [output["name"] for output in self.about["networks"][network]["outputs"]]
        return dict(zip(names, self.sessions[network].run(names, inputs), strict=True))

    def stream(self, network: str, name: str, values: Array, size: tuple[int, int], cuts: tuple[int, ...]) -> Array:
        """A group, in calls with so many frames or latent frames each."""
        states = self.about["networks"][network]["states"]
        kept = {
            state["input"]: np.zeros(
                (state["frames"], state["channels"], size[0] // state["divide"][0], size[1] // state["divide"][1]),
                NUMBERS[self.about["dtype"]],
            )
            for state in states
        }
        parts, out = np.split(values, np.cumsum(cuts)[:-1]), []
        for number, part in enumerate(parts):
            found = self.run(network, {name: part, "first": np.array([number == 0], np.int64), **kept})
            for state in states:
                assert found[state["output"]].shape == kept[state["input"]].shape
                kept[state["input"]] = found[state["output"]]
            out.append(found["latent" if name == "frames" else "frames"])
        return np.concatenate(out)


def exported(path: Path, out: Path, **options: str) -> Exported:
    export_onnx.export(path, out, **options)
    return Exported(out)


def last(x: Tensor) -> Array:
    return golden.last(x).numpy()


@torch.no_grad()
def vae_pair(path: Path, size: tuple[int, int], count: int) -> tuple[Array, Array, Array]:
    """Frames, their latent, and what comes back, in PyTorch."""
    _, vae, _ = bundle.load(path)
    clip = golden.frames(count, *size)
    latent = vae.normalize(vae.encode(clip))
    return last(clip), last(latent), last(vae.decode(vae.denormalize(latent)))


@pytest.mark.parametrize("name", VAES)
def test_steps_of_a_vae_are_its_whole_clip(tmp_path: Path, name: str) -> None:
    path = made(tmp_path / "a.safetensors", VAES[name]())
    networks = exported(path, tmp_path / "onnx")
    rows = networks.about["strides"][1]
    for size, cuts, latent_cuts in (
        ((3 * rows, 5 * rows), (1, 4, 4, 4, 4), (1, 1, 1, 1, 1)),
        ((rows, 2 * rows), (1, 8), (1, 2)),
        ((2 * rows, rows), (1,), (1,)),
    ):
        clip, latent, decoded = vae_pair(path, size, sum(cuts))
        found = networks.stream("vae-encoder", "frames", clip, size, cuts)
        np.testing.assert_allclose(found, latent, atol=1e-4)
        found = networks.stream("vae-decoder", "latent", latent, size, latent_cuts)
        np.testing.assert_allclose(found, decoded, atol=1e-4)


@pytest.mark.parametrize("name", OTHERS)
def test_steps_of_other_vaes(tmp_path: Path, name: str) -> None:
    path = made(tmp_path / "a.safetensors", OTHERS[name])
    networks = exported(path, tmp_path / "onnx")
    time, rows, _ = networks.about["strides"]
    size = (2 * rows, 3 * rows)
    clip, latent, decoded = vae_pair(path, size, 1 + 3 * time)
    found = networks.stream("vae-encoder", "frames", clip, size, (1, time, 2 * time))
    np.testing.assert_allclose(found, latent, atol=1e-4)
    found = networks.stream("vae-decoder", "latent", latent, size, (1, 2, 1))
    np.testing.assert_allclose(found, decoded, atol=1e-4)


@torch.no_grad()
def chunk_pair(tokenizer: Tokenizer, size: tuple[int, int, int]) -> dict[str, Array]:
    """A latent and its tokens, of many depths, in PyTorch."""
    latent = torch.randn(1, tokenizer.config.latent_channels, *size)
    u, estimates, grid = tokenizer.analyse(latent)
    depths = torch.randint(0, tokenizer.config.bits + 1, u.shape[:2])
    back = tokenizer.decode_bits(u > 0, grid, size, depths)
    found = {"latent": last(latent), "bits": (u > 0)[0].view(*grid, -1).numpy(),
             "depths": depths[0].view(*grid).int().numpy(), "back": last(back)}
    return found if estimates is None else found | {"estimates": estimates[0].view(*grid, -1).numpy()}


HEADS = {"few pairs": replace(TOKENIZER_PRESETS["tiny"](), width=12, heads=3)}


@pytest.mark.parametrize("name", [*golden.TOKENIZERS, "depths", *HEADS])
def test_chunks_of_any_size_become_the_same_tokens(tmp_path: Path, name: str) -> None:
    config = (golden.TOKENIZERS | HEADS).get(name) or replace(golden.TOKENIZERS["windows"], depth_step=5)
    path = made(tmp_path / "a.safetensors", golden.plain(4), config)
    networks = exported(path, tmp_path / "onnx")
    tokenizer = bundle.load(path)[2]
    assert tokenizer is not None
    for size in SIZES:
        pair = chunk_pair(tokenizer, size)
        found = networks.run("tokenizer-encoder", {"latent": pair["latent"]})
        assert (found["bits"] == pair["bits"]).mean() >= 0.999
        if config.depth_step:
            np.testing.assert_allclose(found["estimates"], pair["estimates"], atol=1e-4)
        back = networks.run("tokenizer-decoder", {"bits": pair["bits"], "depths": pair["depths"]})["latent"]
        assert all(side % k == 0 for side, k in zip(back.shape, config.patch, strict=False))
        np.testing.assert_allclose(back[: size[0], : size[1], : size[2]], pair["back"], atol=1e-4)


def test_bits_beyond_a_depth_are_not_looked_at(tmp_path: Path) -> None:
    path = made(tmp_path / "a.safetensors", golden.plain(4), golden.TOKENIZERS["windows"])
    networks = exported(path, tmp_path / "onnx")
    bits = np.random.default_rng(1).random((2, 3, 4, 10)) < 0.5
    depths = np.full((2, 3, 4), 6, np.int32)
    other = bits.copy()
    other[..., 6:] ^= True

    def latent(bits: Array, depths: Array) -> Array:
        return networks.run("tokenizer-decoder", {"bits": bits, "depths": depths})["latent"]

    np.testing.assert_array_equal(latent(bits, depths), latent(other, depths))
    assert np.abs(latent(bits, depths + 1) - latent(bits, depths)).max() > 0


@pytest.mark.parametrize(("dtype", "storage"), [("f32", "f32"), ("f32", "int8"), ("f16", "f16")])
def test_the_built_in_bundle_streams(tmp_path: Path, dtype: str, storage: str) -> None:
    networks = exported(DEFAULT, tmp_path, dtype=dtype, storage=storage)
    size, chunks = (56, 72), ((1, 4, 4, 4), (4, 4))
    clip, latent, _ = vae_pair(DEFAULT, size, 21)
    found = networks.stream("vae-encoder", "frames", clip, size, sum(chunks, ()))
    np.testing.assert_allclose(found, latent, atol=1e-3 if dtype == "f32" else 4e-3)
    _, vae, tokenizer = bundle.load(DEFAULT)
    assert tokenizer is not None
    parts = []
    for part in (latent[:4], latent[4:]):
        with torch.no_grad():
            found_bits, grid = tokenizer.bits(torch.from_numpy(part).permute(3, 0, 1, 2)[None])
        bits = found_bits[0].view(*grid, -1).numpy()
        assert (networks.run("tokenizer-encoder", {"latent": part})["bits"] == bits).mean() >= 0.999
        depths = np.full(grid, 36, np.int32)
        parts.append(networks.run("tokenizer-decoder", {"bits": bits, "depths": depths})["latent"])
    back = np.concatenate(parts)
    with torch.no_grad():
        z = torch.from_numpy(back).permute(3, 0, 1, 2)[None]
        decoded = last(vae.decode(vae.denormalize(z)))
    frames = networks.stream("vae-decoder", "latent", back, size, (1, 3, 2))
    np.testing.assert_allclose(frames, decoded, atol=1e-3)
    # The bundle has 15.85 MB.
    total = sum(file["bytes"] for network in networks.about["networks"].values() for file in network["files"])
    assert total < (17e6 if storage == "int8" else 65e6)


def test_half_precision_is_close_and_finite(tmp_path: Path) -> None:
    path = made(tmp_path / "a.safetensors", VAE_PRESETS["tiny"](), golden.TOKENIZERS["windows"], "int8")
    for storage in ("f16", "int8"):
        networks = exported(path, tmp_path / storage, dtype="f16", storage=storage)
        rows = networks.about["strides"][1]
        size = (3 * rows, 4 * rows)
        clip, latent, decoded = vae_pair(path, size, 9)
        for values in (clip, np.zeros_like(clip)):
            found = networks.stream("vae-encoder", "frames", values, size, (1, 4, 4))
            assert np.isfinite(found).all()
        found = networks.stream("vae-encoder", "frames", clip, size, (1, 8))
        np.testing.assert_allclose(found, latent, atol=0.05)
        found = networks.stream("vae-decoder", "latent", latent, size, (1, 1, 1))
        np.testing.assert_allclose(found, decoded, atol=0.05)
        bits = networks.run("tokenizer-encoder", {"latent": latent})["bits"]
        exact = exported(path, tmp_path / "exact").run("tokenizer-encoder", {"latent": latent})["bits"]
        assert (bits == exact).mean() > 0.98


@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_only_plain_operators(tmp_path: Path, dtype: str) -> None:
    path = made(tmp_path / "a.safetensors", VAE_PRESETS["tiny22"](), golden.TOKENIZERS["windows"])
    networks = exported(path, tmp_path / "onnx", dtype=dtype)
    for network in networks.about["networks"].values():
        model = onnx.load(tmp_path / "onnx" / network["files"][0]["name"])
        onnx.checker.check_model(model, full_check=True)
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
        assert not {node.op_type for node in model.graph.node} & {"If", "Loop", "Scan", "Einsum"}
        ranks = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
        convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
        # No runtime in a browser has 3D convolutions.
        assert all(ranks[node.input[1]] == 4 for node in convolutions)


def test_files_say_which_bundle_they_are_of(tmp_path: Path) -> None:
    path = made(tmp_path / "a.safetensors", VAE_PRESETS["tiny"](), golden.TOKENIZERS["windows"])
    about = exported(path, tmp_path / "onnx").about
    assert about["bundle"] == {"name": "random", "sha256": export_onnx.digest(path)}
    assert about["strides"] == [4, 4, 4]
    assert len(about["latent_mean"]) == len(about["latent_std"]) == 4
    for name, network in about["networks"].items():
        file = tmp_path / "onnx" / network["files"][0]["name"]
        assert network["files"][0] == {
            "name": f"{name}.onnx", "bytes": file.stat().st_size, "sha256": export_onnx.digest(file),
        }
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        told = json.loads(session.get_modelmeta().custom_metadata_map["latentbit"])
        assert told["network"] == name
        for key in ("bundle", "config", "dtype", "strides"):
            assert told[key] == about[key]
        for key, values in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
            assert told[key] == network[key]
            assert [(side["name"], side["shape"]) for side in network[key]] == [(v.name, v.shape) for v in values]


def test_weights_beyond_a_file_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "a.safetensors", VAE_PRESETS["tiny"]())
    clip, latent, _ = vae_pair(path, (8, 8), 1)
    monkeypatch.setattr(export_onnx, "LARGEST_FILE", 10_000)
    for _ in range(2):
        networks = exported(path, tmp_path / "onnx")
        files = networks.about["networks"]["vae-encoder"]["files"]
        assert [file["name"] for file in files] == ["vae-encoder.onnx", "vae-encoder.onnx.data"]
        modes = {(tmp_path / "onnx" / file["name"]).stat().st_mode for file in files}
        assert len(modes) == 1
        # Written anew, not behind what was there.
        assert files[1]["bytes"] < 200_000
        np.testing.assert_allclose(networks.stream("vae-encoder", "frames", clip, (8, 8), (1,)), latent, atol=1e-4)
    monkeypatch.undo()
    exported(path, tmp_path / "onnx")
    assert not list((tmp_path / "onnx").glob("*.data"))


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    path = made(tmp_path / "a.safetensors", VAE_PRESETS["tiny"]())
    with pytest.raises(ValueError, match="not stored as int8"):
        export_onnx.export(path, tmp_path / "onnx", storage="int8")
    with pytest.raises(ValueError, match="not as f16"):
        export_onnx.export(path, tmp_path / "onnx", "f32", "f16")
    assert not (tmp_path / "onnx").exists()
    # Values beyond f16.
    config, vae, _ = bundle.load(path)
    with torch.no_grad():
        vae.state_dict()["encoder.downsamples.0.residual.2.weight"][0, 0, 0, 0, 0] = 1e5
    bundle.save(path, config, vae, None, "f32")
    with pytest.raises(ValueError, match=r"downsamples\.0\.residual\.2\.weight has values that f16 cannot hold"):
        export_onnx.export(path, tmp_path / "onnx", "f16")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = made(tmp_path / "a.safetensors", VAE_PRESETS["tiny"](), golden.TOKENIZERS["windows"], "int8")
    export_onnx.main([str(path), str(tmp_path / "onnx"), "--dtype", "f16", "--storage", "int8"])
    assert sorted(file.name for file in (tmp_path / "onnx").iterdir()) == [
        "networks.json", "tokenizer-decoder.onnx", "tokenizer-encoder.onnx", "vae-decoder.onnx", "vae-encoder.onnx",
    ]
    assert "in all" in capsys.readouterr().out
