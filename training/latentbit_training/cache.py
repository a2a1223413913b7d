"""Decodes images and videos once into flat arrays of bytes that training maps into memory.

    latentbit-train cache DATA_FOLDER OUT_FOLDER

DATA_FOLDER is any folder; everything below it that looks like an image or a video is taken.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

from .options import Parser

IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
VIDEOS = {".mp4", ".mkv", ".webm", ".mov", ".avi", ".y4m"}


def source_of(path: Path) -> str:
    """The collection a file comes from, by the part of its name before the first underscore."""
    return path.stem.split("_")[0]


def fit(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Even size with the given short side at most, never enlarged."""
    scale = min(1.0, short_side / min(width, height))
    return max(2, round(width * scale) // 2 * 2), max(2, round(height * scale) // 2 * 2)


def read_image(path: Path, short_side: int | None) -> np.ndarray:
    """One frame as (1, H, W, 3) bytes; without a short side as large as it is."""
    image = Image.open(path).convert("RGB")
    if short_side is not None:
        image = image.resize(fit(*image.size, short_side), Image.Resampling.LANCZOS)
    return np.asarray(image)[None]


def read_video(path: Path, short_side: int | None, max_frames: int) -> np.ndarray:
    """The first frames as (T, H, W, 3) bytes; without a short side as large as they are."""
    probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-of", "json"]
    probe += ["-show_entries", "stream=width,height:stream_side_data=rotation", str(path)]
    streams = json.loads(subprocess.run(probe, check=True, capture_output=True).stdout)["streams"]
    if not streams:
        raise ValueError("no video in it")
    width, height = streams[0]["width"], streams[0]["height"]
    if short_side is not None:
        width, height = fit(width, height, short_side)
    # ffmpeg turns a clip filmed upright before it scales; ffprobe tells the size from before.
    if any(data.get("rotation", 0) % 180 == 90 for data in streams[0].get("side_data_list", [])):
        width, height = height, width
    command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", "-i", str(path), "-frames:v", str(max_frames)]
    scaling = [] if short_side is None else ["-vf", f"scale={width}:{height}:flags=area"]
    command += [*scaling, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def build(data: Path, out: Path, image_side: int = 288, video_side: int = 192, max_frames: int = 33) -> None:
    """Writes `images.bin`, `videos.bin` and an index `cache.json`."""
    out.mkdir(parents=True, exist_ok=True)
    index: dict[str, list[dict[str, object]]] = {"images": [], "videos": []}
    files = sorted(p for p in data.rglob("*") if p.suffix.lower() in IMAGES | VIDEOS)
    for kind, suffixes in (("images", IMAGES), ("videos", VIDEOS)):
        offset = 0
        with open(out / f"{kind}.bin", "wb") as sink:
            for path in (p for p in files if p.suffix.lower() in suffixes):
                try:
                    is_image = kind == "images"
                    clip = read_image(path, image_side) if is_image else read_video(path, video_side, max_frames)
                    if len(clip) == 0:
                        raise ValueError("no frames")
                except (OSError, subprocess.CalledProcessError, ValueError, Image.DecompressionBombError) as error:
                    print(f"{path}: skipped: {error}")
                    continue
                sink.write(clip.tobytes())
                entry = {"file": str(path.relative_to(data)), "source": source_of(path), "offset": offset}
                index[kind].append({**entry, "shape": list(clip.shape)})
                offset += clip.size
        print(f"{kind}: {len(index[kind])} files, {offset / 1e9:.2f} GB")
    (out / "cache.json").write_text(json.dumps(index))


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    p = Parser("cache", __doc__)
    p.add_argument("data", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--image-side", type=int, default=288, help="largest short side of an image, pixels")
    p.add_argument("--video-side", type=int, default=192, help="largest short side of a clip, pixels")
    p.add_argument("--max-frames", type=int, default=33, help="frames kept of each clip")
    args = p.parse_args(argv)
    build(args.data, args.out, args.image_side, args.video_side, args.max_frames)
