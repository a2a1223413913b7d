"""Clips, generated or cut out of videos, as y4m, which the packed command reads without libav."""

from __future__ import annotations

import subprocess
from pathlib import Path

import clip
import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]


def to_yuv(rgb: Frames) -> Frames:
    """(T, H, W, 3) RGB to (T, 3, H, W) BT.709 of limited range."""
    r, g, b = np.moveaxis(rgb.astype(np.float32) / 255, -1, 0)
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    planes = np.stack([16 + 219 * y, 128 + 224 * (b - y) / 1.8556, 128 + 224 * (r - y) / 1.5748], axis=1)
    return planes.round().clip(0, 255).astype(np.uint8)


def write_y4m(path: Path, rgb: Frames, rate: int = 25) -> None:
    """Full chroma."""
    _, height, width, _ = rgb.shape
    with path.open("wb") as sink:
        sink.write(f"YUV4MPEG2 W{width} H{height} F{rate}:1 Ip A1:1 C444 XCOLORRANGE=LIMITED\n".encode())
        for frame in to_yuv(rgb):
            sink.write(b"FRAME\n" + frame.tobytes())


def pattern(path: Path, width: int, height: int, frames: int) -> Path:
    """The moving pattern of the benchmark."""
    if not path.exists():
        write_y4m(path, clip.pattern(width, height, frames))
    return path


def cut(video: Path, path: Path, size: tuple[int, int], frames: int, start: float = 0.0) -> None:
    """The first frames of a video from `start` seconds on, scaled and cropped to the size."""
    width, height = size
    scale = f"scale={width}:{height}:force_original_aspect_ratio=increase:flags=area"
    filters = f"{scale},crop={width}:{height},format=yuv420p"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-ss", str(start), "-i", str(video), "-vf", filters, "-an"]
    subprocess.run([*command, "-frames:v", str(frames), "-strict", "-1", str(path)], check=True)
