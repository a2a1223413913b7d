"""Exported networks in ONNX Runtime against the codec."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from latentbit_training import bundle as bundles
from latentbit_training import export_onnx, golden
from latentbit_training.config import TOKENIZER_PRESETS, VAE_PRESETS, BundleConfig
from latentbit_training.tokenizer import Tokenizer
from latentbit_training.vae import WanVae

import latentbit
from conftest import TINY_BUNDLE, clip, damaged, without_index
from latentbit.onnx import Decoder, Encoder, Networks

CPU = ["CPUExecutionProvider"]
VAES = {"wan21": golden.small_wan, "wan22": VAE_PRESETS["tiny22"]}
# Latent positions that one token holds differ along all axes, and windows do not divide the grids.
PATCHES = {"wan21": (1, 2, 1), "wan22": (1, 1, 1)}


def made(folder: Path, name: str) -> Path:
    """A bundle of a shape, with random weights."""
    if name == "tiny":
        return TINY_BUNDLE
    torch.manual_seed(5)
    config = golden.statistics(VAES[name]())
    tokens = replace(
        TOKENIZER_PRESETS["tiny"](), latent_channels=config.latent_channels, patch=PATCHES[name], bits=21
    )
    vae, tokenizer = WanVae(config), Tokenizer(tokens)
    golden.stir(vae)
    golden.stir(tokenizer)
    path = folder / f"{name}.safetensors"
    bundles.save(path, BundleConfig(name, config, tokens), vae, tokenizer, "f32")
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    folder = tmp_path_factory.mktemp("onnx")
    export_onnx.export(TINY_BUNDLE, folder)
    return Networks(folder, providers=CPU, threads=1)


def bits_of(path: Path) -> npt.NDArray[np.uint8]:
    return np.concatenate([chunk.bits for chunk in latentbit.open(path)])


@pytest.mark.parametrize("name", ["tiny", *VAES])
def test_streams_as_the_codec(tmp_path: Path, name: str) -> None:
    path = made(tmp_path, name)
    export_onnx.export(path, tmp_path / "onnx")
    networks = Networks(tmp_path / "onnx", providers=CPU, threads=1)
    bundle = latentbit.Bundle(path, dtype="f32")
    # Three chunks in groups of two; sizes of no whole positions; the last chunk ends within a step.
    for height, width, count in ((37, 43, 13 + 16 + 9), (16, 70, 1), (5, 7, 14)):
        frames = clip(count, height, width)
        ours, theirs = tmp_path / "ours.lbit", tmp_path / "theirs.lbit"
        latentbit.Encoder(bundle, group=2, scene_cuts=False).write(frames, theirs, frame_rate=25)
        Encoder(networks, group=2).write(frames, ours, frame_rate=25)
        one, other = latentbit.open(ours), latentbit.open(theirs)
        assert one.video == other.video
        for field, values in one.table.items():
            np.testing.assert_array_equal(values, other.table[field], field)
        assert (bits_of(ours) == bits_of(theirs)).mean() >= 0.999
        expected = latentbit.Decoder(bundle).decode(theirs, value_range="0..1")
        found = np.stack(list(Decoder(networks).frames(theirs, floats=True)))
        np.testing.assert_allclose(found, expected, atol=5e-4)  # 1e-3 in -1..1
        # Any part is the same as that part of the whole.
        middle = (count // 3, count // 2 + 1)
        part = np.stack(list(Decoder(networks).frames(theirs, *middle, floats=True)))
        np.testing.assert_allclose(part, found[slice(*middle)], atol=1e-6)


def test_fewer_bits(tiny: Networks, tmp_path: Path) -> None:
    bundle = latentbit.Bundle(TINY_BUNDLE, dtype="f32")
    frames = clip(20)
    for name, options in {"plain": {"bits": 7}, "elastic": {"crf": 30.0}}.items():
        path = tmp_path / f"{name}.lbit"
        latentbit.Encoder(bundle, **options).write(frames, path)  # type: ignore[arg-type]
        for bits in (None, 4):
            expected = latentbit.Decoder(bundle, bits=bits).decode(path, value_range="0..1")
            found = np.stack(list(Decoder(tiny, bits=bits).frames(path, floats=True)))
            np.testing.assert_allclose(found, expected, atol=5e-4)


def test_bytes_and_floats(tiny: Networks, tmp_path: Path) -> None:
    path = tmp_path / "a.lbit"
    frames = clip(9)
    Encoder(tiny).write(frames, path)
    tokens = latentbit.open(path).read_tokens()
    planes = Encoder(tiny, layout="TCHW", value_range="-1..1")
    moved = np.moveaxis(frames.astype(np.float32) / 127.5 - 1, -1, 1)
    again = np.concatenate([chunk.tokens for chunk in planes.chunks(iter([moved[:2], moved[2:]]))])
    assert (again == tokens).mean() > 0.99
    floats = np.stack(list(Decoder(tiny).frames(path, floats=True)))
    back = np.stack(list(Decoder(tiny).frames(path)))
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, np.round(floats * 255).astype(np.uint8))
    with pytest.raises(ValueError, match="no frame to encode"):
        Encoder(tiny).write(frames[:0], tmp_path / "none.lbit")
    assert not (tmp_path / "none.lbit").exists()


def test_loss_is_never_silent(tiny: Networks, tmp_path: Path) -> None:
    path = tmp_path / "a.lbit"
    Encoder(tiny, group=2).write(clip(60), path)
    whole = np.stack(list(Decoder(tiny).frames(path)))
    for number, affected in ((1, range(13, 29)), (2, range(29, 60))):
        bad = tmp_path / "bad.lbit"
        bad.write_bytes(damaged(path.read_bytes(), number))
        with pytest.raises(latentbit.LatentBitError):
            list(Decoder(tiny).frames(bad))
        with pytest.warns(latentbit.LossWarning, match="1 lost chunks"):
            found = np.stack(list(Decoder(tiny).frames(bad, conceal="freeze")))
        assert found.shape == whole.shape
        others = [index for index in range(60) if index not in affected]
        np.testing.assert_array_equal(found[others], whole[others])
        first = affected[0]
        np.testing.assert_array_equal(found[first : first + 10], np.repeat(whole[first - 1 : first], 10, 0))
    cut = without_index(path.read_bytes())[:-200]
    (tmp_path / "cut.lbit").write_bytes(cut)
    with pytest.raises(latentbit.TruncatedError):
        Decoder(tiny).frames(tmp_path / "cut.lbit")
    with pytest.raises(ValueError, match="expected freeze"):
        Decoder(tiny).frames(path, conceal="blend")


def test_another_bundle_is_refused(tiny: Networks, tmp_path: Path) -> None:
    path = made(tmp_path, "wan22")
    latentbit.Encoder(latentbit.Bundle(path)).write(clip(1, 32, 32), tmp_path / "a.lbit")
    with pytest.raises(latentbit.BundleError, match=r"of the bundle wan22 .* of int8"):
        Decoder(tiny).frames(tmp_path / "a.lbit")
    export_onnx.export(TINY_BUNDLE.parent / "vae-tiny.safetensors", tmp_path / "vae")
    with pytest.raises(latentbit.BundleError, match="no tokenizer"):
        next(Encoder(Networks(tmp_path / "vae")).chunks(clip(1)))
    (tmp_path / "networks.json").write_text('{"format": "other"}')
    with pytest.raises(latentbit.BundleError, match=r"expected the format latentbit\.onnx/1, found 'other'"):
        Networks(tmp_path)


def test_the_command(tiny: Networks, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", clip(15))

    def command(*words: str | Path) -> subprocess.CompletedProcess[bytes]:
        line = [sys.executable, "-m", "latentbit.onnx", *map(str, words), "--provider", *CPU]
        return subprocess.run(line, capture_output=True, check=False)

    networks = tiny.folder
    told = command("encode", networks, tmp_path / "a.npy", tmp_path / "a.lbit", "--rate", "25")
    assert b"15 frames in 2 chunks" in told.stdout
    assert latentbit.open(tmp_path / "a.lbit").video.frame_rate == (25, 1)
    assert command("decode", networks, tmp_path / "a.lbit", tmp_path / "b.npy").returncode == 0
    back = np.load(tmp_path / "b.npy")
    assert back.shape == (15, 16, 24, 3)
    raw = command("decode", networks, tmp_path / "a.lbit", "-").stdout
    assert raw == back.tobytes()
    # What cannot be decoded leaves nothing behind, and what was there as it is.
    (tmp_path / "bad.lbit").write_bytes(damaged((tmp_path / "a.lbit").read_bytes(), 1))
    assert command("decode", networks, tmp_path / "bad.lbit", tmp_path / "b.npy").returncode == 1
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), back)
    assert not list(tmp_path.glob(".*"))
    wrong = command("decode", networks, tmp_path / "a.npy", "-")
    assert wrong.returncode == 1
    assert b"a.npy" in wrong.stderr
