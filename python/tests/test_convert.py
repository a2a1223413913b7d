"""Data sets of other libraries: written by us, read by each of these alone, and made files again."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latentbit
from conftest import TINY_BUNDLE, clip, file_bytes, tokens, video, without_index
from latentbit.convert import records_of, write_files
from latentbit.convert.__main__ import main

Reader = Callable[[Path], dict[str, dict[str, Any]]]

CAPTIONS = {"a": {"caption": "a cat", "label": 3}, "b": {"caption": "", "label": 4}}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two files of 36 bits, one of several chunks and segments, in a folder."""
    place = tmp_path / "in"
    place.mkdir()
    whole = file_bytes([tokens(0), tokens(1), tokens(2, steps=2)], keys=(0, 2), segments=(0, 0, 1), metadata={"x": "y"})
    (place / "a.lbit").write_bytes(whole)
    # Its second chunk lost planes on the way.
    with latentbit.Writer(place / "b.lbit", video(), coder="zstd") as writer:
        writer.write(tokens(7), key=True)
        writer.write(tokens(8, bits=20), key=False, bits=20)
    return place


def same(one: Path, other: Path) -> None:
    """Raises unless both files say the same."""
    left, right = latentbit.open(one), latentbit.open(other)
    assert left.video == right.video
    assert left.metadata == right.metadata
    for name, values in left.table.items():
        np.testing.assert_array_equal(values, right.table[name], name)
    np.testing.assert_array_equal(left.read_tokens(), right.read_tokens())
    np.testing.assert_array_equal(left.read_depths(), right.read_depths())


def by_mds(place: Path) -> dict[str, dict[str, Any]]:
    from streaming import StreamingDataset

    dataset = StreamingDataset(local=str(place), shuffle=False, batch_size=1)
    return {dataset[number]["key"]: dataset[number] for number in range(len(dataset))}


def by_litdata(place: Path) -> dict[str, dict[str, Any]]:
    from litdata import StreamingDataset

    dataset = StreamingDataset(str(place))
    return {dataset[number]["key"]: dataset[number] for number in range(len(dataset))}


def by_zarr(place: Path) -> dict[str, dict[str, Any]]:
    import zarr

    root = zarr.open_group(str(place), mode="r")
    return {key: {"tokens": group["tokens"][:], **group.attrs} for key, group in root.groups()}


def by_datasets(place: Path) -> dict[str, dict[str, Any]]:
    from datasets import load_from_disk

    return {row["key"]: row for row in load_from_disk(str(place))}


READERS: dict[str, tuple[str, Reader]] = {
    "mds": ("streaming", by_mds),
    "litdata": ("litdata", by_litdata),
    "zarr": ("zarr", by_zarr),
    "datasets": ("datasets", by_datasets),
}


def library(name: str) -> Any:
    pytest.importorskip(READERS[name][0], reason=f"{READERS[name][0]} is not installed")
    return importlib.import_module(f"latentbit.convert.{name}")


@pytest.mark.parametrize("name", READERS)
def test_tokens_are_arrays_of_the_library(name: str, files: Path, tmp_path: Path) -> None:
    module = library(name)
    assert module.write(records_of(files, columns=["caption", "label"], manifest=CAPTIONS), tmp_path / "out") == 2
    found = READERS[name][1](tmp_path / "out")
    assert found.keys() == CAPTIONS.keys()
    for key, record in found.items():
        np.testing.assert_array_equal(np.asarray(record["tokens"]), latentbit.open(files / f"{key}.lbit").read_tokens())
        assert {name: record[name] for name in ("caption", "label")} == CAPTIONS[key]
    assert write_files(module.read(tmp_path / "out"), tmp_path / "back") == 2
    for key in CAPTIONS:
        same(files / f"{key}.lbit", tmp_path / f"back/{key}.lbit")
    rows = [json.loads(line) for line in (tmp_path / "back/manifest.jsonl").read_text().splitlines()]
    assert {row.pop("key"): row for row in rows} == CAPTIONS


@pytest.mark.parametrize("name", READERS)
def test_elastic_files_keep_their_depths(name: str, tmp_path: Path) -> None:
    module = library(name)
    place = tmp_path / "in"
    place.mkdir()
    bundle = latentbit.Bundle(TINY_BUNDLE, dtype="f32")
    latentbit.Encoder(bundle, crf=25).write(clip(30), place / "e.lbit", frame_rate=24, metadata={"title": "t"})
    module.write(records_of(place), tmp_path / "out")
    write_files(module.read(tmp_path / "out"), tmp_path / "back")
    same(place / "e.lbit", tmp_path / "back/e.lbit")


@pytest.mark.parametrize("name", ["mds", "litdata", "datasets"])
def test_whole_files_are_kept_byte_for_byte(name: str, files: Path, tmp_path: Path) -> None:
    module = library(name)
    module.write(records_of(files, form="lbit"), tmp_path / "out")
    write_files(module.read(tmp_path / "out"), tmp_path / "back")
    for key in CAPTIONS:
        assert (tmp_path / f"back/{key}.lbit").read_bytes() == (files / f"{key}.lbit").read_bytes()


def test_a_feature_opens_files_as_they_are_asked_for(files: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    feature = library("datasets").LatentBit
    paths = sorted(files.glob("*.lbit"))
    expected = [latentbit.open(path).read_tokens() for path in paths]
    of_paths = datasets.Dataset.from_dict({"clip": [str(path) for path in paths]}).cast_column("clip", feature())
    data = [path.read_bytes() for path in paths]
    of_bytes = datasets.Dataset.from_dict({"clip": data}).cast_column("clip", feature())
    for dataset in (of_paths, of_bytes):
        assert isinstance(dataset[0]["clip"], latentbit.File)
        for row, values in zip(dataset, expected, strict=True):
            np.testing.assert_array_equal(row["clip"].read_tokens(), values)
    of_paths.to_parquet(str(tmp_path / "a.parquet"))
    back = datasets.Dataset.from_parquet(str(tmp_path / "a.parquet"), cache_dir=str(tmp_path / "cache"))
    np.testing.assert_array_equal(back[1]["clip"].read_tokens(), expected[1])
    raw = of_bytes.cast_column("clip", feature(decode=False))[0]["clip"]
    assert raw["bytes"] == paths[0].read_bytes()
    with pytest.raises(TypeError, match="found int"):
        feature().encode_example(3)


def test_a_shell_converts(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library("zarr")
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"key": key, **row}) + "\n" for key, row in CAPTIONS.items()))
    line = ["to", "zarr", str(files), "-o", str(tmp_path / "z"), "--columns", "--manifest", str(tmp_path / "t.jsonl")]
    assert main(line) == 0
    assert main(["from", "zarr", str(tmp_path / "z"), "-o", str(tmp_path / "back")]) == 0
    assert "2 clips" in capsys.readouterr().out
    for key in CAPTIONS:
        same(files / f"{key}.lbit", tmp_path / f"back/{key}.lbit")
    assert main(["to", "zarr", str(tmp_path / "none"), "-o", str(tmp_path / "z")]) == 1
    assert "none" in capsys.readouterr().err


def test_what_cannot_be_kept_is_told(files: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tokens, lbit"):
        next(records_of(files, form="bits"))
    (files / "sub").mkdir()
    (files / "sub/a.lbit").write_bytes(file_bytes([tokens(3)]))
    with pytest.raises(ValueError, match="another file has the key 'a'"):
        list(records_of(files))
    lossy = file_bytes([tokens(0), tokens(1)])
    at = lossy.rindex(b"CHNK")
    (tmp_path / "l.lbit").write_bytes(without_index(lossy[: at + 78] + bytes([lossy[at + 78] ^ 1]) + lossy[at + 79 :]))
    with pytest.raises(latentbit.LatentBitError, match="chunk 1"):
        list(records_of(tmp_path / "l.lbit"))
    for key in ("", "../a", ".a", "a/b"):
        with pytest.raises(ValueError, match="name of a file"):
            write_files([{"key": key, "lbit": lossy}], tmp_path / "out")
    with pytest.raises(latentbit.FormatError):
        write_files([{"key": "a", "lbit": b"no such file"}], tmp_path / "out")
    record = next(records_of(files / "b.lbit"))
    with pytest.raises(latentbit.FormatError, match="8 steps"):
        write_files([{**record, "tokens": record["tokens"][:3]}], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == []
