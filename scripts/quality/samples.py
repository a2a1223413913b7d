"""Held-out photos and clips as input files, and the built command that measures them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

Report = dict[str, Any]
FPS = 25


@dataclass(frozen=True)
class Sample:
    """A file to encode, and the options that describe it."""

    path: Path
    options: tuple[str, ...] = ()


class Latentbit:
    """The command."""

    def __init__(self, binary: Path, threads: int, model: Path | None, dtype: str) -> None:
        self.binary = binary
        model_options = ["--model", str(model)] if model else []
        self.options = ["--json", "--threads", str(threads), "--dtype", dtype, *model_options]

    def run(self, *arguments: str | Path) -> Report:
        command = [str(self.binary), *map(str, arguments), *self.options]
        result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        report: Report = json.loads(result.stdout)
        return report

    def trim(self, whole: Path, part: Path, bits: int) -> None:
        """The leading bit-planes of a file."""
        command = [str(self.binary), "trim", str(whole), "-o", str(part), "--bits", str(bits), "-y"]
        subprocess.run(command, check=True, capture_output=True)


def photo_files(folder: Path) -> list[Path]:
    """The photos in a folder with images/."""
    return sorted(p for p in (folder / "images").iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png"})


def photos(folder: Path, work: Path, size: int) -> Iterator[Sample]:
    """Center crops; photos with a short side below `size` are enlarged to it first."""
    for path in photo_files(folder):
        image = Image.open(path).convert("RGB")
        scale = size / min(image.size)
        width, height = (max(size, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (width - size) // 2, (height - size) // 2
        crop = work / "photo.png"
        image.crop((left, top, left + size, top + size)).save(crop)
        yield Sample(crop)


def clips(folder: Path, work: Path, size: int, least: int = 17, most: int = 29) -> Iterator[Sample]:
    """The first frames of each clip that is long and large enough: short side scaled to `size`, center crop."""
    for path in sorted((folder / "videos").iterdir()):
        probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of"]
        answer = subprocess.run([*probe, "csv=p=0:s=x", path], check=True, capture_output=True, text=True).stdout
        width, height = (int(side) for side in answer.strip().rstrip("x").split("x")[:2])
        if min(width, height) < size:
            continue
        raw = work / "clip.rgb"
        scale = f"scale={size}:{size}:force_original_aspect_ratio=increase:flags=area,crop={size}:{size}"
        command = ["ffmpeg", "-v", "error", "-y", "-i", str(path), "-vf", scale, "-frames:v", str(most)]
        subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", raw], check=True)
        if raw.stat().st_size >= least * size * size * 3:
            yield Sample(raw, ("--raw", f"{size}x{size}@{FPS}:rgb24"))
