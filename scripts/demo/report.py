"""Prints what `make demo` measured, from the reports of encode, decode and eval. Standard library only."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

Report = dict[str, Any]


def read_report(folder: Path, command: str) -> Report:
    path = folder / f"{command}.json"
    report: Report = json.loads(path.read_text(encoding="utf-8"))
    schema = f"latentbit.{command}/1"
    if report.get("schema") != schema:
        sys.exit(f"report.py: {path} has the schema {report.get('schema')!r}, not {schema!r}")
    return report


def frame_rate(video: Path) -> Fraction | None:
    """Frames per second, or None where a file gives none."""
    probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "json"]
    probe += ["-show_entries", "stream=avg_frame_rate", str(video)]
    answer = json.loads(subprocess.run(probe, check=True, capture_output=True, text=True).stdout)
    try:
        return Fraction(answer["streams"][0]["avg_frame_rate"]) or None
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        return None


def size_lines(encode: Report, rate: Fraction | None, source_bytes: int) -> list[str]:
    size = encode["bytes"]
    lines = [
        f"  source       {source_bytes:>12,} bytes",
        f"  tokens       {size:>12,} bytes",
    ]
    if rate is not None:
        kilobits = size * 8 / 1000 * rate / encode["frames"]
        lines.append(f"  bitrate      {float(kilobits):>12.1f} kbit/s")
    lines.append(f"               {encode['bpp']:>12.4f} bits per pixel")
    return lines


def quality_lines(quality: Report) -> list[str]:
    lines = ["                    PSNR     SSIM  MS-SSIM"]
    for key, name in (("tokens", "tokens"), ("vae", "VAE alone")):
        row = quality[key]
        lines.append(f"  {name:<12} {row['psnr']:>8.2f} {number(row['ssim'])} {number(row['ms_ssim'])}")
    return lines


def number(value: float | None) -> str:
    # MS-SSIM does not exist for small pictures.
    return f"{value:>8.4f}" if value is not None else f"{'–':>8}"


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: report.py CLIP FOLDER")
    clip, folder = Path(sys.argv[1]), Path(sys.argv[2])
    encode, decode, quality = (read_report(folder, name) for name in ("encode", "decode", "eval"))

    print(f"{encode['frames']} frames in {encode['chunks']} chunks")
    print("\n".join(size_lines(encode, frame_rate(folder / "clip.mp4"), clip.stat().st_size)))
    print()
    print("\n".join(quality_lines(quality)))
    print()
    print(f"  encode       {encode['fps']:>8.2f} frames per second")
    print(f"  decode       {decode['fps']:>8.2f} frames per second")
    print()
    print("VAE alone: the same network without tokens in between, the best that tokens can reach.")
    print()
    for path, what in (
        (clip, "the source"),
        (folder / "clip.lbit", "the tokens"),
        (folder / "clip.mp4", "decoded from the tokens"),
        (folder / "side-by-side.png", "the middle frame: source, decoded"),
    ):
        print(f"  {str(path):<24} {what}")


if __name__ == "__main__":
    main()
