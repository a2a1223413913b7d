"""Large frames within a memory limit: peak against estimate, and whether tile borders show.

    .venv/bin/python scripts/quality/large_frames.py memory --model VAE --sizes 832x480 1920x1080 --max-memory 8GiB
    .venv/bin/python scripts/quality/large_frames.py memory --model BUNDLE --tokens --frames 1 5 9
    .venv/bin/python scripts/quality/large_frames.py seams DATA --model VAE --sizes 832x480 --max-memory 500MiB

`memory` runs `latentbit latents` on a moving test pattern, with `--tokens` also `latentbit encode` and `decode`.
`seams` runs the former on mosaics of photos (DATA holds images/), in whole frames and in tiles, and compares pictures
near tile borders with those elsewhere. Needs Pillow, NumPy and ffmpeg.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from borders import mosaic, psnr
from PIL import Image
from samples import photo_files

BAND = 16
"""Pixels within this distance count as at a tile border: less than the blended width."""
MEMORY_HEAD = "| what | size | frames | how | peak, MB | estimate, MB | off by |\n|---|---|---|---|---|---|---|"
SEAMS_HEAD = (
    "| size | tiles | whole, at borders, dB | tiles, at borders, dB | whole, elsewhere, dB | tiles, elsewhere, dB "
    "| apart at borders, dB | apart elsewhere, dB |\n|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Run:
    """The report of one run of the command."""

    report: dict[str, Any]
    plan: str

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns."""
        found = re.search(r"(\d+)x(\d+) \w+ tiles", self.plan)
        return (int(found[1]), int(found[2])) if found else (1, 1)


class Command:
    """`latentbit` with a model."""

    def __init__(self, binary: Path, model: Path, threads: int) -> None:
        self.binary = binary
        self.options = ["--model", str(model), "--threads", str(threads), "--dtype", "f32", "-y", "--json"]

    def run(self, what: str, source: Path, target: Path, limit: str | None) -> Run:
        """Runs a command; `what` has its words."""
        limits = ["--max-memory", limit] if limit else []
        command = [str(self.binary), *what.split(), str(source), "-o", str(target), *self.options, *limits]
        result = subprocess.run(command, check=False, capture_output=True, text=True)
        if result.returncode:
            raise SystemExit(f"{' '.join(command)}:\n{result.stderr}")
        plan = next((line for line in result.stderr.splitlines() if line.startswith("about")), "")
        return Run(json.loads(result.stdout), plan)


def pattern(path: Path, size: tuple[int, int], frames: int) -> None:
    """A moving test pattern as y4m."""
    source = f"testsrc2=size={size[0]}x{size[1]}:rate=25"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-frames:v", str(frames)]
    subprocess.run([*command, "-pix_fmt", "yuv420p", str(path)], check=True)


def memory_row(what: str, size: tuple[int, int], frames: int, run: Run) -> str:
    """Peak and estimate in MB, and the error of the estimate."""
    peak, estimate = (run.report[key] / 1e6 for key in ("peak_mem_bytes", "estimated_mem_bytes"))
    how = run.plan.split(": ")[-1] or "whole frames"
    off = f"{(estimate / peak - 1) * 100:+.0f} %"
    return f"| `{what}` | {size[0]}×{size[1]} | {frames} | {how} | {peak:.0f} | {estimate:.0f} | {off} |"


def memory(
    latentbit: Command, sizes: list[tuple[int, int]], lengths: list[int], tokens: bool, limit: str | None, work: Path
) -> None:
    """Prints a row per size, length and command."""
    print(MEMORY_HEAD, flush=True)
    video, tensor, back = work / "pattern.y4m", work / "latents.safetensors", work / "back.y4m"
    commands = [("latents encode", video, tensor), ("latents decode", tensor, back)]
    if tokens:
        coded = work / "tokens.lbit"
        commands += [("encode", video, coded), ("decode", coded, back)]
    for size in sizes:
        for frames in lengths:
            pattern(video, size, frames)
            for what, source, target in commands:
                print(memory_row(what, size, frames, latentbit.run(what, source, target, limit)), flush=True)


def near_borders(size: int, tiles: int, stride: int) -> np.ndarray:
    """The pixels of an axis within BAND of the borders of its tiles."""
    near = np.zeros(size, bool)
    positions = -(-size // stride)
    for index in range(1, tiles):
        border = positions * index // tiles * stride
        near[max(0, border - BAND) : border + BAND] = True
    return near


def seams(
    latentbit: Command, files: list[Path], sizes: list[tuple[int, int]], count: int, limit: str, work: Path
) -> None:
    """Prints a row per size: PSNR against the source, and tiles against whole frames."""
    print(SEAMS_HEAD, flush=True)
    for width, height in sizes:
        values, tiles = [], (1, 1)
        for seed in range(count):
            frame = mosaic(files, width, height, seed)
            source, tensor, back = work / "frame.png", work / "latents.safetensors", work / "back.png"
            Image.fromarray(frame).save(source)
            pictures = []
            for bound in (None, limit):
                shape = latentbit.run("latents encode", source, tensor, bound).report["shape"]
                tiles = latentbit.run("latents decode", tensor, back, bound).tiles
                pictures.append(np.asarray(Image.open(back).convert("RGB")).astype(np.float64))
            stride = height // shape[3]
            at = near_borders(height, tiles[0], stride)[:, None] | near_borders(width, tiles[1], stride)[None]
            whole, tiled = (np.square(picture - frame).mean(2) for picture in pictures)
            apart = np.square(pictures[0] - pictures[1]).mean(2)
            values.append([psnr(e) for e in (whole[at], tiled[at], whole[~at], tiled[~at], apart[at], apart[~at])])
        columns = " | ".join(f"{v:.2f}" for v in np.mean(values, axis=0))
        print(f"| {width}×{height} ({count}) | {tiles[0]}×{tiles[1]} | {columns} |", flush=True)


def size_of(text: str) -> tuple[int, int]:
    """`832x480`."""
    width, height = text.split("x")
    return int(width), int(height)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["memory", "seams"])
    parser.add_argument("data", type=Path, nargs="?", help="folder with images/, for `seams`")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--sizes", type=size_of, nargs="+", default=[(832, 480)], metavar="WxH")
    parser.add_argument(
        "--frames", type=int, nargs="+", default=[5], metavar="N", help="frames (`memory`) or pictures (`seams`)"
    )
    parser.add_argument("--tokens", action="store_true", help="with `memory`: measure `encode` and `decode` too")
    parser.add_argument("--max-memory", help="the limit; `seams` needs one")
    parser.add_argument("--latentbit", type=Path, default=Path("target/release/latentbit"))
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    latentbit = Command(arguments.latentbit.resolve(), arguments.model, arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.what == "memory":
            lengths, tokens = arguments.frames, arguments.tokens
            memory(latentbit, arguments.sizes, lengths, tokens, arguments.max_memory, Path(folder))
            return
        if not (arguments.data and arguments.max_memory):
            parser.error("seams: needs DATA and --max-memory")
        if len(arguments.frames) > 1:
            parser.error("seams: takes one number for --frames")
        files = photo_files(arguments.data)
        seams(latentbit, files, arguments.sizes, arguments.frames[0], arguments.max_memory, Path(folder))


if __name__ == "__main__":
    main()
