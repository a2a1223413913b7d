from __future__ import annotations

import io
import stat
from pathlib import Path

import numpy as np
import pytest

import latentbit
from conftest import Tokens, file_bytes, tokens, video, write


@pytest.mark.parametrize("coder", ["raw", "zstd", "cm"])
def test_every_coder_keeps_every_bit(parts: list[Tokens], coder: str) -> None:
    data = file_bytes(parts, coder=coder)
    np.testing.assert_array_equal(latentbit.open(data).read_tokens(), np.concatenate(parts))


def test_a_file_appears_when_it_is_complete(parts: list[Tokens], tmp_path: Path) -> None:
    path = tmp_path / "a.lbit"
    writer = latentbit.Writer(path, video())
    writer.write(parts[0], key=True)
    assert not path.exists()
    summary = writer.close()
    assert summary == (path.stat().st_size, 1, 13)
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)
    with pytest.raises(latentbit.LatentBitError, match="closed already"):
        writer.write(parts[1], key=False)


def test_what_goes_wrong_leaves_nothing(parts: list[Tokens], tmp_path: Path) -> None:
    path = tmp_path / "a.lbit"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), latentbit.Writer(path, video()) as writer:
        writer.write(parts[0], key=True)
        raise ZeroDivisionError
    assert [place.name for place in tmp_path.iterdir()] == ["a.lbit"]
    assert path.read_bytes() == b"old"


def test_chunks_move_from_file_to_file(parts: list[Tokens]) -> None:
    source = latentbit.open(file_bytes(parts, keys=(0, 2)))
    out = io.BytesIO()
    with latentbit.Writer(out, source.video) as writer:
        for chunk in source[2:]:
            writer.write(chunk, segment=7)
    file = latentbit.open(out.getvalue())
    np.testing.assert_array_equal(file.read_tokens(), np.concatenate(parts[2:]))
    assert [(chunk.number, chunk.first_frame, chunk.segment) for chunk in file] == [(0, 0, 7), (1, 13, 7)]


def test_signed_and_small_numbers_are_tokens_too() -> None:
    part = tokens(1, bits=64)
    out = io.BytesIO()
    with latentbit.Writer(out, video(64)) as writer:
        writer.write(part.view(np.int64), key=True)
        writer.write((part & np.uint64(0xFF)).astype(np.uint8), key=False)
    file = latentbit.open(out.getvalue())
    np.testing.assert_array_equal(file[0].tokens, part)
    np.testing.assert_array_equal(file[1].tokens, part & np.uint64(0xFF))


def test_tokens_that_do_not_fit_are_refused(parts: list[Tokens], tmp_path: Path) -> None:
    writer = latentbit.Writer(io.BytesIO(), video(8))
    with pytest.raises(ValueError, match="8 bits"):
        writer.write(parts[0], key=True)
    with pytest.raises(ValueError, match="token grid"):
        writer.write(parts[0][:, :1] & np.uint64(1), key=True)
    with pytest.raises(TypeError, match="integers"):
        writer.write(parts[0].astype(np.float32), key=True)
    with pytest.raises(TypeError, match="key"):
        writer.write(parts[0])
    with pytest.raises(ValueError, match="chroma"):
        latentbit.Writer(io.BytesIO(), video(chroma="5:1:1"))
    with pytest.raises(ValueError, match="raw, zstd or cm"):
        write(tmp_path / "a.lbit", parts, coder="zip")
    with pytest.raises(FileNotFoundError, match=r"none/a\.lbit"):
        write(tmp_path / "none/a.lbit", parts)


def test_an_output_that_fails_says_so_itself(parts: list[Tokens]) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        latentbit.Writer(Full(), video())
