"""A cluster of several workers on this machine, one of which is killed midway."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latentbit
from conftest import TINY_BUNDLE, clip, file_bytes, tokens, write_tar

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'latentbit[ray]'")
pytest.importorskip("ray.data", reason="ray[data] is not installed: pip install 'latentbit[ray]'")

KEYS = [f"set/clip-{number}" for number in range(8)]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        # Workers load functions of this file by its name.
        patched.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        ray.init(num_cpus=3, include_dashboard=False, logging_level="ERROR", object_store_memory=200 * 2**20)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield
        ray.shutdown()


def frames_of(key: str) -> np.ndarray[Any, Any]:
    return np.roll(clip(15), 3 * int(key[-1]), axis=2)


def expected(key: str) -> np.ndarray[Any, Any]:
    encoder = latentbit.Encoder(TINY_BUNDLE, dtype="f32", threads=1)
    return encoder.tokens(frames_of(key))


def test_an_archive_survives_the_death_of_a_worker(tmp_path: Path) -> None:
    import latentbit.ray

    marker = tmp_path / "killed"

    def load(row: dict[str, Any]) -> Iterator[np.ndarray[Any, Any]]:
        yield frames_of(row["key"])[:7]
        if row["key"] == KEYS[4] and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if row["key"] == KEYS[5]:
            raise ConnectionError("the clip is gone")
        yield frames_of(row["key"])[7:]

    out = tmp_path / "out"
    ds = ray.data.from_items([{"key": key, "label": at} for at, key in enumerate(KEYS)], override_num_blocks=8)
    options: dict[str, Any] = {"frames": load, "frame_rate": 25, "actors": 2, "model": str(TINY_BUNDLE), "dtype": "f32"}
    records = {row["key"]: row for row in latentbit.ray.archive(ds, out, **options).take_all()}
    assert marker.exists()
    assert sorted(records) == KEYS
    assert records[KEYS[5]]["error"] == "ConnectionError: the clip is gone"
    good = [key for key in KEYS if key != KEYS[5]]
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.*")) == [f"{key}.lbit" for key in good]
    for key in good:
        np.testing.assert_array_equal(latentbit.open(out / f"{key}.lbit").read_tokens(), expected(key))
        assert records[key]["error"] is None
        assert records[key]["frames"] == 15
        assert records[key]["label"] == KEYS.index(key)
    # Once more: only what is not there is made.
    times = {key: (out / f"{key}.lbit").stat().st_mtime_ns for key in good}
    (out / f"{KEYS[0]}.lbit").unlink()
    latentbit.ray.archive(ds, out, **options)
    assert (out / f"{KEYS[0]}.lbit").exists()
    assert all((out / f"{key}.lbit").stat().st_mtime_ns == times[key] for key in good[1:])


def test_shards_go_out_and_come_back(tmp_path: Path) -> None:
    import latentbit.ray
    from latentbit.torch import TokenDataset

    keys = [*KEYS[:4], "../escape"]
    ds = ray.data.from_items([{"key": key, "frames": clip(15)} for key in keys], override_num_blocks=2)
    encoded = latentbit.ray.encode(ds, model=str(TINY_BUNDLE), dtype="f32")
    for _ in range(2):
        shards = latentbit.ray.write_shards(encoded, tmp_path / "shards", samples=3).take_all()
        assert sum(shard["samples"] for shard in shards) == 4
        assert {str(path) for path in (tmp_path / "shards").iterdir()} == {shard["path"] for shard in shards}
    dataset = TokenDataset(tmp_path / "shards")
    assert {dataset[index]["name"] for index in range(len(dataset))} == {f"{key}.lbit" for key in KEYS[:4]}


def test_tokens_are_a_source(tmp_path: Path) -> None:
    import latentbit.ray

    parts = [tokens(0), tokens(1)]
    write_tar(tmp_path / "a.tar", {"x.lbit": file_bytes(parts), "y.lbit": file_bytes(parts[1:])})
    rows = latentbit.ray.read_tokens(tmp_path / "a.tar", window=4, target="factors", factors=(18, 18)).take_all()
    assert sorted((row["name"], row["first_frame"]) for row in rows) == [("x.lbit", 0), ("x.lbit", 13), ("y.lbit", 0)]
    for row in rows:
        part = parts[1] if (row["name"], row["first_frame"]) != ("x.lbit", 0) else parts[0]
        np.testing.assert_array_equal(row["factors"][..., 0], part & np.uint64(2**18 - 1))
