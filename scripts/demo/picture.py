"""The picture of the README: a frame of the demo clip, the same from its tokens at two rates, and where the bits are.

    make demo/source.mp4 build
    .venv/bin/python scripts/demo/picture.py --out docs/front.png

The clip is that of `make demo`: photographs by Stefan van der Walt and Rachel Michetti (both CC0), and by NASA.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

SIDE = 256
"""Side of the square that is shown of each frame."""
LABEL = 20
GAP = 4


def run(latentbit: Path, *words: str | Path) -> dict[str, Any]:
    """What the command reports with --json."""
    command = [str(latentbit), *map(str, words), "--json"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    report: dict[str, Any] = json.loads(answer.stdout)
    return report


def frame(video: Path, number: int) -> Image.Image:
    """A frame of a video, the square in its middle."""
    pick = f"select=eq(n\\,{number}),crop={SIDE}:{SIDE}"
    command = ["ffmpeg", "-v", "error", "-i", str(video), "-vf", pick, "-frames:v", "1", "-f", "rawvideo"]
    pixels = subprocess.run([*command, "-pix_fmt", "rgb24", "-"], check=True, capture_output=True).stdout
    return Image.frombytes("RGB", (SIDE, SIDE), pixels)


def panels(latentbit: Path, clip: Path, first: int, frames: int, work: Path) -> list[tuple[str, Image.Image]]:
    """Pictures, and what stands above them."""
    whole, half, back, depths = (work / name for name in ("whole.lbit", "half.lbit", "back.mkv", "depths.mkv"))
    part = ("--start", f"{first}f", "--frames", str(frames))
    middle = frames // 2
    # Without loss, so that the picture shows our error and not that of another codec.
    lossless = ("-c:v", "libx264rgb", "--crf", "0", "-y")

    def decoded(tokens: Path, *options: str) -> Image.Image:
        target = depths if options else back
        run(latentbit, "decode", tokens, "-o", target, *lossless, *options)
        return frame(target, middle)

    default = run(latentbit, "encode", clip, "-o", whole, "-an", *part)
    run(latentbit, "encode", clip, "-o", half, "-an", *part, "--size", str(default["bytes"] // 2))
    rates = [run(latentbit, "eval", clip, file, "--no-vae", *part) for file in (whole, half)]
    labels = [f"{rate['bpp']:.3f} bits per pixel, {rate['tokens']['psnr']:.1f} dB" for rate in rates]
    return [
        ("source", frame(clip, first + middle)),
        (f"default: {labels[0]}", decoded(whole)),
        (f"half: {labels[1]}", decoded(half)),
        ("bits of its tokens: dark few, bright many", decoded(half, "--show-depth")),
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="PNG file")
    parser.add_argument("--clip", type=Path, default=Path("demo/source.mp4"))
    parser.add_argument("--first", type=int, default=112, help="where the part that is encoded begins, in frames")
    parser.add_argument("--frames", type=int, default=17, help="how many frames it has; the middle one is shown")
    parser.add_argument("--latentbit", type=Path, default=Path("target/release/latentbit"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shown = panels(arguments.latentbit.resolve(), arguments.clip, arguments.first, arguments.frames, Path(folder))
    width = len(shown) * (SIDE + GAP) - GAP
    sheet = Image.new("RGB", (width, LABEL + SIDE), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=12)
    for at, (label, picture) in enumerate(shown):
        left = at * (SIDE + GAP)
        draw.text((left + 2, 3), label, fill="black", font=font)
        sheet.paste(picture, (left, LABEL))
    sheet.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
