"""The PyTorch side, on a tiny bundle. Nothing here depends on speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import clip
import numpy as np
import pytest
from latentbit_training import bundle

ROOT = Path(__file__).resolve().parents[3]
TINY = ROOT / "testdata" / "golden" / "storage-int8.safetensors"
WIDTH, HEIGHT, FRAMES = 24, 16, 9
FIELDS = {
    "implementation", "bundle", "task", "size", "frames", "dtype", "threads", "cpu", "seconds", "fps", "base_mb",
    "peak_mb", "unfinished",
}


def run(task: str, source: Path, output: Path, *options: str, turns: str = "") -> list[dict[str, Any]]:
    command = [
        sys.executable, str(ROOT / "scripts" / "bench" / "peer.py"), "--bundle", str(TINY), "--task", task,
        "--input", str(source), "--output", str(output), "--size", f"{WIDTH}x{HEIGHT}", "--frames", str(FRAMES),
        "--threads", "1", "--warmup", "0", "--repeats", "2", "--json", *options,
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "training")}
    result = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, input=turns, text=True, env=environment
    )
    return [json.loads(line) for line in result.stdout.splitlines()]


def check(report: dict[str, Any], task: str, dtype: str) -> None:
    assert set(report) == FIELDS
    assert report["implementation"] == "torch-eager"
    assert (report["task"], report["dtype"], report["frames"], report["size"]) == (task, dtype, FRAMES, "24x16")
    assert len(report["seconds"]) == 2
    assert min(report["seconds"]) > 0
    assert report["fps"] > 0
    assert report["peak_mb"] >= report["base_mb"] > 0


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    path = tmp_path / "clip"
    clip.write(path, WIDTH, HEIGHT, FRAMES, None)
    return path


@pytest.mark.parametrize(("encoder", "decoder", "dtype"), [("encode", "decode", "bf16"),
                                                           ("vae-encode", "vae-decode", "f32")])
def test_every_task_reports(frames: Path, tmp_path: Path, encoder: str, decoder: str, dtype: str) -> None:
    coded, back = tmp_path / "coded", tmp_path / "back"
    reports = run(encoder, frames, coded, "--dtype", dtype, "--turns", turns="\n\n")
    assert len(reports) == 3
    for report in reports:
        check(report, encoder, dtype)
    (report,) = run(decoder, coded, back, "--dtype", dtype)
    check(report, decoder, dtype)

    config, _, _ = bundle.load(TINY)
    assert config.tokenizer
    time, rows, columns = config.vae.strides
    latent = (-(-FRAMES // time), HEIGHT // rows, WIDTH // columns)
    if encoder == "encode":
        # Two latent frames make a token; the third, of the same chunk, has its own.
        tokens = np.fromfile(coded, "<u8")
        sides = [-(-side // patch) for side, patch in zip(latent, config.tokenizer.patch, strict=True)]
        assert tokens.size == np.prod(sides)
        assert tokens.max() < 1 << config.tokenizer.bits
    else:
        assert np.fromfile(coded, "<f4").size == np.prod(latent) * config.vae.latent_channels
    assert back.stat().st_size == WIDTH * HEIGHT * FRAMES * 3


def test_a_run_that_takes_too_long_is_given_up(frames: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    (report,) = run("encode", frames, output, "--give-up", "1e-9", "--turns", turns="\n\n")
    assert report["unfinished"]
    assert len(report["seconds"]) == 1
    assert report["fps"] == FRAMES / report["seconds"][0]
    assert not output.exists()
    finished = run("encode", frames, output, "--give-up", "600")
    assert not any(report["unfinished"] for report in finished)
    assert output.exists()


def test_the_pattern_moves_and_is_always_the_same() -> None:
    first, again = clip.pattern(32, 16, 3), clip.pattern(32, 16, 3)
    assert first.shape == (3, 16, 32, 3)
    assert (first == again).all()
    assert (first[0] != first[1]).mean() > 0.5
