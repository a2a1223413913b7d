from __future__ import annotations

import http.server
import io
import json
import pickle
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import latentbit
from conftest import ROOT, H, Tokens, W, damaged, file_bytes, tokens, video, without_index


class Ranges:
    """Bytes that are asked for in ranges, and how often that was."""

    def __init__(self, data: bytes):
        self.data = data
        self.size = len(data)
        self.asked: list[tuple[int, int]] = []

    def read_range(self, offset: int, length: int) -> bytes:
        self.asked.append((offset, length))
        return self.data[offset : offset + length]


def test_everything_that_can_be_opened(parts: list[Tokens], tmp_path: Path) -> None:
    data = file_bytes(parts)
    path = tmp_path / "a.lbit"
    path.write_bytes(data)
    (tmp_path / "within").write_bytes(b"xyz" + data + b"more")
    with path.open("rb") as file:
        sources: list[latentbit.File] = [
            latentbit.open(path),
            latentbit.open(str(path)),
            latentbit.open(data),
            latentbit.open(bytearray(data)),
            latentbit.open(memoryview(data)),
            latentbit.open(io.BytesIO(data)),
            latentbit.open(file),
            latentbit.open(Ranges(data)),
            latentbit.open(tmp_path / "within", offset=3, length=len(data)),
        ]
        for source in sources:
            assert source.indexed
            assert source.size == len(data)
            assert len(source) == 4
            # Backwards, so that nothing depends on an order.
            for chunk, expected in reversed(list(zip(source, parts, strict=True))):
                np.testing.assert_array_equal(chunk.tokens, expected)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.lbit"):
        latentbit.open(tmp_path / "none.lbit")
    with pytest.raises(latentbit.FormatError, match="bytes"):
        latentbit.open(b"GIF89a, but longer than a header is")
    with pytest.raises(TypeError, match="read_range"):
        latentbit.open(42)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="no regular file"):
        latentbit.open(tmp_path)
    with pytest.raises(ValueError, match="within"):
        (tmp_path / "a").write_bytes(b"abc")
        latentbit.open(tmp_path / "a", offset=1, length=3)


def test_files_that_go_along() -> None:
    assert latentbit.open(ROOT / "testdata/conformance/subset/elastic-cm.lbit").attachments == []
    font, cover, *others = latentbit.open(ROOT / "testdata/conformance/uncommon/attachments.lbit").attachments
    assert (font.kind, font.name, font.media_type, font.description) == (1, "Grüße.ttf", "font/ttf", "a font")
    assert font.data
    assert cover.kind == 2
    assert all(isinstance(other.data, bytes) for other in others)


def test_an_object_that_fails_says_so_itself(parts: list[Tokens]) -> None:
    class Broken(Ranges):
        def read_range(self, offset: int, length: int) -> bytes:
            raise ConnectionResetError("the network is gone")

    class Short(Ranges):
        def read_range(self, offset: int, length: int) -> bytes:
            return super().read_range(offset, length)[:-1]

    with pytest.raises(ConnectionResetError, match="network"):
        latentbit.open(Broken(file_bytes(parts)))
    with pytest.raises(ValueError, match=r"expected .* bytes, found"):
        latentbit.open(Short(file_bytes(parts)))


def test_views_of_a_chunk_agree(parts: list[Tokens]) -> None:
    chunk = latentbit.open(file_bytes(parts))[1]
    assert chunk.tokens.dtype == np.uint64
    assert chunk.shape == chunk.tokens.shape == (4, H, W)
    bits = chunk.bits
    assert bits.dtype == np.uint8
    assert bits.shape == (4, H, W, 36)
    expected = (parts[1][..., None] >> np.arange(36, dtype=np.uint64) & np.uint64(1)).astype(np.uint8)
    np.testing.assert_array_equal(bits, expected)
    np.testing.assert_array_equal(chunk.planes(), np.moveaxis(expected, -1, 0))
    np.testing.assert_array_equal(chunk.planes(5), np.moveaxis(expected, -1, 0)[:5])
    np.testing.assert_array_equal(
        chunk.packed(7), np.packbits(chunk.planes(7).reshape(7, -1), axis=1, bitorder="little")
    )
    np.testing.assert_array_equal(chunk.read_tokens(9), parts[1] & np.uint64(0x1FF))
    assert chunk.read_tokens(9).dtype == np.uint32
    assert chunk.read_tokens(9, wide=True).dtype == np.uint64
    assert (chunk.number, chunk.first_frame, chunk.frames, chunk.latent_frames) == (1, 13, 16, 4)
    for wrong in (0, 37):
        with pytest.raises(ValueError, match="1 to 36 bits"):
            chunk.planes(wrong)


@pytest.mark.parametrize("bits", [1, 8, 31, 32, 33, 63, 64])
def test_any_number_of_bits(bits: int) -> None:
    part = tokens(5, bits=bits)
    part[0, 0, 0] = np.uint64(2**bits - 1)
    chunk = latentbit.open(file_bytes([part], bits=bits))[0]
    np.testing.assert_array_equal(chunk.tokens, part)
    assert chunk.tokens.dtype == (np.uint32 if bits <= 32 else np.uint64)
    assert chunk.bits[0, 0, 0].tolist() == [1] * bits


def test_arrays_are_fresh_and_writable(parts: list[Tokens]) -> None:
    chunk = latentbit.open(file_bytes(parts))[0]
    array = chunk.tokens
    array[:] = 0
    np.testing.assert_array_equal(chunk.tokens, parts[0])


def test_a_file_is_a_sequence(parts: list[Tokens]) -> None:
    file = latentbit.open(file_bytes(parts))
    assert [chunk.number for chunk in file] == [0, 1, 2, 3]
    assert file[-1].number == 3
    assert [chunk.number for chunk in file[1:3]] == [1, 2]
    assert file.frame_count == 13 + 16 + 16 + 8
    with pytest.raises(IndexError, match="0 to 3"):
        file[4]
    np.testing.assert_array_equal(file.read_tokens(), np.concatenate(parts))
    np.testing.assert_array_equal(file.read_tokens(1, 3, bits=3), np.concatenate(parts[1:3]) & np.uint64(7))


def test_every_slice_by_frame(parts: list[Tokens]) -> None:
    file = latentbit.open(file_bytes(parts, keys=(0, 2)))
    # Which step holds each frame, written out.
    steps: list[int] = []
    for number, part in enumerate(parts):
        at = len(set(steps))
        for step in range(len(part)):
            steps += [at + step] * (1 if number in (0, 2) and step == 0 else 4)
    assert file.frame_count == len(steps) == 13 + 16 + 13 + 8
    whole = np.concatenate(parts)
    for first in range(0, len(steps), 3):
        for end in range(first + 1, len(steps) + 1, 3):
            clip = file.by_frame[first:end]
            expected = slice(steps[first], steps[end - 1] + 1)
            np.testing.assert_array_equal(clip.tokens, whole[expected])
            assert clip.first_frame == steps.index(steps[first])
            assert clip.end_frame == len(steps) - steps[::-1].index(steps[end - 1])
            assert clip.keys.tolist() == [step in (0, 8) for step in range(expected.start, expected.stop)]
    clip = file.by_frame[20:30]
    np.testing.assert_array_equal(clip.planes(3), np.moveaxis(clip.bits, -1, 0)[:3])
    np.testing.assert_array_equal(clip.bits[..., 4], clip.tokens >> np.uint64(4) & np.uint64(1))
    assert file.by_frame[7:7].tokens.shape == (0, H, W)
    assert file.by_frame[:].tokens.shape == (14, H, W)
    with pytest.raises(ValueError, match="step"):
        file.by_frame[::2]


def test_slices_by_time(parts: list[Tokens]) -> None:
    file = latentbit.open(file_bytes(parts))
    # Frame 29 is shown from 29/25 s on, and 13 from 0.52 s.
    np.testing.assert_array_equal(file.by_time[0.52 : 29 / 25].tokens, parts[1])
    np.testing.assert_array_equal(file.by_time[0.53:1.15].tokens, parts[1])
    np.testing.assert_array_equal(file.by_time[0:0.001].tokens, parts[0][:1])
    np.testing.assert_array_equal(file.by_time[: 1 / 25].tokens, parts[0][:1])
    np.testing.assert_array_equal(file.by_time[:].tokens, np.concatenate(parts))
    np.testing.assert_array_equal(file.by_time[1e9:].tokens, parts[3][-1:])


def test_segments_are_told(parts: list[Tokens]) -> None:
    file = latentbit.open(file_bytes(parts, keys=(0, 2), segments=(0, 0, 5, 5)))
    assert file.by_frame[:].segments.tolist() == [0] * 8 + [5] * 6
    assert [chunk.segment for chunk in file] == [0, 0, 5, 5]


def test_without_an_index_the_file_is_read_once(parts: list[Tokens]) -> None:
    data = file_bytes(parts)
    file = latentbit.open(without_index(data))
    assert not file.indexed
    assert not file.truncated
    np.testing.assert_array_equal(file.read_tokens(), np.concatenate(parts))
    for name, values in latentbit.open(data).table.items():
        np.testing.assert_array_equal(file.table[name], values, err_msg=name)


def test_few_requests_for_a_far_away_file() -> None:
    parts = [tokens(seed) for seed in range(500)]
    data = file_bytes(parts, coder="raw")
    ranges = Ranges(data)
    file = latentbit.open(ranges)
    # The header, and the end with the index.
    assert len(ranges.asked) == 2
    assert sum(length for _, length in ranges.asked) < len(data)
    for number in (333, 2):
        ranges.asked.clear()
        np.testing.assert_array_equal(file[number].tokens, parts[number])
        assert len(ranges.asked) == 1
    assert file.metadata == {}


class RangeServer(http.server.BaseHTTPRequestHandler):
    """A server that gives parts of one file."""

    data = b""

    def do_HEAD(self) -> None:
        self._begin(200, len(self.data))

    def do_GET(self) -> None:
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        part = self.data[int(first) : int(last) + 1]
        self._begin(206, len(part))
        self.wfile.write(part)

    def _begin(self, code: int, length: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_the_reader_of_urls_in_the_documents(parts: list[Tokens], monkeypatch: pytest.MonkeyPatch) -> None:
    document = (ROOT / "docs/python.md").read_text()
    (example,) = (part for part in re.findall(r"```python\n(.*?)```", document, re.DOTALL) if "class Url" in part)
    names: dict[str, Any] = {}
    exec(example, names)
    monkeypatch.setattr(RangeServer, "data", file_bytes(parts))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), RangeServer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        file = latentbit.open(names["Url"](f"http://127.0.0.1:{server.server_address[1]}/a.lbit"))
        assert file.indexed
        for chunk, expected in reversed(list(zip(file, parts, strict=True))):
            np.testing.assert_array_equal(chunk.tokens, expected)
        server.shutdown()


def test_a_truncated_file(parts: list[Tokens]) -> None:
    data = file_bytes(parts)
    at = data.rindex(b"\xa7LB\nCHNK")
    file = latentbit.open(data[: at + 40])
    assert file.truncated
    assert len(file) == 3
    assert any("cut off" in text for text in file.damage)
    np.testing.assert_array_equal(file.read_tokens(), np.concatenate(parts[:3]))


def test_damage_costs_its_chunk_only(parts: list[Tokens]) -> None:
    data = damaged(file_bytes(parts), 1)
    indexed, scanned = latentbit.open(data), latentbit.open(without_index(data))
    with pytest.raises(latentbit.FormatError, match="chunk 1"):
        _ = indexed[1].tokens
    assert scanned[1].lost
    assert len(scanned) == 4
    with pytest.raises(latentbit.LostChunkError, match=r"chunk 1: .* frames 13 to 28"):
        _ = scanned[1].tokens
    with pytest.raises(latentbit.LostChunkError, match="chunk 1"):
        _ = scanned.by_frame[10:20].tokens
    for file in (indexed, scanned):
        for number in (0, 2, 3):
            np.testing.assert_array_equal(file[number].tokens, parts[number])
    np.testing.assert_array_equal(scanned.by_frame[29:].tokens, np.concatenate(parts[2:]))
    assert scanned.table["steps"].tolist() == [4, 0, 4, 2]


@pytest.mark.parametrize("folder", ["subset", "uncommon", "faulty"])
def test_conformance_files(folder: str) -> None:
    import hashlib

    seen = 0
    for about in sorted((ROOT / "testdata/conformance" / folder).glob("*.json")):
        recover = json.loads(about.read_text())["recover"]
        data = about.with_suffix(".lbit").read_bytes()
        try:
            file = latentbit.open(data)
        except latentbit.LatentBitError:
            # Without a header at its place there is nothing to read, and so it is where reading must stop.
            assert folder != "subset", about
            continue
        stream = min((chunk["stream"] for chunk in recover["chunks"]), default=0)
        for expected in (chunk for chunk in recover["chunks"] if chunk["stream"] == stream):
            chunk = file[expected["number"]]
            if expected["sha256"] is None:
                continue
            try:
                found = hashlib.sha256(chunk.packed().tobytes()).hexdigest()
            except latentbit.LatentBitError:
                assert folder == "faulty", about
                continue
            assert found == expected["sha256"], about
            for field in ("first_frame", "frames", "latent_frames", "key", "segment", "start", "durations"):
                assert getattr(chunk, field) == expected[field], (about, field)
            seen += 1
    assert seen > 5


@pytest.mark.parametrize("name", ["subset/elastic-cm", "subset/elastic-raw", "uncommon/elastic-joined"])
def test_depths_say_which_bits_are_there(name: str) -> None:
    file = latentbit.open(ROOT / "testdata/conformance" / f"{name}.lbit")
    step = file.video.depth_step
    assert step
    for chunk in file:
        if chunk.lost:
            continue
        depths, count = chunk.depths, chunk.bits_per_token
        assert depths.shape == chunk.shape
        assert ((depths % step == 0) | (depths == count)).all()
        assert depths.max() <= count
        absent = np.arange(count) >= depths[..., None]
        assert not chunk.bits[absent].any()
        wide, same = chunk.read(2)
        np.testing.assert_array_equal(same, np.minimum(depths, 2))
        np.testing.assert_array_equal(wide, chunk.read_tokens(2, wide=True))
    if file.frame_count and not any(chunk.lost for chunk in file):
        clip = file.by_frame[:]
        np.testing.assert_array_equal(clip.depths, file.read_depths(0, len(file), clip.bits_per_token))


def test_chunks_without_depths_have_the_same_everywhere() -> None:
    file = latentbit.open(ROOT / "testdata/conformance/uncommon/elastic-mixed.lbit")
    assert (file[0].depths == file[0].bits_per_token).all()


@pytest.mark.parametrize("coder", ["cm", "zstd", "raw"])
def test_tokens_with_depths_come_back(coder: str) -> None:
    elastic = video(10, depth_step=3, bundle_bits=36)
    depths = np.random.default_rng(3).choice(np.array([0, 3, 6, 9, 10], np.uint8), (4, H, W))
    values = tokens(5, bits=10) & ((np.uint64(1) << depths.astype(np.uint64)) - np.uint64(1))
    out = io.BytesIO()
    with latentbit.Writer(out, elastic, coder=coder) as writer:
        writer.write(values, key=True, depths=depths)
        with pytest.raises(TypeError, match="depths"):
            writer.write(values, key=False)
        with pytest.raises(ValueError, match="shape"):
            writer.write(values, key=False, depths=depths[:2])
        with pytest.raises(ValueError, match="beyond its depth"):
            writer.write(values | np.uint64(1 << 9), key=False, depths=depths)
        with pytest.raises(ValueError, match="multiple of 3"):
            writer.write(values & np.uint64(15), key=False, depths=np.full_like(depths, 4))
    file = latentbit.open(out.getvalue())
    assert file.video == elastic
    assert file.version == (1, 1)
    np.testing.assert_array_equal(file[0].tokens, values)
    np.testing.assert_array_equal(file[0].depths, depths)
    again = io.BytesIO()
    with latentbit.Writer(again, elastic, coder=coder) as writer:
        writer.write(file[0])
    assert again.getvalue() == out.getvalue()
    with latentbit.Writer(io.BytesIO(), video(10)) as writer, pytest.raises(TypeError, match="not elastic"):
        writer.write(values, key=True, depths=depths)


def test_metadata_wherever_it_stands(parts: list[Tokens]) -> None:
    data = file_bytes(parts, metadata={"title": "A clip", "encoder": "test"})
    assert latentbit.open(data).metadata == {"title": "A clip", "encoder": "test"}
    assert latentbit.open(without_index(data)).metadata == {"title": "A clip", "encoder": "test"}
    assert latentbit.open(file_bytes(parts)).metadata == {}


def test_the_video_comes_back(parts: list[Tokens]) -> None:
    file = latentbit.open(file_bytes(parts))
    assert file.video == video()
    assert latentbit.Video.from_fields(json.loads(json.dumps(video().to_fields()))) == video()
    with pytest.raises(ValueError, match="colour"):
        latentbit.Video.from_fields({**video().to_fields(), "colour": 3})


def test_pickled_files_open_again(parts: list[Tokens], tmp_path: Path) -> None:
    data = file_bytes(parts)
    path = tmp_path / "a.lbit"
    path.write_bytes(b"x" + data)
    for file in (latentbit.open(path, offset=1, length=len(data)), latentbit.open(data)):
        again = pickle.loads(pickle.dumps(file))
        np.testing.assert_array_equal(again.read_tokens(), np.concatenate(parts))
    with pytest.raises(TypeError, match="by path"):
        pickle.dumps(latentbit.open(io.BytesIO(data)))


def test_errors_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(latentbit.LostChunkError("chunk 3")))
    assert isinstance(error, latentbit.LostChunkError)
    assert str(error) == "chunk 3"


@pytest.fixture
def switches_by_hand() -> Iterator[None]:
    """Threads of Python change only where one lets go."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switches_by_hand")
def test_reading_lets_other_threads_run() -> None:
    out = io.BytesIO()
    with latentbit.Writer(out, video(chunk_latent_frames=300)) as writer:
        writer.write(tokens(0, steps=300), key=True)
    file = latentbit.open(out.getvalue())
    gate, ran = threading.Lock(), threading.Event()

    def run() -> None:
        with gate:
            ran.set()

    thread = threading.Thread(target=run)
    gate.acquire()
    thread.start()
    gate.release()
    # The gate is open, but nothing here lets go of the interpreter, unless reading does.
    assert not ran.is_set()
    reads = 0
    while not ran.is_set() and reads < 2000:
        file[0].read_tokens()
        reads += 1
    assert ran.is_set()
    thread.join()


def test_threads_share_a_file_object(parts: list[Tokens]) -> None:
    file = latentbit.open(io.BytesIO(file_bytes(parts)))
    wrong: list[int] = []

    def read(number: int) -> None:
        for _ in range(30):
            if not np.array_equal(file[number].tokens, parts[number]):
                wrong.append(number)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


