"""Makes the demo clip: a camera pans and zooms over three photographs, with cuts between them.

The photographs are in the wheel of scikit-image (nothing else is downloaded) and are free to use:

    astronaut.png   Eileen Collins, NASA, public domain
    coffee.png      Rachel Michetti, CC0
    chelsea.png     Stefan van der Walt, CC0

The same versions of scikit-image, Pillow and ffmpeg make the same file.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

SIZE = (384, 256)
FRAMES_PER_SECOND = 25


@dataclass(frozen=True)
class View:
    """The camera's view: its centre and its width, in pixels of the photograph."""

    x: float
    y: float
    width: float

    def box(self) -> tuple[float, float, float, float]:
        height = self.width * SIZE[1] / SIZE[0]
        return (
            self.x - self.width / 2,
            self.y - height / 2,
            self.x + self.width / 2,
            self.y + height / 2,
        )


@dataclass(frozen=True)
class Shot:
    """One photograph and the camera's path over it."""

    photo: str
    first: View
    last: View


SHOTS = (
    Shot("astronaut.png", View(256.0, 190.0, 500.0), View(228.0, 128.0, 290.0)),
    Shot("coffee.png", View(230.0, 190.0, 420.0), View(335.0, 208.0, 520.0)),
    Shot("chelsea.png", View(224.0, 150.0, 430.0), View(250.0, 136.0, 270.0)),
)


def photo_folder() -> Path:
    # Importing skimage would need its dependencies; finding it does not.
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("make_clip.py: scikit-image is not installed; `make demo` installs it")
    return Path(spec.submodule_search_locations[0]) / "data"


def view_at(shot: Shot, time: float) -> View:
    """The view at a time from 0 to 1. The camera starts and stops gently."""
    eased = time * time * (3.0 - 2.0 * time)

    def between(a: float, b: float) -> float:
        return a + (b - a) * eased

    # A zoom looks even if its factor is constant.
    width = math.exp(between(math.log(shot.first.width), math.log(shot.last.width)))
    return View(between(shot.first.x, shot.last.x), between(shot.first.y, shot.last.y), width)


def frames(frames_per_shot: int) -> Iterator[bytes]:
    folder = photo_folder()
    for shot in SHOTS:
        photo = Image.open(folder / shot.photo).convert("RGB")
        for index in range(frames_per_shot):
            view = view_at(shot, index / max(1, frames_per_shot - 1))
            # resize() accepts fractions of pixels, so motion below one pixel per frame is smooth.
            yield photo.resize(SIZE, Image.Resampling.LANCZOS, box=view.box()).tobytes()


def ffmpeg_command(output: Path) -> list[str]:
    width, height = SIZE
    return [
        *("ffmpeg", "-v", "error", "-y"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{width}x{height}"),
        *("-framerate", str(FRAMES_PER_SECOND), "-i", "-"),
        *("-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"),
        *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"),
        # Near lossless, so that the demo measures LatentBit and not this file.
        # One thread and bitexact make the output reproducible.
        *("-c:v", "libx264", "-crf", "4", "-preset", "medium", "-threads", "1"),
        *("-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags", "+faststart"),
        str(output),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the clip of `make demo` from three free photographs.")
    parser.add_argument("output", type=Path, help="file to write, for example demo/source.mp4")
    parser.add_argument("--frames-per-shot", type=int, default=2 * FRAMES_PER_SECOND)
    arguments = parser.parse_args()
    if arguments.frames_per_shot < 1:
        parser.error("--frames-per-shot must be 1 or more")

    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    # A failed run must not leave a file that looks finished.
    partial = arguments.output.with_name("partial-" + arguments.output.name)
    encoder = subprocess.Popen(ffmpeg_command(partial), stdin=subprocess.PIPE)
    assert encoder.stdin is not None
    try:
        for frame in frames(arguments.frames_per_shot):
            encoder.stdin.write(frame)
        encoder.stdin.close()
    except BrokenPipeError:
        pass  # ffmpeg has printed why; its exit status is checked below.
    if encoder.wait() != 0:
        partial.unlink(missing_ok=True)
        sys.exit(f"make_clip.py: ffmpeg could not write {partial}")
    partial.replace(arguments.output)


if __name__ == "__main__":
    main()
