"""Tiny seeded data, and one short training that several tests look at."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from latentbit_training import cache, config, golden, train_tokenizer, train_vae
from latentbit_training.tokenizer import Tokenizer
from latentbit_training.vae import WanVae

Frames = npt.NDArray[np.uint8]
ROOT = Path(__file__).parents[2]
COMMAND = next((path for path in (Path(os.environ.get("LATENTBIT", "-")), ROOT / "target" / "release" / "latentbit",
                                  ROOT / "target" / "debug" / "latentbit") if path.is_file()), None)
"""The codec's command, where it is built."""
CLIP_FRAMES, CLIP_SIZE = 20, (48, 64)


@pytest.fixture(autouse=True)
def _one_thread_one_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(7)


def picture(height: int, width: int, seed: int) -> Frames:
    """Smooth colours: crops of different places and pictures differ, neighbouring pixels hardly."""
    y, x = np.mgrid[:height, :width]
    turn = 0.05 + 0.02 * np.random.default_rng(seed).random(3)
    waves = [np.sin(turn[c] * (x + (c + 1) * y) + seed) for c in range(3)]
    return np.round(127.5 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)


def write_clip(path: Path, frames: Frames) -> None:
    """A lossless clip: what is read from it is exactly `frames`."""
    height, width = frames.shape[1:3]
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    command += ["-r", "10", "-i", "-", "-c:v", "ffv1", "-pix_fmt", "bgr0", str(path)]
    subprocess.run(command, input=frames.tobytes(), check=True)


def counting_clip() -> Frames:
    """Frame t is of one colour, 10 t."""
    levels = 10 * np.arange(CLIP_FRAMES, dtype=np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (CLIP_FRAMES, *CLIP_SIZE, 3)).copy()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures of two collections and a clip."""
    folder = tmp_path_factory.mktemp("data")
    for kind in ("images", "videos"):
        (folder / kind).mkdir()
    for seed, name in enumerate(("sea_0", "sea_1", "sea_2", "hill_0")):
        Image.fromarray(picture(72 + 8 * seed, 96, seed)).save(folder / "images" / f"{name}.png")
    write_clip(folder / "videos" / "count_0.mkv", counting_clip())
    return folder


@pytest.fixture(scope="session")
def cached(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of `data`."""
    out = tmp_path_factory.mktemp("cache")
    cache.build(data, out)
    return out


def make_vae(name: str) -> WanVae:
    """A VAE of random weights, gains and biases included."""
    configs = {"tiny": config.tiny, "tiny22": config.tiny22, "small-wan": golden.small_wan}
    vae = WanVae(golden.statistics(configs[name]())).eval().requires_grad_(False)
    golden.stir(vae)
    return vae


@pytest.fixture(params=["tiny", "tiny22", "small-wan"])
def vae(request: pytest.FixtureRequest) -> WanVae:
    return make_vae(request.param)


@pytest.fixture
def make_tokenizer() -> Callable[..., Tokenizer]:
    def make(**changes: Any) -> Tokenizer:
        model = Tokenizer(replace(config.TOKENIZER_PRESETS["tiny"](), **changes)).eval().requires_grad_(False)
        golden.stir(model)
        return model

    return make


@dataclass(frozen=True)
class Trained:
    """Folders of the two runs, and the commands that made them (without the number of steps)."""

    vae: Path
    tokenizer: Path
    vae_command: list[str]
    tokenizer_command: list[str]


COMMON = ["--preset", "tiny", "--no-compile", "--device", "cpu", "--log-every", "1", "--save-every", "20"]


@pytest.fixture(scope="session")
def trained(cached: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Both trainings for a few steps."""
    folder = tmp_path_factory.mktemp("runs")
    vae_command = [*COMMON, "--cache", str(cached), "--image-batch", "4", "--image-size", "16", "24",
                   "--clip-batch", "2", "--clip-frames", "5", "--clip-size", "16", "--rate", "0.01"]
    train_vae.main([*vae_command, "--out", str(folder / "vae"), "--steps", "40"])
    tokenizer_command = [*COMMON, "--cache", str(cached), "--vae", str(folder / "vae" / "vae.pt"), "--size", "16",
                         "--image-batch", "4", "--clip-batch", "1"]
    train_tokenizer.main([*tokenizer_command, "--out", str(folder / "tokenizer"), "--steps", "12"])
    return Trained(folder / "vae", folder / "tokenizer", vae_command, tokenizer_command)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty hub: what it has and was asked for (`python/tests/hub_server.py`)."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="huggingface_hub is not installed")
    spec = importlib.util.spec_from_file_location("hub_server", ROOT / "python" / "tests" / "hub_server.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.hub_server() as (endpoint, handler):
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        # Read once, when the library is loaded.
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE",
                            endpoint + "/{repo_id}/resolve/{revision}/{filename}")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        yield handler
