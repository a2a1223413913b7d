"""Compares exported networks in ONNX Runtime with the command, on clips: the table of docs/onnx.md.

    make wheel && .venv/bin/pip install target/wheels/latentbit-*.whl && cargo build --release -p latentbit
    .venv/bin/python scripts/parity/onnx_networks.py models/default.safetensors CLIP...

Both encode the same RGB frames in the same groups; then both decode the command's file. The command computes in f32.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import latentbit
import numpy as np
import numpy.typing as npt
from latentbit.onnx import Decoder, Encoder, Networks
from latentbit_training import export_onnx
from PIL import Image

Frames = npt.NDArray[np.uint8]
GROUP = 2
KINDS = (("f32", "f32"), ("f32", "int8"), ("f16", "f16"), ("f16", "int8"))


class Row(NamedTuple):
    """What was found."""

    bits: float
    """Share of all bits that are the same."""
    worst: int
    """Largest difference of a byte of decoded frames."""
    other: float
    """Share of bytes that differ."""
    pixels: float
    """Largest difference of decoded frames from -1 to 1, to those of the Python package, which runs the same code."""


def read(clip: Path, count: int, crop: tuple[int, int] | None) -> Frames:
    """The first frames of a clip, or their top left part of (height, width)."""
    frames: list[Frames] = []
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False))
            if len(frames) == count:
                break
    found = np.stack(frames)
    return found if crop is None else np.ascontiguousarray(found[:, : crop[0], : crop[1]])


class Command:
    """`latentbit` with a bundle."""

    def __init__(self, binary: Path, bundle: Path, work: Path) -> None:
        self.binary, self.bundle, self.work = binary, bundle, work

    def run(self, *words: str | Path, stdin: bytes | None = None) -> bytes:
        """What it prints."""
        options = ("--model", self.bundle, "--dtype", "f32", "--device", "cpu", "-q")
        line = [str(word) for word in (self.binary, *words, *options)]
        return subprocess.run(line, input=stdin, check=True, stdout=subprocess.PIPE).stdout

    def encode(self, frames: Frames, bits: int) -> Path:
        """A file of these frames."""
        out = self.work / "command.lbit"
        raw = f"{frames.shape[2]}x{frames.shape[1]}@25:rgb24"
        self.run("encode", "-", "--raw", raw, "-o", out, "-y", "--bits", str(bits), "--group", str(GROUP),
                 "--no-scene-cuts", stdin=frames.tobytes())
        return out

    def decode(self, file: Path, shape: tuple[int, ...]) -> Frames:
        """The frames of a file."""
        return np.frombuffer(self.run("decode", file, "-o", "-", "--raw", "rgb24"), np.uint8).reshape(shape)


class Reference(NamedTuple):
    """What the command makes of a clip."""

    frames: Frames
    file: Path
    decoded: Frames
    exact: npt.NDArray[np.float32]


def reference(command: Command, frames: Frames, bits: int) -> Reference:
    """Encodes and decodes a clip."""
    file = command.encode(frames, bits)
    exact = latentbit.Decoder(latentbit.Bundle(command.bundle, dtype="f32", device="cpu")).decode(file, floats=True)
    return Reference(frames, file, command.decode(file, frames.shape), np.asarray(exact))


def compare(networks: Networks, expected: Reference, picture: Path | None) -> Row:
    """One row of the table."""
    theirs = np.concatenate([chunk.bits for chunk in latentbit.open(expected.file)])
    ours = np.concatenate([chunk.bits for chunk in Encoder(networks, group=GROUP).chunks(expected.frames)])
    back = np.stack(list(Decoder(networks).frames(expected.file, floats=True)))
    as_bytes = np.round(back * 255).astype(np.uint8)
    if picture is not None:
        pictures = [expected.frames[-1], expected.decoded[-1], as_bytes[-1]]
        Image.fromarray(np.concatenate(pictures, axis=1)).save(picture)
    apart = np.abs(as_bytes.astype(int) - expected.decoded)
    return Row(float((ours == theirs).mean()), int(apart.max()), float((apart > 0).mean()),
               float(np.abs(back - expected.exact).max()) * 2)


def table(args: argparse.Namespace, work: Path) -> Iterator[str]:
    """The lines of the table, as they are found."""
    yield "| clip | frames | networks | bits that agree | largest error (−1…1) | bytes that differ (by at most) |"
    yield "|---|---|---|---|---|---|"
    command = Command(args.latentbit.resolve(), args.bundle, work)
    for dtype, storage in KINDS:
        export_onnx.export(args.bundle, work / f"{dtype}-{storage}", dtype, storage)
    for clip in args.clips:
        frames = read(clip, args.frames, args.crop)
        expected = None
        for dtype, storage in KINDS:
            networks = Networks(work / f"{dtype}-{storage}", providers=[args.provider], threads=args.threads)
            expected = expected or reference(command, frames, networks.tokenizer["bits"])
            row = compare(networks, expected, args.picture)
            yield (f"| {clip.stem}, {frames.shape[2]}×{frames.shape[1]} | {len(frames)} | {dtype}, weights {storage} "
                   f"| {100 * row.bits:.3f} % | {row.pixels:.1e} | {100 * row.other:.3f} % ({row.worst}) |")


def size(text: str) -> tuple[int, int]:
    """WxH as (height, width)."""
    width, height = text.split("x")
    return int(height), int(width)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--latentbit", type=Path, default=Path("target/release/latentbit"))
    parser.add_argument("--frames", type=int, default=45, help="of each clip")
    parser.add_argument("--crop", type=size, metavar="WxH", help="the top left part of each frame")
    parser.add_argument("--provider", default="CPUExecutionProvider", help="of ONNX Runtime")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--picture", type=Path, help="PNG of a last frame: as it is, by the command, by ONNX Runtime")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for line in table(args, Path(folder)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
