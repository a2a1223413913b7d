"""Compares bf16 with f32 on held-out photos and clips: PSNR against the source, and equal bits of the tokens.

    .venv/bin/python scripts/quality/number_types.py DATA     # DATA holds images/ and videos/

Runs codec/benches/model, which writes raw tokens. Needs Pillow, NumPy, ffmpeg and ffprobe.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
from PIL import Image
from samples import Sample, clips, photos

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
from build import build  # noqa: E402


@dataclass(frozen=True)
class Result:
    """One sample, through one number type."""

    tokens: bytes
    psnr: float


def pixels(sample: Sample) -> bytes:
    """rgb24 frames of a sample."""
    if sample.options:
        return sample.path.read_bytes()
    return Image.open(sample.path).convert("RGB").tobytes()


def run(model: Path, source: bytes, size: int, dtype: str, work: Path) -> Result:
    frames = len(source) // (size * size * 3)
    (work / "in.rgb").write_bytes(source)

    def task(name: str, read: str, write: str) -> bytes:
        options = ["--size", f"{size}x{size}", "--frames", str(frames), "--dtype", dtype, "--warmup", "0"]
        files = ["--input", str(work / read), "--output", str(work / write)]
        command = [str(model), "--task", name, *files, *options, "--repeats", "1"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return (work / write).read_bytes()

    tokens = task("encode", "in.rgb", "tokens")
    back = task("decode", "tokens", "back.rgb")
    a, b = (np.frombuffer(data, np.uint8).astype(np.float64) for data in (source, back))
    return Result(tokens, 10 * math.log10(255**2 / max(float(np.square(a - b).mean()), 1e-9)))


def row(name: str, samples: Iterable[Sample], size: int, model: Path, work: Path, bits: int) -> str:
    exact, quick, equal = [], [], []
    for sample in samples:
        source = pixels(sample)
        f32, bf16 = (run(model, source, size, dtype, work) for dtype in ("f32", "bf16"))
        exact.append(f32.psnr)
        quick.append(bf16.psnr)
        words = [np.frombuffer(result.tokens, "<u8") for result in (f32, bf16)]
        equal.append(1 - float(np.bitwise_count(words[0] ^ words[1]).sum()) / (bits * words[0].size))
    worst = max(abs(a - b) for a, b in zip(exact, quick, strict=True))
    return (
        f"| {name} ({len(exact)}) | {mean(exact):.3f} | {mean(quick):.3f} | {worst:.3f} "
        f"| {100 * mean(equal):.2f} % | {100 * min(equal):.2f} % |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--bits", type=int, default=48, help="bits per token of the built-in bundle")
    arguments = parser.parse_args()
    model = build()["model"]
    print("| what | f32, dB | bf16, dB | largest difference of a file, dB | equal bits | fewest of a file |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name, samples, size in (
            ("photos, 256×256", photos(arguments.data, work, 256), 256),
            ("clips, 128×128", clips(arguments.data, work, 128), 128),
            ("clips, 256×256", clips(arguments.data, work, 256), 256),
        ):
            print(row(name, samples, size, model, work, arguments.bits), flush=True)


if __name__ == "__main__":
    main()
