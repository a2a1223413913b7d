"""What `make bench-archive` counts. Nothing here depends on speed."""

from __future__ import annotations

import shutil
from pathlib import Path

import archiving
import clips
import forms
import numpy as np
import pytest
import reading
import tables
from archiving import Figure, Package
from torch_archive import decode

import latentbit
from conftest import TINY_BUNDLE, file_bytes, tokens


def test_all_forms_hold_the_same_samples(tmp_path: Path) -> None:
    sources = []
    for number in range(2):
        sources.append(tmp_path / f"{number}.lbit")
        sources[-1].write_bytes(file_bytes([tokens(number), tokens(number + 2)]))
    (tmp_path / "laid").mkdir()
    places, steps = forms.lay_out(sources, 3, tmp_path / "laid")
    assert steps == [8] * 6
    reading.check(places, steps, 4)
    assert all(forms.size_of(place) > 0 for place in places.values())
    np.save(min(places["npy, mapped"].iterdir()), np.zeros((8, 3, 5), np.uint64))
    with pytest.raises(SystemExit, match="npy, mapped does not"):
        reading.check({name: places[name] for name in ("Parquet", "npy, mapped")}, steps, 4)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_the_package_encodes_all_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Package, "BATCH", 2)
    case = clips.Case(clips=3, frames=17, size=16)
    made, _ = clips.make(case, tmp_path, None)
    bundle = latentbit.Bundle(TINY_BUNDLE, dtype="f32")
    package = Package(made, tmp_path / "out", case, bundle, 2)
    assert package.turn() > 0
    expected = {
        path.stem: latentbit.Encoder(bundle, group=0, scene_cuts=False).tokens(decode(path, 16)).astype(np.uint64)
        for path in made.iterdir()
    }
    assert len(expected) == 3
    assert archiving.equal_bits(expected, package.out, bundle.bits) == 100


def test_equal_bits(tmp_path: Path) -> None:
    whole = tokens(0)
    other = whole.copy()
    other[0, 0, 0] ^= np.uint64(7)
    np.save(tmp_path / "a.npy", other)
    assert archiving.equal_bits({"a": whole}, tmp_path, 36) == 100 * (1 - 3 / (36 * whole.size))
    with pytest.raises(SystemExit, match="expected tokens"):
        archiving.equal_bits({"a": whole[:2]}, tmp_path, 36)


def test_a_report_tells_all_figures() -> None:
    figures = [
        Figure("2 clips", archiving.OURS, [1.0], 2.0, 10.0, 1.0, None),
        Figure("2 clips", "other", [2.0], 1.0, 5.0, 2.0, 99.5),
    ]
    assert archiving.disagreeing(figures) == [
        "2 clips: other: only 99.500 % of the bits are those of latentbit archive"
    ]
    columns = {f"{order}, {workers}": 1234.5 for order in reading.ORDERS for workers in reading.WORKERS}
    rows = [{"form": "npz", "bytes": 1000, **columns, "at random, 1": None}]
    read = {"clips": 1, "steps": 2, "bits": 36, "size": "8x8", "window": 8, "figures": rows}
    about = dict.fromkeys(("cpu", "threads", "instructions", "latentbit", "torch", "python", "date"), "x")
    text = tables.report(about, 2, figures, read)
    assert "| 2 clips | other | 1.00 | 5.00 | 2.00 | 99.500 % |" in text
    assert "| npz | 1,000 | 1,234 | 1,234 | - | 1,234 |" in text
