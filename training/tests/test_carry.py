from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Trained

from latentbit_training import pack, slim, train_vae
from latentbit_training.data import load
from latentbit_training.loop import Run


@pytest.mark.parametrize("form", ["webp", "jpeg"])
def test_a_packed_cache_is_nearly_the_cache(cached: Path, tmp_path: Path, form: str) -> None:
    found = pack.pack(cached, tmp_path / "small.zip", 5, form=form, quality=95)
    entries = json.loads((cached / "cache.json").read_text())
    assert found == {kind: len(entries[kind]) for kind in pack.KINDS}
    assert pack.unpack(tmp_path / "small.zip", tmp_path / "back") == found
    names = {kind: [entry["file"] for entry in json.loads((tmp_path / "back" / "cache.json").read_text())[kind]]
             for kind in pack.KINDS}
    for kind in pack.KINDS:
        before = {entry["file"]: clip for entry, clip in zip(entries[kind], load(cached, kind), strict=True)}
        for name, clip in zip(names[kind], load(tmp_path / "back", kind), strict=True):
            expected = before[name].frames.astype(int)
            assert np.abs(clip.frames - expected).mean() < 4
            assert clip.weight == before[name].weight


def test_a_packed_cache_is_as_small_as_asked_for(cached: Path, tmp_path: Path) -> None:
    found = pack.pack(cached, tmp_path / "small.zip", 0.006, videos=0)
    assert 0 < found["images"] < 4
    assert found["videos"] == 0
    assert (tmp_path / "small.zip").stat().st_size < 6000


def test_a_slim_checkpoint_goes_on(trained: Trained, tmp_path: Path) -> None:
    source = trained.vae / "checkpoint.pt"
    parts = slim.slim(source, tmp_path / "parts", part_mb=0.05)
    assert len(parts) > 1
    assert sum(path.stat().st_size for path in parts) < source.stat().st_size / 3
    slim.restore(tmp_path / "parts", tmp_path / "run" / "checkpoint.pt")
    before = torch.load(source, weights_only=False)
    after = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=False)
    assert (after["step"], after["seconds"]) == (before["step"], before["seconds"])
    for name, value in before["ema"].items():
        torch.testing.assert_close(after["model"][name], value, rtol=1e-3, atol=1e-6)
        assert torch.equal(after["ema"][name], after["model"][name])
    slim.main(["--both", str(source), str(tmp_path / "both")])
    slim.main(["--restore", str(tmp_path / "both"), str(tmp_path / "run" / "checkpoint.pt")])
    after = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=False)
    for part in ("model", "ema"):
        for name, value in before[part].items():
            torch.testing.assert_close(after[part][name], value, rtol=1e-3, atol=1e-6)
    # What was carried is enough: the run goes on.
    train_vae.main([*trained.vae_command, "--out", str(tmp_path / "run"), "--steps", str(before["step"] + 1)])
    assert torch.load(tmp_path / "run" / "vae.pt", weights_only=False)["step"] == before["step"] + 1
    with pytest.raises(ValueError, match="no parts"):
        slim.restore(tmp_path, tmp_path / "run" / "checkpoint.pt")


def test_a_call_pauses_and_the_next_goes_on(cached: Path, tmp_path: Path) -> None:
    command = ["--cache", str(cached), "--out", str(tmp_path), "--preset", "tiny", "--no-compile", "--device", "cpu",
               "--image-size", "16", "--image-batch", "2", "--clip-share", "0", "--steps", "100000", "--log-every", "1"]
    steps = []
    for _ in range(2):
        train_vae.main([*command, "--pause-after", "0.01"])
        steps.append(torch.load(tmp_path / "vae.pt", weights_only=False)["step"])
    assert 0 < steps[0] < steps[1] < 100000
    assert not Run(tmp_path).paused(0)
