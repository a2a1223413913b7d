"""Measures the built command on held-out photos and clips and prints the tables of docs/quality.md.

    .venv/bin/python scripts/quality/measure.py DATA quality     # DATA holds images/ and videos/
    .venv/bin/python scripts/quality/measure.py DATA speed

All figures are reported by `target/release/latentbit` itself. Needs Pillow, ffmpeg and ffprobe.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median

from samples import FPS, Latentbit, Report, Sample, clips, photos

BITS = (48, 24)


def evaluate(latentbit: Latentbit, sample: Sample, work: Path) -> list[Report]:
    """Reports per number of bits."""
    tokens = work / "sample.lbit"
    reports = []
    for bits in BITS:
        latentbit.run("encode", sample.path, "-o", tokens, "-y", "--bits", str(bits), *sample.options)
        reports.append(latentbit.run("eval", sample.path, tokens, *sample.options))
    return reports


def quality_rows(name: str, samples: Iterator[Sample], latentbit: Latentbit, work: Path) -> list[str]:
    """One row for the VAE alone and one for each number of bits: means over the samples."""
    results = [evaluate(latentbit, sample, work) for sample in samples]
    if not results:
        return []

    def row(label: str, reports: list[Report], key: str, bpp: str) -> str:
        columns = []
        for measure, digits in (("psnr", 2), ("ssim", 4), ("ms_ssim", 4)):
            values = [report[key][measure] for report in reports]
            columns.append("–" if None in values else f"{mean(values):.{digits}f}")
        return f"| {name} ({len(reports)}) | {label} | {bpp} | {' | '.join(columns)} |"

    rows = [row("VAE, not quantized", [reports[0] for reports in results], "vae", "–")]
    for index, bits in enumerate(BITS):
        reports = [r[index] for r in results]
        rows.append(row(f"{bits} bits per token", reports, "tokens", f"{mean(r['bpp'] for r in reports):.4f}"))
    return rows


def print_quality(data: Path, latentbit: Latentbit, work: Path) -> None:
    print("| what | with | bits per pixel | PSNR, dB | SSIM | MS-SSIM |\n|---|---|---|---|---|---|")
    print("\n".join(quality_rows("photos, 256×256", photos(data, work, 256), latentbit, work)), flush=True)
    for size in (128, 256):
        print("\n".join(quality_rows(f"clips, {size}×{size}", clips(data, work, size), latentbit, work)), flush=True)


def moving_pattern(work: Path, size: int, seconds: int) -> Sample:
    raw = work / f"pattern-{size}-{seconds}.rgb"
    source = f"testsrc2=size={size}x{size}:rate={FPS}"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-t", str(seconds)]
    subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", raw], check=True)
    return Sample(raw, ("--raw", f"{size}x{size}@{FPS}:rgb24"))


def print_speed(latentbit: Latentbit, work: Path, repeats: int = 3) -> None:
    """Frames per second (median of some runs) and the highest peak memory of a run."""
    print("| size | seconds of video | encode, frames/s | decode, frames/s | encode, peak MB | decode, peak MB |")
    print("|---|---|---|---|---|---|")
    for size in (128, 256):
        for seconds in (2, 20):
            sample = moving_pattern(work, size, seconds)
            tokens, back = work / "speed.lbit", work / "speed.raw"
            encode = [
                latentbit.run("encode", sample.path, "-o", tokens, "-y", *sample.options) for _ in range(repeats)
            ]
            decode = [latentbit.run("decode", tokens, "-o", back, "-y", "--raw", "rgb24") for _ in range(repeats)]
            columns = [f"{median(r['fps'] for r in runs):.1f}" for runs in (encode, decode)]
            columns += [f"{max(r['peak_mem_bytes'] for r in runs) / 1e6:.0f}" for runs in (encode, decode)]
            print(f"| {size}×{size} | {seconds} | {' | '.join(columns)} |", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with images/ and videos/ that no training has seen")
    parser.add_argument("what", choices=["quality", "speed"])
    parser.add_argument("--latentbit", type=Path, default=Path("target/release/latentbit"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--model", type=Path, help="bundle to use instead of the built-in one")
    parser.add_argument("--dtype", choices=["auto", "bf16", "f32"], default="auto")
    arguments = parser.parse_args()
    latentbit = Latentbit(arguments.latentbit.resolve(), arguments.threads, arguments.model, arguments.dtype)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.what == "quality":
            print_quality(arguments.data, latentbit, Path(folder))
        else:
            print_speed(latentbit, Path(folder))


if __name__ == "__main__":
    main()
