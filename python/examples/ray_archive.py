"""Archives all videos below a folder with Ray: a job for `ray job submit`, or for a machine alone.

Ends with code 3 if any clip failed; what is wrong with it is in failed.json of the output.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ray

import latentbit.ray

SUFFIXES = {".avi", ".mkv", ".mov", ".mp4", ".webm"}
FRAMES_AT_A_TIME = 16
MOST_SAID = 1000
"""Bytes of what ffmpeg says of a video that are kept."""


def frames(row: dict[str, Any], size: int, rate: int) -> Iterator[np.ndarray[Any, Any]]:
    """The frames of a video, cropped to a square in the middle, with memory for a few of them."""
    scale = f"scale={size}:{size}:force_original_aspect_ratio=increase,crop={size}:{size},fps={rate}"
    line = ["ffmpeg", "-v", "error", "-i", row["path"], "-vf", scale, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    # Into a file, because nobody reads it meanwhile: of a damaged video it can be more than a pipe holds.
    with tempfile.TemporaryFile() as log, subprocess.Popen(line, stdout=subprocess.PIPE, stderr=log) as decoder:
        assert decoder.stdout is not None
        while data := decoder.stdout.read(FRAMES_AT_A_TIME * size * size * 3):
            yield np.frombuffer(data, np.uint8).reshape(-1, size, size, 3)
        code = decoder.wait()
        log.seek(0)
        said = log.read(MOST_SAID).decode(errors="replace").strip()
    if code:
        raise OSError(f"{row['path']}: ffmpeg ended with code {code}: {said}")


def main() -> int:
    """Runs the job."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path, help="folder that all machines share")
    parser.add_argument("output", type=Path, help="folder that all machines share")
    parser.add_argument("--size", type=int, default=256, help="side of a frame in pixels")
    parser.add_argument("--rate", type=int, default=25, help="frames per second")
    parser.add_argument("--actors", type=int, nargs=2, default=(1, 4), metavar=("LEAST", "MOST"))
    parser.add_argument("--cpus", type=float, default=1, help="cores of an actor")
    parser.add_argument("--model", help="path of a model that all machines have; the built-in one by default")
    args = parser.parse_args()

    # Workers need not run in the folder that the job was started in.
    videos = args.videos.absolute()
    found = sorted(path for path in videos.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        parser.error(f"{args.videos}: there is no video in this folder")
    rows = [{"key": str(path.relative_to(videos).with_suffix("")), "path": str(path)} for path in found]
    ray.init(ignore_reinit_error=True)
    records = latentbit.ray.archive(
        ray.data.from_items(rows, override_num_blocks=min(len(rows), 1000)),
        args.output,
        frames=lambda row: frames(row, args.size, args.rate),
        frame_rate=args.rate,
        actors=tuple(args.actors),
        num_cpus=args.cpus,
        model=args.model,
    ).take_all()
    failed = [{"key": record["key"], "error": record["error"]} for record in records if record["error"]]
    (args.output / "failed.json").write_text(json.dumps(failed, indent=2) + "\n")
    print(f"{len(records) - len(failed)} of {len(records)} clips are in {args.output}")
    for record in failed:
        print(f"{record['key']}: {record['error']}", file=sys.stderr)
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
