"""Files that the tests read, made on the spot with made-up tokens."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import latentbit

ROOT = Path(__file__).resolve().parents[2]
TINY_BUNDLE = ROOT / "testdata/golden/storage-int8.safetensors"
"""Strides 4x4x4, patches 2x2x2, 10 bits, chunks of 4 latent frames; random weights."""

Tokens = npt.NDArray[np.uint64]
H, W = 3, 5


def video(bits: int = 36, **changes: object) -> latentbit.Video:
    fields = {
        "width": 8 * W,
        "height": 8 * H,
        "bundle": "test",
        "bundle_sha256": "ab" * 32,
        "bits": bits,
        "bundle_bits": max(bits, 36),
        "patch": (1, 1, 1),
        "strides": (4, 8, 8),
        "chunk_latent_frames": 4,
        "frame_rate": (25, 1),
        "time_base": (1, 25),
    }
    return latentbit.Video.from_fields({**fields, **changes})


def tokens(seed: int, steps: int = 4, bits: int = 36) -> Tokens:
    """Numbers that a coder can make little of, and some that are the same."""
    values = np.random.default_rng(seed).integers(0, 2**bits, (steps, H, W), np.uint64, endpoint=False)
    values[:, 0] = values[:1, 0]
    return values


def write(
    output: str | os.PathLike[str] | io.BytesIO,
    parts: Sequence[Tokens],
    *,
    keys: Sequence[int] = (0,),
    segments: Sequence[int] | None = None,
    bits: int = 36,
    coder: str = "cm",
    metadata: dict[str, str] | None = None,
) -> None:
    """A file of these chunks, with key chunks where ``keys`` says."""
    with latentbit.Writer(output, video(bits), coder=coder, metadata=metadata) as writer:
        for number, part in enumerate(parts):
            segment = segments[number] if segments else 0
            writer.write(part, key=number in keys, segment=segment)


def file_bytes(parts: Sequence[Tokens], **options: object) -> bytes:
    output = io.BytesIO()
    write(output, parts, **options)  # type: ignore[arg-type]
    return output.getvalue()


def without_index(data: bytes) -> bytes:
    """The same file up to the end of its end record."""
    at = data.rindex(b"\xa7LB\nindx")
    return data[:at]


def damaged(data: bytes, chunk: int) -> bytes:
    """The same file with a bit of a chunk's payload turned over."""
    at = -1
    for _ in range(chunk + 1):
        at = data.index(b"\xa7LB\nCHNK", at + 1)
    out = bytearray(data)
    out[at + 28 + 50] ^= 1
    return bytes(out)


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as shard:
        for name, data in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            shard.addfile(about, io.BytesIO(data))


def npy(array: npt.NDArray[np.generic]) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def clip(frames: int, height: int = 16, width: int = 24) -> npt.NDArray[np.uint8]:
    """Frames with something that moves."""
    t, y, x, c = np.ogrid[:frames, :height, :width, :3]
    return (128 + 90 * np.sin(x * 0.3 + y * 0.2 + t * 0.25 + c)).astype(np.uint8)


@pytest.fixture
def parts() -> list[Tokens]:
    return [tokens(0), tokens(1), tokens(2), tokens(3, steps=2)]


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    def make(files: dict[str, bytes]) -> Path:
        for name, data in files.items():
            place = tmp_path / "data" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        return tmp_path / "data"

    return make
