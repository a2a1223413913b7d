from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import counting_clip, picture, write_clip
from PIL import Image

from latentbit_training import cache


def entry_bytes(folder: Path, kind: str, entry: dict[str, object]) -> bytes:
    raw = (folder / f"{kind}.bin").read_bytes()
    offset, shape = entry["offset"], entry["shape"]
    assert isinstance(offset, int)
    assert isinstance(shape, list)
    return raw[offset : offset + int(np.prod(shape))]


def test_index_agrees_with_bytes(data: Path, cached: Path) -> None:
    index = json.loads((cached / "cache.json").read_text())
    assert [e["file"] for e in index["images"]] == [f"images/{n}.png" for n in ("hill_0", "sea_0", "sea_1", "sea_2")]
    assert [e["source"] for e in index["images"]] == ["hill", "sea", "sea", "sea"]
    for entry in index["images"]:
        pixels = np.asarray(Image.open(data / entry["file"]))
        assert entry["shape"] == [1, *pixels.shape]
        assert entry_bytes(cached, "images", entry) == pixels.tobytes()
    (clip,) = index["videos"]
    assert clip["shape"] == list(counting_clip().shape)
    assert entry_bytes(cached, "videos", clip) == counting_clip().tobytes()
    for kind in ("images", "videos"):
        assert (cached / f"{kind}.bin").stat().st_size == sum(int(np.prod(e["shape"])) for e in index[kind])


def test_unreadable_files_are_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "data"
    source.mkdir()
    Image.fromarray(picture(40, 40, 1)).save(source / "good.png")
    whole = (source / "good.png").read_bytes()
    (source / "cut.png").write_bytes(whole[: len(whole) // 2])
    (source / "empty.jpg").write_bytes(b"")
    (source / "noise.mp4").write_bytes(np.random.default_rng(1).bytes(2000))
    (source / "notes.txt").write_text("no picture")
    sound = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine", "-t", "0.1", "-c:a", "aac"]
    subprocess.run([*sound, str(source / "sound.mp4")], check=True)
    (source / "no-frames.y4m").write_text("YUV4MPEG2 W64 H48 F25:1 C420jpeg\n")
    write_clip(source / "zz.mkv", counting_clip())

    cache.build(source, tmp_path / "out")

    index = json.loads((tmp_path / "out" / "cache.json").read_text())
    assert [e["file"] for e in index["images"]] == ["good.png"]
    assert [e["file"] for e in index["videos"]] == ["zz.mkv"]
    assert entry_bytes(tmp_path / "out", "videos", index["videos"][0]) == counting_clip().tobytes()
    said = [Path(line.split(": skipped")[0]).name for line in capsys.readouterr().out.splitlines() if "skipped" in line]
    assert sorted(said) == ["cut.png", "empty.jpg", "no-frames.y4m", "noise.mp4", "sound.mp4"]


def test_large_files_are_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = tmp_path / "data", tmp_path / "out"
    source.mkdir()
    Image.fromarray(picture(100, 151, 1)).convert("L").save(source / "grey.png")
    write_clip(source / "clip.mkv", counting_clip())
    command = ["cache", str(source), str(out), "--image-side", "50", "--video-side", "24", "--max-frames", "7"]
    monkeypatch.setattr(sys, "argv", command)

    cache.main()

    index = json.loads((out / "cache.json").read_text())
    assert index["images"][0]["shape"] == [1, 50, 76, 3]
    assert index["videos"][0]["shape"] == [7, 24, 32, 3]
    clip = np.frombuffer((out / "videos.bin").read_bytes(), np.uint8).reshape(7, -1)
    assert (clip == counting_clip()[:7, 0, 0, :1]).all()


def test_a_clip_filmed_upright_keeps_its_proportions(tmp_path: Path) -> None:
    write_clip(tmp_path / "flat.mkv", counting_clip())
    encode = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "flat.mkv"), "-c:v", "mpeg4", str(tmp_path / "flat.mp4")]
    subprocess.run(encode, check=True)
    turn = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "flat.mp4"), "-c", "copy", "-metadata:s:v", "rotate=90"]
    subprocess.run([*turn, str(tmp_path / "upright.mp4")], check=True)
    assert cache.read_video(tmp_path / "flat.mp4", 192, 2).shape == (2, 48, 64, 3)
    assert cache.read_video(tmp_path / "upright.mp4", 192, 2).shape == (2, 64, 48, 3)


@pytest.mark.parametrize(("size", "side", "expected"), [
    ((640, 480), 240, (320, 240)),
    ((480, 640), 240, (240, 320)),
    ((101, 77), 288, (100, 76)),
    ((1, 500), 288, (2, 500)),
])
def test_fit(size: tuple[int, int], side: int, expected: tuple[int, int]) -> None:
    assert cache.fit(*size, side) == expected
