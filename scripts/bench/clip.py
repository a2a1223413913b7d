"""Raw clips to measure on: a generated moving pattern, or a part of any video.

The pattern resembles video: smooth drifting shading, and fine texture that moves the other way. Its bytes depend only
on its size.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]


def pattern(width: int, height: int, frames: int) -> Frames:
    """(frames, height, width, 3) bytes."""
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    # Rounded to a coarse grid, to hide rounding differences between machines.
    grain = np.random.default_rng(1).integers(-24, 25, (height, width, 3))
    clip = np.empty((frames, height, width, 3), np.uint8)
    for time in range(frames):
        x, y = columns + 1.5 * time, rows + 0.75 * time
        for channel, (across, down) in enumerate(((0.031, 0.023), (0.017, -0.041), (-0.026, 0.019))):
            wave = np.sin(across * x + down * y + channel) + 0.5 * np.sin(3 * down * x - 2 * across * y)
            shade = np.round(128 + 60 * wave).astype(np.int64)
            moved = np.roll(grain[..., channel], (time, -2 * time), (0, 1))
            clip[time, ..., channel] = np.clip(shade + moved, 0, 255)
    return clip


def write(path: Path, width: int, height: int, frames: int, source: Path | None) -> None:
    """Writes rgb24: the pattern, or the first frames of a video, scaled and cropped to the size."""
    if source is None:
        path.write_bytes(pattern(width, height, frames).tobytes())
        return
    scale = f"scale={width}:{height}:force_original_aspect_ratio=increase:flags=area,crop={width}:{height}"
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(source), "-vf", scale, "-frames:v", str(frames)]
    subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", str(path)], check=True)
    if path.stat().st_size != width * height * 3 * frames:
        raise SystemExit(f"bench: {source} has fewer than {frames} frames")
