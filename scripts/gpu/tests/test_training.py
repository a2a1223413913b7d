"""`train` in two calls on a tiny bundle, the second one from the kept checkpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from latentbit_gpu import training
from latentbit_gpu.paths import TINY
from latentbit_training import bundle, pack
from latentbit_training.config import VAE_PRESETS, BundleConfig

SMALL = ["--", "--no-compile", "--image-batch", "2", "--clip-share", "0", "--log-every", "1"]


def cache(folder: Path) -> Path:
    """Pictures without videos."""
    folder.mkdir()
    shape = (1, 64, 80, 3)
    pictures = np.random.default_rng(1).integers(0, 255, (4, *shape), np.uint8)
    (folder / "images.bin").write_bytes(pictures.tobytes())
    (folder / "videos.bin").touch()
    size = int(np.prod(shape))
    images = [{"file": f"a_{n}.png", "source": "a", "offset": n * size, "shape": list(shape)} for n in range(4)]
    (folder / "cache.json").write_text(json.dumps({"images": images, "videos": []}))
    return folder


def test_a_run_goes_on_from_what_was_kept(tmp_path: Path) -> None:
    packed, kept = tmp_path / "small.zip", tmp_path / "kept"
    pack.pack(cache(tmp_path / "cache"), packed, 1)
    steps = []
    for turn in ("first", "second"):
        # The second call is on a bare machine.
        run, exported = tmp_path / turn / "vae", tmp_path / f"{turn}.safetensors"
        words = ["vae", "--data", str(packed), "--run", str(run), "--init", str(TINY), "--device", "cpu"]
        words += ["--total", "0.2", "--minutes", "0.05", "--keep", str(kept), "--export", str(exported)]
        assert training.main([*words, *SMALL]) == 0
        steps.append(torch.load(run / "checkpoint.pt", weights_only=False)["step"])
        config, _, tokenizer = bundle.load(exported)
        assert tokenizer is not None
        assert config.training["vae"]["steps"] >= steps[-1]
    assert 0 < steps[0] < steps[1]


def test_a_network_of_another_shape_is_trained_from_scratch(tmp_path: Path) -> None:
    """VAE, then a tokenizer with a depth head on it, rehearsed and run."""
    data, out = cache(tmp_path / "cache"), tmp_path / "runs"
    shape = json.loads(BundleConfig("tiny", replace(VAE_PRESETS["tiny"](), latent_channels=6)).to_json())["vae"]
    (tmp_path / "vae.json").write_text(json.dumps(shape))
    (tmp_path / "tokenizer.json").write_text(json.dumps({"depth_step": 4}))
    common = ["--data", str(data), "--device", "cpu", "--total", "0.2", "--minutes", "0.02"]
    vae = ["vae", "--config", str(tmp_path / "vae.json"), "--run", str(out / "vae"), *common]
    assert training.main([*vae, "--rehearse", "--", "--clip-share", "0"]) == 0
    assert torch.load(out / "vae-rehearsal" / "vae.pt", weights_only=False)["step"] == 2
    assert not (out / "vae").exists()
    assert training.main([*vae, *SMALL]) == 0

    tokenizer = ["tokenizer", "--config", str(tmp_path / "tokenizer.json"), "--run", str(out / "tokenizer"), *common]
    with pytest.raises(SystemExit):
        training.main(tokenizer)
    tokenizer += ["--vae", str(out / "vae" / "vae.pt"), "--export", str(tmp_path / "whole.safetensors")]
    elastic = ["--depths", "token", "--preset", "tiny", "--size", "16"]
    assert training.main([*tokenizer, "--rehearse", "--", "--clip-share", "0", *elastic]) == 0
    assert training.main([*tokenizer, *SMALL, *elastic]) == 0
    config, _, model = bundle.load(tmp_path / "whole.safetensors")
    assert model is not None
    assert model.depth_head is not None
    assert config.vae.latent_channels == model.config.latent_channels == 6
