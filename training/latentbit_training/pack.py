"""A small part of a cache as one file of JPEG or WebP frames, to be carried to another machine, and back to a cache.

    latentbit-train pack runs/cache runs/cache.zip --mb 25
    latentbit-train pack --unpack runs/cache.zip runs/cache

A cache holds plain bytes, about ten times as many. Files are drawn at random until the size is reached.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .data import load
from .options import Parser

INDEX = "cache.json"
KINDS = ("images", "videos")
Entry = dict[str, Any]


def encoded(frame: np.ndarray, form: str, quality: int) -> bytes:
    """A picture's file."""
    sink = io.BytesIO()
    options = {"subsampling": 0} if form == "jpeg" else {}
    Image.fromarray(frame).save(sink, form.upper(), quality=quality, **options)
    return sink.getvalue()


def drawn(cache: Path, kind: str, seed: int) -> Iterator[tuple[Entry, np.ndarray]]:
    """Entries and frames of a cache, in random order."""
    entries = json.loads((cache / INDEX).read_text())[kind]
    clips = load(cache, kind)
    for index in np.random.default_rng(seed).permutation(len(clips)):
        yield entries[index], clips[index].frames


def pack(cache: Path, out: Path, size: float, videos: float = 0.5, form: str = "webp", quality: int = 92,
         seed: int = 1) -> dict[str, int]:
    """Writes a file of at most `size` MB, `videos` of it videos; how many of each kind are in it."""
    index: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
    available = {kind: bool(json.loads((cache / INDEX).read_text())[kind]) for kind in KINDS}
    shares = {"images": 1 - videos, "videos": videos}
    whole = sum(shares[kind] for kind in KINDS if available[kind])
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for kind in KINDS:
            left = size * 1e6 * shares[kind] / whole if available[kind] else 0
            for entry, frames in drawn(cache, kind, seed):
                pictures = [encoded(frame, form, quality) for frame in frames]
                # A little for what the archive says of each.
                cost = sum(len(picture) + 200 for picture in pictures) + 300
                if cost > left:
                    break
                left -= cost
                for number, picture in enumerate(pictures):
                    archive.writestr(f"{kind}/{len(index[kind])}/{number}", picture)
                index[kind].append({"file": entry["file"], "source": entry["source"], "frames": len(pictures)})
        archive.writestr(INDEX, json.dumps(index))
    return {kind: len(entries) for kind, entries in index.items()}


def unpack(source: Path, out: Path) -> dict[str, int]:
    """Writes a cache."""
    out.mkdir(parents=True, exist_ok=True)
    made: dict[str, list[Entry]] = {kind: [] for kind in KINDS}
    with zipfile.ZipFile(source) as archive:
        index = json.loads(archive.read(INDEX))
        for kind in KINDS:
            offset = 0
            with open(out / f"{kind}.bin", "wb") as sink:
                for place, entry in enumerate(index[kind]):
                    names = [f"{kind}/{place}/{number}" for number in range(entry["frames"])]
                    pictures = [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]
                    clip = np.stack([np.asarray(picture) for picture in pictures])
                    sink.write(clip.tobytes())
                    about = {"file": entry["file"], "source": entry["source"], "offset": offset}
                    made[kind].append({**about, "shape": list(clip.shape)})
                    offset += clip.size
    (out / INDEX).write_text(json.dumps(made))
    return {kind: len(entries) for kind, entries in made.items()}


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    p = Parser("pack", __doc__)
    p.add_argument("source", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--unpack", action="store_true", help="from such a file to a cache")
    p.add_argument("--mb", type=float, default=25, help="largest size")
    p.add_argument("--videos", type=float, default=0.5, help="share of the size that goes to videos")
    p.add_argument("--form", choices=("webp", "jpeg"), default="webp")
    p.add_argument("--quality", type=int, default=92)
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args(argv)
    if args.unpack:
        found = unpack(args.source, args.out)
    else:
        found = pack(args.source, args.out, args.mb, args.videos, args.form, args.quality, args.seed)
    print(", ".join(f"{count} {kind}" for kind, count in found.items()))
