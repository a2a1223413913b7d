"""Shards as other programs read them: with our hook, and with no code of ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import latentbit
import latentbit.webdataset
from conftest import Tokens, damaged, file_bytes, npy, tokens, without_index, write_tar

KEYS = ("clip-0", "clip-1", "clip-2")


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A shard as `latentbit archive` makes it: of each clip the file, what is known of it, and its tokens."""
    members = {}
    for number, key in enumerate(KEYS):
        members[f"{key}.lbit"] = file_bytes(parts_of(number), keys=(0, 1))
        members[f"{key}.json"] = json.dumps({"label": number}).encode()
        members[f"{key}.tokens.npy"] = npy(np.concatenate(parts_of(number)))
    place = tmp_path / "shard-000000.tar"
    write_tar(place, members)
    return place


def parts_of(number: int) -> list[Tokens]:
    return [tokens(10 * number + part) for part in range(3)]


def test_a_decoder_leaves_other_members_alone() -> None:
    data = file_bytes(parts_of(0))
    handle = latentbit.webdataset.decoder()
    assert handle(".json", b"{}") is None
    assert handle(".tokens.npy", b"") is None
    np.testing.assert_array_equal(handle(".lbit", data).read_tokens(), np.concatenate(parts_of(0)))
    whole = np.concatenate(parts_of(0))
    np.testing.assert_array_equal(latentbit.webdataset.decoder("tokens", bits=9)("lbit", data), whole & np.uint64(511))
    assert latentbit.webdataset.decoder("bits")(".lbit", data).shape == (*whole.shape, 36)
    assert latentbit.webdataset.decoder("factors", factors=(18, 18))(".lbit", data).shape == (*whole.shape, 2)
    with pytest.raises(latentbit.LostChunkError, match="chunk 1"):
        latentbit.webdataset.decoder("tokens")(".lbit", without_index(damaged(data, 1)))
    with pytest.raises(ValueError, match="bits and factors"):
        latentbit.webdataset.decoder(bits=3)


def test_windows_of_samples() -> None:
    data = file_bytes(parts_of(0), keys=(0, 1), segments=(0, 1, 1))
    whole = np.concatenate(parts_of(0))
    samples = [{"__key__": "a", "lbit": data, "json": b"{}"}, {"__key__": "b", "json": b"{}"}]
    found = list(latentbit.webdataset.windows(3, stride=1)(samples))
    starts = [0, 1, 4, 5, 6, 7, 8, 9]
    assert [sample["first_frame"] for sample in found] == [0, 1, 13, 14, 18, 22, 26, 30]
    for sample, at in zip(found, starts, strict=True):
        np.testing.assert_array_equal(sample["tokens"].view(np.uint64), whole[at : at + 3])
        assert sample["json"] == b"{}"
        assert sample["segment"] == int(at >= 4)
    assert found[0]["__key__"] == "a/00000000"


def test_with_webdataset_and_our_hook(shard: Path) -> None:
    wds = pytest.importorskip("webdataset", reason="webdataset is not installed")
    pipeline = wds.WebDataset(str(shard), shardshuffle=False).decode(latentbit.webdataset.decoder())
    samples = list(pipeline)
    assert [sample["__key__"] for sample in samples] == list(KEYS)
    for number, sample in enumerate(samples):
        assert sample["json"]["label"] == number
        np.testing.assert_array_equal(sample["lbit"].read_tokens(), sample["tokens.npy"])
    cut = pipeline.compose(latentbit.webdataset.windows(4, target="bits")).to_tuple("bits", "json")
    windows = list(cut)
    assert len(windows) == 9
    assert windows[5][0].shape == (4, 3, 5, 36)
    assert windows[5][1]["label"] == 1


def test_with_webdataset_alone(shard: Path) -> None:
    wds = pytest.importorskip("webdataset", reason="webdataset is not installed")
    samples = list(wds.WebDataset(str(shard), shardshuffle=False).decode())
    assert len(samples) == 3
    for number, sample in enumerate(samples):
        np.testing.assert_array_equal(sample["tokens.npy"], np.concatenate(parts_of(number)))
        assert sample["lbit"] == file_bytes(parts_of(number), keys=(0, 1))


def test_with_hugging_face_datasets_alone(shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    found = datasets.load_dataset(
        "webdataset", data_files={"train": str(shard)}, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(found) == 3
    for number, sample in enumerate(found):
        assert sample["json"]["label"] == number
        np.testing.assert_array_equal(np.asarray(sample["tokens.npy"], np.uint64), np.concatenate(parts_of(number)))
        np.testing.assert_array_equal(
            latentbit.open(sample["lbit"]).read_tokens(), np.concatenate(parts_of(number))
        )
