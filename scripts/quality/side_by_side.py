"""Crops of free photographs next to their reconstructions by codecs at the same number of bytes.

    .venv/bin/python scripts/quality/side_by_side.py --out docs/crops.png

The photographs come in the wheel of scikit-image: astronaut.png (NASA, public domain), coffee.png (Rachel Michetti,
CC0) and chelsea.png (Stefan van der Walt, CC0).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from peers import Coded, code_image
from PIL import Image, ImageDraw
from samples import Latentbit, Sample

sys.path.insert(0, str(Path(__file__).parents[1] / "demo"))
from make_clip import photo_folder  # noqa: E402

CROPS = {"astronaut.png": (96, 0), "coffee.png": (190, 60), "chelsea.png": (60, 20)}
SIZE = 256
"""Side of the coded picture."""
SHOWN = 240
"""Side of the middle that is shown, to keep the sheet small."""
BITS = (48, 24)


def nearest(code: Callable[[int], Coded], bytes_: int) -> tuple[Image.Image, int, int]:
    """The best picture within a number of bytes (if none fits, the smallest), by bisection."""
    low, high = 1, 95
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if code(middle).bytes <= bytes_ else (low, middle - 1)
    coded = code(low)
    return Image.open(coded.path).convert("RGB"), coded.bytes, low


def row(latentbit: Latentbit, crop: Image.Image, work: Path) -> list[tuple[str, Image.Image]]:
    """The source, and each codec's reconstruction."""
    source, whole, part, back = (work / name for name in ("crop.png", "crop.lbit", "part.lbit", "back.png"))
    crop.save(source)
    latentbit.run("encode", source, "-o", whole, "-y", "--bits", "48")
    pictures = [("source", crop)]
    for bits in BITS:
        latentbit.trim(whole, part, bits)
        latentbit.run("decode", part, "-o", back, "-y")
        pictures.append((f"latentbit, {bits} bits", Image.open(back).convert("RGB")))
        if bits == BITS[0]:
            budget = part.stat().st_size
    pictures[1] = (f"{pictures[1][0]}: {budget} bytes", pictures[1][1])
    for peer in ("JPEG", "AVIF"):
        found, size, _ = nearest(partial(code_image, peer, sample=Sample(source), work=work), budget)
        pictures.append((f"{peer}: {size} bytes", found))
    pictures[2] = (f"{pictures[2][0]}: {part.stat().st_size} bytes", pictures[2][1])
    return pictures


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="PNG file")
    parser.add_argument("--latentbit", type=Path, default=Path("target/release/latentbit"))
    parser.add_argument("--model", type=Path, help="bundle to use instead of the built-in one")
    arguments = parser.parse_args()
    latentbit = Latentbit(arguments.latentbit.resolve(), 0, arguments.model, "f32")
    label, gap, edge = 16, 4, (SIZE - SHOWN) // 2
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for name, (left, top) in CROPS.items():
            photo = Image.open(photo_folder() / name).convert("RGB")
            rows.append(row(latentbit, photo.crop((left, top, left + SIZE, top + SIZE)), Path(folder)))
        columns = len(rows[0])
        sheet = Image.new("RGB", (columns * (SHOWN + gap) - gap, len(rows) * (SHOWN + label)), "white")
        draw = ImageDraw.Draw(sheet)
        for y, pictures in enumerate(rows):
            for x, (text, picture) in enumerate(pictures):
                draw.text((x * (SHOWN + gap) + 2, y * (SHOWN + label) + 2), text, fill="black")
                shown = picture.crop((edge, edge, edge + SHOWN, edge + SHOWN))
                sheet.paste(shown, (x * (SHOWN + gap), y * (SHOWN + label) + label))
        sheet.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(arguments.out, optimize=True)


if __name__ == "__main__":
    main()
