"""Prints the results of `make demo` from the reports of encode, decode and eval. Standard library only."""

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
    """Frames per second, or None if the file has none."""
    probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "json"]
    probe += ["-show_entries", "stream=avg_frame_rate", str(video)]
    answer = json.loads(subprocess.run(probe, check=True, capture_output=True, text=True).stdout)
    try:
        return Fraction(answer["streams"][0]["avg_frame_rate"]) or None
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        return None


def size_lines(encode: Report, rate: Fraction | None) -> list[str]:
    lines = [f"  size      {encode['bytes']:>9,} bytes"]
    if rate is not None:
        kilobits = encode["bytes"] * 8 / 1000 * rate / encode["frames"]
        lines.append(f"  bitrate   {float(kilobits):>9.1f} kbit/s")
    lines.append(f"            {encode['bpp']:>9.4f} bits per pixel")
    return lines


def figure(value: float | None, digits: int) -> str:
    # A figure can be missing: small pictures have no MS-SSIM, identical ones no PSNR.
    return f"{'–':>8}" if value is None else f"{value:>8.{digits}f}"


def quality_lines(quality: Report) -> list[str]:
    lines = ["                PSNR     SSIM  MS-SSIM"]
    for key, name in (("tokens", "tokens"), ("vae", "VAE alone")):
        row = quality[key]
        figures = (figure(row["psnr"], 2), figure(row["ssim"], 4), figure(row["ms_ssim"], 4))
        lines.append(f"  {name:<9} {' '.join(figures)}")
    return lines


def file_lines(clip: Path, folder: Path) -> list[str]:
    files = [
        (clip, "the source"),
        (folder / "clip.lbit", "the tokens"),
        (folder / "clip.mp4", "decoded from the tokens"),
        (folder / "side-by-side.png", "the middle frame: source, decoded"),
    ]
    width = max(len(str(path)) for path, _ in files)
    return [f"  {str(path):<{width}}  {what}" for path, what in files]


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: report.py CLIP FOLDER")
    clip, folder = Path(sys.argv[1]), Path(sys.argv[2])
    encode, decode, quality = (read_report(folder, name) for name in ("encode", "decode", "eval"))

    lines = [
        f"{encode['frames']} frames in {encode['chunks']} chunks",
        *size_lines(encode, frame_rate(folder / "clip.mp4")),
        "",
        *quality_lines(quality),
        "",
        f"  encode    {encode['fps']:>8.2f} frames per second",
        f"  decode    {decode['fps']:>8.2f} frames per second",
        "",
        '"VAE alone" skips the tokens: the difference of the two lines is the cost of quantization.',
        "",
        *file_lines(clip, folder),
    ]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
