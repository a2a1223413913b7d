"""Shards, their index, and the feed that decodes them."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
import webdataset
from conftest import COMMON, counting_clip, picture
from PIL import Image
from torch import Tensor

from latentbit_training import media, shards, throughput, train_tokenizer, train_vae
from latentbit_training.feed import Steps
from latentbit_training.ranks import Ranks
from latentbit_training.shard_feed import Order, ShardFeed, ShardSampler
from latentbit_training.shards import Entry, Index

STEPS = Steps({16: 4, 24: 2}, {16: 2}, 5, 0.5)


@pytest.fixture(scope="module")
def packed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data` in shards of a file or two, and files that cannot be decoded left out."""
    mixed, out = tmp_path_factory.mktemp("mixed"), tmp_path_factory.mktemp("shards")
    for path in data.rglob("*.*"):
        (mixed / path.name).write_bytes(path.read_bytes())
    (mixed / "broken_0.png").write_bytes((data / "images" / "sea_0.png").read_bytes()[:200])
    (mixed / "broken_1.mp4").write_bytes(b"no video")
    (mixed / "notes.txt").write_text("neither")
    shards.main([str(mixed), "--out", str(out), "--shard-mb", "0.02"])
    return out


def test_what_is_in_the_shards(data: Path, packed: Path) -> None:
    index = Index(str(packed))
    assert len(index.shards) == 2
    assert Counter((e.kind, e.source) for e in index.entries) == {
        ("images", "sea"): 3, ("images", "hill"): 1, ("videos", "count"): 1}
    originals = {path.read_bytes(): path.name for path in data.rglob("*.*")}
    assert {originals[index.read(entry)] for entry in index.entries} == set(originals.values())
    by_kind = {entry.kind: entry.about for entry in index.entries if entry.source in ("hill", "count")}
    assert by_kind == {"images": (96, 96, 1), "videos": (64, 48, 20)}
    # Others read them too.
    urls = sorted(str(path) for path in packed.glob("*.tar"))
    samples = list(webdataset.WebDataset(urls, shardshuffle=False))
    assert len(samples) == 5
    for sample in samples:
        told = json.loads(sample["json"])
        suffix = told["file"].rsplit(".")[-1]
        assert originals[sample[suffix]] == told["file"]


def test_files_that_cannot_be_decoded_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.txt").write_text(f"{tmp_path}/absent.png\n\n{tmp_path}/a.mp4\n{tmp_path}/b.txt\n")
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match="no image or video that can be decoded"):
        shards.main([str(tmp_path / "list.txt"), "--out", str(tmp_path / "out")])
    told = capsys.readouterr().out
    assert all(f"{name}: skipped: " in told for name in ("absent.png", "a.mp4", "b.txt"))
    with pytest.raises(ValueError, match="neither images nor videos"):
        Index(str(tmp_path / "out"))


def test_large_pictures_can_be_made_smaller(tmp_path: Path) -> None:
    Image.fromarray(picture(200, 400, 1)).save(tmp_path / "a.png")
    shards.build(tmp_path, tmp_path / "out", max_side=100)
    index = Index(str(tmp_path / "out"))
    found = np.asarray(Image.open(io.BytesIO(index.read(index.entries[0]))))
    assert found.shape == (100, 200, 3)
    assert index.entries[0].about == (200, 100, 1)


def h264(frames: np.ndarray, path: Path) -> bytes:
    """Key frames every 8 frames, B-frames between them."""
    command = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "64x48", "-r", "30000/1001",
               "-i", "-", "-c:v", "libx264", "-qp", "1", "-g", "8", "-bf", "2", "-threads", "1", str(path)]
    subprocess.run(command, input=frames.tobytes(), check=True)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_spans_of_frames(tmp_path: Path, suffix: str) -> None:
    data = h264(counting_clip(), tmp_path / f"a.{suffix}")
    assert media.about(data, "videos").frames == pytest.approx(20, abs=1)
    for first, count, step in ((0, 20, 1), (0, 1, 1), (7, 3, 1), (8, 5, 1), (13, 3, 2), (19, 1, 1), (17, 6, 1)):
        frames = media.span(data, first, count, 192, step)
        assert frames.shape == (count, 48, 64, 3)
        wanted = 10 * np.minimum(first + step * np.arange(count), 19)
        assert frames.mean((1, 2, 3)) == pytest.approx(wanted, abs=2), (first, count, step)
    assert media.span(data, 3, 1, 24).shape == (1, 24, 32, 3)


def test_a_video_filmed_upright_is_turned(tmp_path: Path) -> None:
    frames = np.zeros((3, 48, 64, 3), np.uint8)
    frames[:, :, :32] = 255
    h264(frames, tmp_path / "a.mp4")
    turned = tmp_path / "b.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(tmp_path / "a.mp4"), "-c", "copy", "-metadata:s:v",
                    "rotate=90", str(turned)], check=True)
    data = turned.read_bytes()
    assert media.about(data, "videos")[:2] == (48, 64)
    command = ["ffmpeg", "-v", "error", "-i", str(turned), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    wanted = np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.uint8)
    assert np.abs(media.span(data, 0, 3, 192).astype(int) - wanted.reshape(3, 64, 48, 3)).mean() < 2


class SomeRanks(Ranks):
    """A rank of several, without the others."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size, self.device = rank, size, torch.device("cpu")


def drawn(packed: Path, count: int, ranks: int = 1, workers: int = 0, state: Any = None) -> tuple[list[Tensor], Any]:
    """Whole batches of so many steps, put together from all ranks, and the state after them."""
    feeds = [ShardFeed(ShardSampler(str(packed), 3), STEPS, SomeRanks(rank, ranks), workers) for rank in range(ranks)]
    found: list[Tensor] = []
    for feed in feeds:
        if state is not None:
            feed.state = state
    for _ in range(count):
        parts = []
        for feed in feeds:
            part = feed.ranks.part(feed.turn().samples)
            parts += list(feed.batch([part]))
        found.append(torch.cat(parts))
    return found, feeds[-1].state


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_batches_do_not_depend_on_ranks_and_go_on_in_mid_epoch(packed: Path) -> None:
    whole, _ = drawn(packed, 12)
    assert {tuple(x.shape[1:]) for x in whole} == {(3, 1, 16, 16), (3, 1, 24, 24), (3, 5, 16, 16)}
    assert all(x.abs().max() <= 1 and x.std() > 0.01 for x in whole)
    assert same(drawn(packed, 12, ranks=2)[0], whole)
    first, state = drawn(packed, 5, ranks=2)
    assert same(first, whole[:5])
    assert same(drawn(packed, 7, state=json.loads(json.dumps(state)))[0], whole[5:])
    assert not same(drawn(packed, 7)[0], whole[5:])


def test_workers_decode_the_same_and_their_lead_does_not_count(packed: Path) -> None:
    whole, _ = drawn(packed, 6)
    first, state = drawn(packed, 3, workers=2)
    assert same(first, whole[:3])
    assert same(drawn(packed, 3, state=state)[0], whole[3:])


def test_a_pass_gets_its_part(packed: Path) -> None:
    whole = drawn(packed, 1)[0][0]
    feed = ShardFeed(ShardSampler(str(packed), 3), STEPS, SomeRanks(1, 2), 0)
    count = feed.turn().samples
    passes = [feed.ranks.part(count, index, count // 2) for index in range(count // 2)]
    assert torch.equal(torch.cat(list(feed.batch(passes))), whole[count // 2 :])


def damaged(packed: Path, out: Path, sources: set[str]) -> Path:
    """A copy in which the files of some collections are noise."""
    out.mkdir()
    index = Index(str(packed))
    for url in index.shards:
        (out / Path(url).name).write_bytes(Path(url).read_bytes())
    (out / shards.INDEX).write_text((packed / shards.INDEX).read_text())
    for entry in index.entries:
        if entry.source in sources:
            with open(out / Path(index.shards[entry.shard]).name, "r+b") as file:
                file.seek(entry.offset)
                file.write(b"\1" * entry.length)
    return out


def test_bad_samples_are_counted_and_skipped(packed: Path, tmp_path: Path,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    feed = ShardFeed(ShardSampler(str(damaged(packed, tmp_path / "some", {"hill"})), 3), STEPS, Ranks(), 0)
    for _ in range(10):
        feed.turn()
        assert all(batch.std() > 0.01 for batch in feed.batch([slice(0, 1)]))
    bad = feed.told()["bad_samples"]
    assert bad > 0
    assert capsys.readouterr().out.count("skipped: ") == bad
    with pytest.raises(RuntimeError, match="20 files in a row are bad"):
        drawn(damaged(packed, tmp_path / "all", {"sea", "hill", "count"}), 1)


def test_a_truncated_shard_is_bad_samples(packed: Path, tmp_path: Path) -> None:
    out = damaged(packed, tmp_path / "out", set())
    index = Index(str(out))
    last = next(entry for entry in index.entries if entry.source == "hill")
    path = Path(index.shards[last.shard])
    path.write_bytes(path.read_bytes()[: last.offset + 10])
    with pytest.raises(OSError, match=f"{path.name}: 10 bytes at {last.offset}, expected {last.length}"):
        index.read(last)


def entries(**sources: int) -> list[Entry]:
    found = [(source, number) for source, count in sources.items() for number in range(count)]
    return [Entry(i // 10, 0, 1, "images", source, media.About(1, 1, 1)) for i, (source, _) in enumerate(found)]


def test_weights_of_collections() -> None:
    def counts(weights: dict[str, float], epochs: int = 40) -> Counter[str]:
        all_ = entries(many=90, few=10)
        order = Order(all_, "images", 1, weights, 4)
        found: Counter[str] = Counter()
        while order.epoch < epochs:
            found[all_[order.next()].source] += 1
        return found

    usual = counts({})
    assert usual["many"] / usual["few"] == pytest.approx(3, rel=0.1)
    assert usual.total() == pytest.approx(40 * 100, rel=0.05)
    weighed = counts({"few": 3.0})
    assert weighed["many"] / weighed["few"] == pytest.approx(1, rel=0.1)
    assert counts({"many": 0.0})["many"] == 0


def test_an_epoch_is_shuffled_by_shards_and_within_some_of_them() -> None:
    all_ = entries(one=400)
    order = Order(all_, "images", 1, {}, 4)
    first = [order.next() for _ in range(400)]
    second = [order.next() for _ in range(400)]
    assert sorted(first) == sorted(second) == list(range(400))
    assert first != second
    # Four shards of ten at a time.
    for start in range(0, 400, 40):
        assert len({all_[i].shard for i in first[start : start + 40]}) == 4
    assert first[:40] != sorted(first[:40])


def test_shards_of_others_are_indexed_where_they_are(data: Path, tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    for number in range(2):
        sink = io.BytesIO()
        with tarfile.open(fileobj=sink, mode="w") as tar:
            for path in sorted((data / "images").iterdir())[2 * number : 2 * number + 2]:
                tar.add(path, f"part/{path.name}")
            tar.add(data / "videos" / "count_0.mkv", f"part/c_{number}.mkv")
            info = tarfile.TarInfo("part/c_0.txt")
            tar.addfile(info)
        system.pipe(f"/clips-{number}.tar", sink.getvalue())
    shards.main(["--index", "memory://clips-{0..1}.tar", "--out", str(tmp_path)])
    index = Index(str(tmp_path))
    assert index.shards == ["memory://clips-0.tar", "memory://clips-1.tar"]
    assert [entry.kind for entry in index.entries] == ["images", "images", "videos"] * 2
    assert index.read(index.entries[0]) == sorted((data / "images").iterdir())[0].read_bytes()
    assert len(drawn(tmp_path, 3)[0]) == 3


def test_trainings_on_shards(packed: Path, tmp_path: Path) -> None:
    vae = [*COMMON, "--shards", str(packed), "--workers", "0", "--image-batch", "2", "--image-size", "16",
           "--clip-batch", "1", "--clip-frames", "5", "--clip-size", "16", "--steps", "6", "--precision", "f32"]
    train_vae.main([*vae, "--out", str(tmp_path / "whole")])
    train_vae.main([*vae, "--out", str(tmp_path / "parts"), "--pause-steps", "4"])
    train_vae.main([*vae, "--out", str(tmp_path / "parts")])
    whole, parts = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=False) for name in ("whole", "parts"))
    assert all(torch.equal(whole["model"][name], weight) for name, weight in parts["model"].items())
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert all(0 <= line["waited"] <= 1 for line in log[1:])

    tokenizer = [*COMMON, "--shards", str(packed), "--workers", "0", "--vae", str(tmp_path / "whole" / "vae.pt"),
                 "--size", "16", "--image-batch", "2", "--clip-batch", "1", "--steps", "3"]
    train_tokenizer.main([*tokenizer, "--out", str(tmp_path / "tokenizer")])
    with pytest.raises(ValueError, match="one of --cache and --shards"):
        train_tokenizer.main([*tokenizer, "--out", str(tmp_path / "x"), "--cache", str(tmp_path)])


def test_throughput(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(packed), "--workers", "0", "--seconds", "0.1", "--size", "16", "--batch", "1", "--clip-frames", "5"]
    throughput.main(words)
    row = capsys.readouterr().out.splitlines()[-1].split("|")
    assert row[1].strip() == "0"
    assert all(float(cell) > 0 for cell in row[2:5])
