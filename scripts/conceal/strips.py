"""Frames of lost chunks as each method conceals them, next to the source and the intact file.

    .venv/bin/python scripts/conceal/strips.py --out docs/concealed.png

The pictures come from the clip of `make demo`, whose photographs are free (see scripts/demo/make_clip.py). One chunk in
the middle of each of its shots is lost. Each method has a row, and each shot the first, middle and last frame of the
lost chunk and the last frame before the next key chunk.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from command import Command
from measure import METHODS
from PIL import Image, ImageDraw

sys.path.append(str(Path(__file__).parents[1] / "demo"))
from make_clip import FRAMES_PER_SECOND, SHOTS, SIZE, frames

SHOT = 13 + 3 * 16
"""Frames per shot, which is a group: chunks of 13, 16, 16 and 16."""
LOST = range(29, 45)
"""Frames of its third chunk."""
SHOWN = (LOST[0], LOST[8], LOST[-1], SHOT - 1)
WIDTH = 144
"""Size of a frame in the picture."""


def drop_list(key_frames: list[int], first: list[int]) -> list[int]:
    """Numbers of the chunks that start at frame LOST of each shot; `first` has the first frame of every chunk."""
    starts = {frame: number for number, frame in enumerate(first)}
    return [starts[key + LOST[0]] for key in key_frames if key + LOST[0] in starts]


def decoded(latentbit: Command, tokens: Path, work: Path, *options: str) -> np.ndarray:
    """Frames of a file, concealing losses."""
    back = work / "back.rgb"
    latentbit.run("decode", tokens, "-o", back, "-y", "--raw", "rgb24", "--allow-conceal", *options)
    return np.frombuffer(back.read_bytes(), np.uint8).reshape(-1, SIZE[1], SIZE[0], 3)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="PNG file")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--latentbit", type=Path, default=Path("target/release/latentbit"))
    parser.add_argument("--model", type=Path, help="bundle to use instead of the built-in one")
    parser.add_argument("--predictor", type=Path, help="predictor to use instead of the bundle's own")
    arguments = parser.parse_args()
    latentbit = Command(arguments.latentbit.resolve(), 0, arguments.model, "f32")
    predictor = ("--predictor", str(arguments.predictor)) if arguments.predictor else ()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        source, whole, damaged = work / "source.rgb", work / "whole.lbit", work / "damaged.lbit"
        source.write_bytes(b"".join(frames(SHOT)))
        size = f"{SIZE[0]}x{SIZE[1]}@{FRAMES_PER_SECOND}:rgb24"
        latentbit.run("encode", source, "-o", whole, "-y", "--bits", "48", "--raw", size)
        chunks = latentbit.plain("info", whole, "--chunks", "--json")["chunk_table"]
        keys = [chunk["first_frame"] for chunk in chunks if chunk["key"]]
        if keys != [SHOT * shot for shot in range(len(SHOTS))]:
            sys.exit(f"strips.py: groups start at frames {keys}, but shots have {SHOT} frames")
        lost = drop_list(keys, [chunk["first_frame"] for chunk in chunks])
        latentbit.degrade(whole, damaged, ["--drop", ",".join(map(str, lost))])
        rows = [("source", np.frombuffer(source.read_bytes(), np.uint8).reshape(-1, SIZE[1], SIZE[0], 3)),
                ("intact", decoded(latentbit, whole, work))]
        for method in arguments.methods:
            options = ("--conceal", method, *(predictor if method == "maskgit" else ()))
            rows.append((method, decoded(latentbit, damaged, work, *options)))
        draw(rows, len(SHOTS)).quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(arguments.out, optimize=True)


def draw(rows: list[tuple[str, np.ndarray]], shots: int) -> Image.Image:
    """One sheet: rows of methods, columns of frames, a wider gap between shots."""
    label, gap, wide, height = 56, 2, 10, WIDTH * SIZE[1] // SIZE[0]
    lefts = [label]
    for here, after in pairwise(range(shots * len(SHOWN))):
        same = here // len(SHOWN) == after // len(SHOWN)
        lefts.append(lefts[-1] + WIDTH + (gap if same else wide))
    head = 16
    sheet = Image.new("RGB", (lefts[-1] + WIDTH, head + len(rows) * (height + gap)), "white")
    pen = ImageDraw.Draw(sheet)
    for column, left in enumerate(lefts):
        frame = SHOWN[column % len(SHOWN)]
        pen.text((left + 2, 2), f"{'lost' if frame in LOST else 'after'}, {frame}", fill="black")
    for row, (name, pictures) in enumerate(rows):
        top = head + row * (height + gap)
        pen.text((2, top + height // 2 - 6), name, fill="black")
        for column, left in enumerate(lefts):
            shot, place = divmod(column, len(SHOWN))
            picture = Image.fromarray(pictures[shot * SHOT + SHOWN[place]])
            sheet.paste(picture.resize((WIDTH, height), Image.Resampling.LANCZOS), (left, top))
    return sheet


if __name__ == "__main__":
    main()
