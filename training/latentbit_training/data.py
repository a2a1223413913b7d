"""Random crops of cached images and videos, and synthetic motion made from still images."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Clip:
    """One file of the cache: (T, H, W, 3) bytes, and how often it is drawn."""

    frames: np.ndarray
    weight: float


def load(folder: Path, kind: str, dtype: type[np.generic] = np.uint8) -> list[Clip]:
    """Maps `kind` (images or videos) of a cache into memory.

    A collection with many files is drawn less often per file, so that no collection dominates.
    """
    entries = json.loads((folder / "cache.json").read_text())[kind]
    if not entries:
        return []
    flat = np.memmap(folder / f"{kind}.bin", dtype, mode="r")
    sizes = Counter(e["source"] for e in entries)
    clips = []
    for e in entries:
        count = int(np.prod(e["shape"]))
        frames = flat[e["offset"] : e["offset"] + count].reshape(e["shape"])
        clips.append(Clip(frames, sizes[e["source"]] ** -0.5))
    return clips


def to_unit(frames: np.ndarray) -> Tensor:
    """(..., T, H, W, 3) bytes to (..., 3, T, H, W) floats in -1…1."""
    x = torch.from_numpy(np.array(frames)).float()
    return x.movedim(-1, -4) / 127.5 - 1.0


class Drawer:
    """Draws files of a cache by their weights; deterministic for a seed."""

    def __init__(self, folder: Path, seed: int, dtype: type[np.generic] = np.uint8) -> None:
        self.rng = np.random.default_rng(seed)
        self.images = load(folder, "images", dtype)
        self.videos = load(folder, "videos", dtype)
        if not self.images and not self.videos:
            raise ValueError(f"{folder} holds neither images nor videos")
        self._weights = {
            kind: np.cumsum([c.weight for c in clips]) for kind, clips in (("i", self.images), ("v", self.videos))
        }

    def _draw(self, kind: str, clips: list[Clip]) -> Clip:
        total = self._weights[kind]
        return clips[int(np.searchsorted(total, self.rng.random() * total[-1]))]


class Sampler(Drawer):
    """Draws batches of crops."""

    def _crop(self, frames: np.ndarray, size: int, shrink_chance: float = 0.25) -> np.ndarray:
        """A random (T, size, size, 3) crop, flipped half of the time; sometimes of the picture at half its size."""
        t, h, w, _ = frames.shape
        side = size
        if min(h, w) >= 2 * size and self.rng.random() < shrink_chance:
            side = 2 * size
        if min(h, w) < side:
            x = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2).float()
            scale = side / min(h, w)
            goal = (max(side, round(h * scale)), max(side, round(w * scale)))
            x = F.interpolate(x, goal, mode="bilinear", antialias=True)
            frames = x.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
            t, h, w, _ = frames.shape
        y, x0 = self.rng.integers(h - side + 1), self.rng.integers(w - side + 1)
        crop = np.asarray(frames[:, y : y + side, x0 : x0 + side])
        if side != size:
            crop = crop.reshape(t, size, 2, size, 2, 3).astype(np.uint16).sum((2, 4))
            crop = ((crop + 2) // 4).astype(np.uint8)
        return crop[:, :, ::-1] if self.rng.random() < 0.5 else crop

    def image_batch(self, count: int, size: int) -> Tensor:
        """(count, 3, 1, size, size); frames of videos serve too, one time in five."""
        crops = []
        for _ in range(count):
            if self.videos and (not self.images or self.rng.random() < 0.2):
                frames = self._draw("v", self.videos).frames
                frames = frames[(k := int(self.rng.integers(len(frames)))) : k + 1]
            else:
                frames = self._draw("i", self.images).frames
            crops.append(self._crop(frames, size))
        return to_unit(np.stack(crops))

    def clip_batch(self, count: int, frames: int, size: int, synthetic: float = 0.25) -> Tensor:
        """(count, 3, frames, size, size); a part is synthetic motion over still images."""
        clips = []
        for _ in range(count):
            if not self.videos or (self.images and self.rng.random() < synthetic):
                clips.append(self._motion(frames, size))
                continue
            video = self._draw("v", self.videos).frames
            step = 1 if len(video) < 2 * frames or self.rng.random() < 0.8 else 2
            start = int(self.rng.integers(max(1, len(video) - (frames - 1) * step)))
            picked = np.minimum(start + step * np.arange(frames), len(video) - 1)
            if self.rng.random() < 0.3:
                picked = picked[::-1]
            clips.append(to_unit(self._crop(video[picked], size)))
        return torch.stack(clips)

    def _motion(self, frames: int, size: int) -> Tensor:
        """A camera that shifts, zooms and turns over a still image: (3, frames, size, size)."""
        rng = self.rng
        picture = to_unit(self._draw("i", self.images).frames)
        h, w = picture.shape[2:]
        speed = rng.choice([0.0, 1.0, 3.0], p=[0.15, 0.5, 0.35])
        shift = rng.normal(size=2) * speed
        zoom, turn = rng.normal() * 0.004, rng.normal() * 0.004
        steps = torch.arange(frames, dtype=torch.float32) - frames / 2
        scale = float(rng.uniform(0.8, 1.6)) * torch.exp(zoom * steps)
        angle = turn * steps
        reach = size * 0.8 + float(np.abs(shift).max()) * frames / 2
        cy = float(rng.uniform(min(reach, h / 2), max(h - reach, h / 2)))
        cx = float(rng.uniform(min(reach, w / 2), max(w - reach, w / 2)))
        axis = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        gy, gx = torch.meshgrid(axis, axis, indexing="ij")
        cos, sin = (torch.cos(angle) * scale)[:, None, None], (torch.sin(angle) * scale)[:, None, None]
        py = cy + float(shift[0]) * steps[:, None, None] + sin * gx + cos * gy
        px = cx + float(shift[1]) * steps[:, None, None] + cos * gx - sin * gy
        grid = torch.stack([(px + 0.5) * 2 / w - 1, (py + 0.5) * 2 / h - 1], dim=-1)
        still = picture[:, 0].expand(frames, -1, -1, -1)
        out = F.grid_sample(still, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        return out.transpose(0, 1)
