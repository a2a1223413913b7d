"""Measures what a depth for each token gains over the same depth for all, and prints the tables of docs/rate.md.

    .venv/bin/python scripts/quality/depths.py DATA [--photos 20] [--clips 9] [--efforts 1 2 3]

DATA holds images/ and videos/. Photos are 256×256, clips 128×128. Bytes are those of whole files, and of their chunks
alone.
All figures are reported by `target/release/latentbit` itself. Needs Pillow, ffmpeg and ffprobe.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import mean

from samples import Latentbit, Sample, clips, photos

UNIFORM = (48, 36, 24)
FACTORS = (6, 12, 18, 24, 30)


@dataclass
class Point:
    """Means over samples."""

    depth: float
    file: float
    chunks: float
    psnr: float
    seconds: float


Options = tuple[str, ...]


def chunk_bytes(latentbit: Latentbit, file: Path) -> int:
    """Bytes of all chunks of a file."""
    command = [str(latentbit.binary), "info", str(file), "--chunks", "--json"]
    info = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return sum(chunk["bytes"] for chunk in info["chunk_table"])


def measured(latentbit: Latentbit, samples: Iterable[Sample], settings: Sequence[Options]) -> dict[Options, Point]:
    """What files of each of these options are like. A sample is gone when the next one comes."""
    rows: dict[Options, list[tuple[float, ...]]] = {options: [] for options in settings}
    with tempfile.TemporaryDirectory() as folder:
        tokens = Path(folder) / "sample.lbit"
        for sample in samples:
            for options in settings:
                made = latentbit.run("encode", sample.path, "-o", tokens, "-y", *options, *sample.options)
                found = latentbit.run("eval", sample.path, tokens, "--no-vae", *sample.options)
                size, chunks = made["bytes"], chunk_bytes(latentbit, tokens)
                row = (made["mean_depth"], size, chunks, found["tokens"]["psnr"], made["seconds"])
                rows[options].append(row)
    return {options: Point(*map(mean, zip(*found, strict=True))) for options, found in rows.items()}


def bytes_at(points: Sequence[Point], psnr: float, what: str) -> float | None:
    """Bytes at a quality, by a straight line between the logarithms of the two points around it."""
    ordered = sorted(points, key=lambda point: point.psnr)
    for low, high in zip(ordered, ordered[1:], strict=False):
        if low.psnr <= psnr <= high.psnr:
            share = (psnr - low.psnr) / (high.psnr - low.psnr)
            a, b = math.log(getattr(low, what)), math.log(getattr(high, what))
            return math.exp(a + (b - a) * share)
    return None


def gain(points: Sequence[Point], uniform: Point, what: str) -> str:
    found = bytes_at(points, uniform.psnr, what)
    return "–" if found is None else f"{100 * (found / getattr(uniform, what) - 1):+.1f} %"


def print_tables(name: str, latentbit: Latentbit, samples: Iterable[Sample], efforts: Sequence[int]) -> None:
    plain: list[Options] = [("--bits", str(bits)) for bits in UNIFORM]
    curves: dict[int, list[Options]] = {
        effort: [("--crf", str(crf), "--effort", str(effort)) for crf in FACTORS] for effort in efforts
    }
    points = measured(latentbit, samples, [*plain, *(options for curve in curves.values() for options in curve)])
    print(f"\n{name}:\n")
    print("| | mean depth | bytes of files | of chunks | PSNR, dB | encode, s |\n|---|---|---|---|---|---|")
    for options, p in points.items():
        cells = f"{p.depth:.1f} | {p.file:.0f} | {p.chunks:.0f} | {p.psnr:.2f} | {p.seconds:.2f}"
        print(f"| `{' '.join(options)}` | {cells} |")
    print("\n| bytes at the PSNR of | " + " | ".join(f"effort {e}: files | chunks" for e in efforts) + " |")
    print("|---|" + "---|---|" * len(efforts))
    for options in plain:
        found = [[points[setting] for setting in curve] for curve in curves.values()]
        gains = (gain(curve, points[options], what) for curve in found for what in ("file", "chunks"))
        print(f"| `{' '.join(options)}` | {' | '.join(gains)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--clips", type=int, default=9)
    parser.add_argument("--efforts", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--binary", type=Path, default=Path("target/release/latentbit"))
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    latentbit = Latentbit(options.binary, options.threads, None, "f32")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if options.photos:
            found = islice(photos(options.data, work, 256), options.photos)
            print_tables(f"Photos, 256×256 ({options.photos})", latentbit, found, options.efforts)
        if options.clips:
            found = islice(clips(options.data, work, 128), options.clips)
            print_tables(f"Clips, 128×128 ({options.clips})", latentbit, found, options.efforts)


if __name__ == "__main__":
    main()
