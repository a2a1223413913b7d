"""What data sets add to tokens: columns of a manifest, a place to resume from, and files elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import latentbit
from conftest import damaged, file_bytes, tokens, without_index, write_tar
from latentbit import _remote
from latentbit.torch import TokenDataset

Folder = Callable[[dict[str, bytes]], Path]
ROWS: list[dict[str, Any]] = [
    {"key": "a", "caption": "a cat", "label": 3, "score": 0.5},
    {"key": "b", "caption": None, "label": 4, "score": 1.5},
    {"key": "c", "caption": "unused", "label": 5, "score": 2.5},
]


def two_files(folder_of: Folder) -> Path:
    return folder_of({"x/a.lbit": file_bytes([tokens(0)]), "b.lbit": file_bytes([tokens(1), tokens(2)])})


def write_manifest(folder: Path, ending: str) -> Path:
    place = folder / f"manifest.{ending}"
    if ending == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
        arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        parquet.write_table(arrow.Table.from_pylist(ROWS), place)
    elif ending == "jsonl":
        place.write_text("\n".join(map(json.dumps, ROWS)))
    else:
        line = {"csv": ",", "tsv": "\t"}[ending]
        cells = [list(ROWS[0]), *([str(value or "") for value in row.values()] for row in ROWS)]
        place.write_text("\n".join(line.join(row) for row in cells))
    return place


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "csv", "tsv"])
def test_columns_of_a_manifest_are_in_samples(folder_of: Folder, ending: str) -> None:
    folder = two_files(folder_of)
    table = write_manifest(folder, ending)
    dataset = TokenDataset(folder, window=4, columns=["caption", "label"], manifest=table)
    by_name = {sample["name"]: sample for sample in (dataset[index] for index in range(3))}
    assert by_name["a.lbit"]["caption"] == "a cat"
    assert by_name["b.lbit"]["caption"] == ""
    assert int(by_name["b.lbit"]["label"]) == 4
    assert "score" not in by_name["a.lbit"]
    everything = TokenDataset(folder, window=4, columns=True, manifest=table)[0]
    assert {"caption", "label", "score"} <= everything.keys()
    (batch,) = DataLoader(dataset, batch_size=3, num_workers=2)
    assert sorted(batch["caption"]) == ["", "", "a cat"]


def test_a_manifest_is_found_or_given(folder_of: Folder) -> None:
    folder = two_files(folder_of)
    with pytest.raises(FileNotFoundError, match="manifest="):
        TokenDataset(folder, columns=["caption"])
    given = {row["key"]: row for row in ROWS}
    assert TokenDataset(folder, columns=["label"], manifest=given)[0]["label"] == 4
    write_manifest(folder, "parquet")
    assert TokenDataset(folder, columns=["label"])[0]["label"] == 4
    for options, match in (
        ({"columns": ["colour"]}, "has caption, label, score, and no colour"),
        ({"columns": ["name"], "manifest": {"a": {"name": 1}, "b": {"name": 2}}}, "a sample has its own name"),
        ({"columns": ["label"], "manifest": {"a": {"label": 1}}}, "no row for 1 files, b.lbit for one"),
        ({"columns": True, "manifest": folder / "b.lbit"}, r"ends in \.parquet"),
    ):
        with pytest.raises(ValueError, match=match):
            TokenDataset(folder, **options)


def test_lost_chunks_are_told(folder_of: Folder) -> None:
    data = without_index(damaged(file_bytes([tokens(0), tokens(1)]), 1))
    with pytest.warns(latentbit.LossWarning, match=r"1 chunks in 1 files are lost, the first one in .*a\.lbit"):
        TokenDataset(folder_of({"a.lbit": data}), window=4)


def many(folder_of: Folder) -> TokenDataset:
    return TokenDataset(
        folder_of({f"{number:02}.lbit": file_bytes([tokens(number), tokens(number + 50)]) for number in range(9)}),
        window=2,
    )


def names(samples: Any) -> list[tuple[str, int]]:
    return [(sample["name"], sample["first_frame"]) for sample in samples]


def test_a_pass_is_resumed_where_it_stood(folder_of: Folder) -> None:
    dataset = many(folder_of)

    def fresh(**options: Any) -> Any:
        return dataset.iterable(**{"seed": 3, "rank": 1, "world_size": 2, **options})

    stream = fresh()
    stream.set_epoch(7)
    whole = names(stream)
    assert len(whole) == 18
    for cut in (0, 1, 7, 18):
        stream = fresh()
        stream.set_epoch(7)
        samples = iter(stream)
        before = names(next(samples) for _ in range(cut))
        other = fresh()
        other.load_state_dict(json.loads(json.dumps(stream.state_dict())))
        assert before + names(other) == whole
        # Only that pass.
        assert len(names(other)) == 18
    for change in ({"seed": 4}, {"rank": 0}, {"world_size": 3}, {"shuffle": False}, {"even": False}):
        with pytest.raises(ValueError, match=next(iter(change))):
            fresh(**change).load_state_dict(stream.state_dict())


@pytest.mark.parametrize("workers", [0, 2])
def test_torchdata_resumes_with_workers(folder_of: Folder, workers: int) -> None:
    loaders = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is not installed")
    dataset = many(folder_of)

    def loader() -> Any:
        stream = dataset.iterable(seed=5, rank=0, world_size=2)
        stream.set_epoch(2)
        return loaders.StatefulDataLoader(stream, batch_size=3, num_workers=workers)

    def told(batch: dict[str, Any]) -> list[tuple[str, int]]:
        return list(zip(batch["name"], batch["first_frame"].tolist(), strict=True))

    whole = [told(batch) for batch in loader()]
    for cut in (1, 4):
        first = loader()
        batches = iter(first)
        before = [told(next(batches)) for _ in range(cut)]
        state = first.state_dict()
        del batches
        second = loader()
        second.load_state_dict(state)
        assert before + [told(batch) for batch in second] == whole


@pytest.fixture
def memory() -> Any:
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


def test_files_are_read_by_their_address(memory: Any, tmp_path: Path) -> None:
    whole = {name: file_bytes([tokens(seed), tokens(seed + 1)]) for name, seed in (("a.lbit", 0), ("b.lbit", 5))}
    inside = {"k.lbit": file_bytes([tokens(9)]), "k.json": b"{}", "l.lbit": file_bytes([tokens(8)])}
    write_tar(tmp_path / "s.tar", inside)
    for name, data in {**whole, "s.tar": (tmp_path / "s.tar").read_bytes()}.items():
        memory.pipe(f"/data/{name}", data)
    file = latentbit.open("memory://data/a.lbit")
    assert file.name == "memory://data/a.lbit"
    np.testing.assert_array_equal(file[1].tokens, tokens(1))
    with pytest.raises(FileNotFoundError):
        latentbit.open("memory://data/none.lbit")
    local = tmp_path / "data"
    local.mkdir()
    for name in memory.ls("/data", detail=False):
        (local / Path(name).name).write_bytes(memory.cat(name))
    here = TokenDataset(local, window=4)
    each = [f"memory://data/{name}" for name in (*whole, "s.tar")]
    for sources in ("memory://data", "memory://data/", "memory://data/*", each):
        there = TokenDataset(sources, window=4, cache=tmp_path / "lists")
        assert len(there) == len(here) == 6
        for index in range(6):
            assert there[index]["name"] == here[index]["name"]
            torch.testing.assert_close(there[index]["tokens"], here[index]["tokens"])
    with pytest.raises(FileNotFoundError, match=r"memory://data/\*\.none"):
        TokenDataset("memory://data/*.none")
    with pytest.raises(ValueError, match="name a folder on this machine"):
        TokenDataset("memory://data/s.tar", cache=True)


def test_copies_take_no_more_than_they_may(memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        memory.pipe(f"/data/{number}.lbit", file_bytes([tokens(number)]))
    size = len(memory.cat("/data/0.lbit"))
    copies = tmp_path / "copies"
    dataset = TokenDataset("memory://data", window=4, copies=copies, copies_size=int(size * 3.2))
    monkeypatch.setattr("latentbit.torch.MOST_FILES", 1)
    for _ in range(2):
        for index in range(6):
            np.testing.assert_array_equal(dataset[index]["tokens"].numpy().view(np.uint64), tokens(index))
            held = [path.stat().st_size for path in copies.iterdir()]
            assert sum(held) <= size * 3.2
    assert len(held) == 3
    with pytest.raises(ValueError, match="raise copies_size"):
        TokenDataset("memory://data", window=4, copies=copies, copies_size=size // 2)[0]


def test_what_fails_for_a_moment_is_tried_again(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe("/data/a.lbit", file_bytes([tokens(0)]))
    monkeypatch.setattr(_remote, "PAUSE", 0.0)
    real = type(memory).cat_file
    failures = 0

    def flaky(self: Any, path: str, start: int | None = None, end: int | None = None, **rest: Any) -> bytes:
        nonlocal failures
        failures += 1
        if failures % 3 == 1:
            raise ConnectionResetError("reset")
        data: bytes = real(self, path, start=start, end=end, **rest)
        return data[:-1] if failures % 3 == 2 else data

    monkeypatch.setattr(type(memory), "cat_file", flaky)
    np.testing.assert_array_equal(latentbit.open("memory://data/a.lbit")[0].tokens, tokens(0))
    assert failures > 3

    def broken(*_: Any, **__: Any) -> bytes:
        raise ConnectionResetError("reset")

    monkeypatch.setattr(type(memory), "cat_file", broken)
    with pytest.raises(OSError, match=r"memory://data/a\.lbit.*5 tries failed.*reset"):
        latentbit.open("memory://data/a.lbit")
