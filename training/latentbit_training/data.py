"""Random crops of cached images and videos, and synthetic motion made from still images."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


class Seeded:
    """Draws from a generator of random numbers, whose state can be kept."""

    rng: np.random.Generator

    @property
    def state(self) -> dict[str, Any]:
        """That of the generator."""
        return dict(self.rng.bit_generator.state)

    @state.setter
    def state(self, value: dict[str, Any]) -> None:
        self.rng.bit_generator.state = value


class Drawer(Seeded):
    """Draws files of a cache by their weights; deterministic for a seed."""

    def __init__(self, folder: Path, seed: int, dtype: type[np.generic] = np.uint8) -> None:
        self.rng = np.random.default_rng(seed)
        self.pictures = load(folder, "images", dtype)
        self.videos = load(folder, "videos", dtype)
        if not self.pictures and not self.videos:
            raise ValueError(f"{folder} holds neither images nor videos")
        self._weights = {
            kind: np.cumsum([c.weight for c in clips]) for kind, clips in (("i", self.pictures), ("v", self.videos))
        }

    def _pick(self, kind: str, clips: list[Clip]) -> Clip:
        total = self._weights[kind]
        return clips[int(np.searchsorted(total, self.rng.random() * total[-1]))]


Draw = Callable[[], Tensor]
"""A sample whose random numbers are drawn; called, it gives (3, T, H, W) in -1…1."""


def rendered(draws: list[Draw], part: slice = slice(None)) -> Tensor:
    """The samples of a part of a batch: (count, 3, T, H, W)."""
    return torch.stack([draw() for draw in draws[part]])


def crop_of(
    rng: np.random.Generator, shape: tuple[int, ...], size: int, shrink_chance: float = 0.25
) -> Callable[[np.ndarray], Tensor]:
    """A random crop of (T, H, W, 3) frames, flipped half of the time; sometimes of the picture at half its size."""
    h, w = shape[1:3]
    side = size
    if min(h, w) >= 2 * size and rng.random() < shrink_chance:
        side = 2 * size
    goal = None
    if min(h, w) < side:
        scale = side / min(h, w)
        goal = h, w = max(side, round(h * scale)), max(side, round(w * scale))
    y, x0 = rng.integers(h - side + 1), rng.integers(w - side + 1)
    flip = rng.random() < 0.5

    def crop(frames: np.ndarray) -> Tensor:
        if goal:
            x = torch.from_numpy(np.array(frames)).permute(0, 3, 1, 2).float()
            x = F.interpolate(x, goal, mode="bilinear", antialias=True)
            frames = x.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        part = np.asarray(frames[:, y : y + side, x0 : x0 + side])
        if side != size:
            part = part.reshape(len(part), size, 2, size, 2, 3).astype(np.uint16).sum((2, 4))
            part = ((part + 2) // 4).astype(np.uint8)
        return to_unit(part[:, :, ::-1] if flip else part)

    return crop


def moving(rng: np.random.Generator, frames: int, size: int, still: np.ndarray) -> Draw:
    """A camera that shifts, zooms and turns over a still image: (3, frames, size, size)."""
    h, w = still.shape[1:3]
    speed = rng.choice([0.0, 1.0, 3.0], p=[0.15, 0.5, 0.35])
    shift = rng.normal(size=2) * speed
    zoom, turn = rng.normal() * 0.004, rng.normal() * 0.004
    widest = float(rng.uniform(0.8, 1.6))
    reach = size * 0.8 + float(np.abs(shift).max()) * frames / 2
    cy = float(rng.uniform(min(reach, h / 2), max(h - reach, h / 2)))
    cx = float(rng.uniform(min(reach, w / 2), max(w - reach, w / 2)))

    def render() -> Tensor:
        steps = torch.arange(frames, dtype=torch.float32) - frames / 2
        scale = widest * torch.exp(zoom * steps)
        angle = turn * steps
        axis = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        gy, gx = torch.meshgrid(axis, axis, indexing="ij")
        cos, sin = (torch.cos(angle) * scale)[:, None, None], (torch.sin(angle) * scale)[:, None, None]
        py = cy + float(shift[0]) * steps[:, None, None] + sin * gx + cos * gy
        px = cx + float(shift[1]) * steps[:, None, None] + cos * gx - sin * gy
        grid = torch.stack([(px + 0.5) * 2 / w - 1, (py + 0.5) * 2 / h - 1], dim=-1)
        same = to_unit(still)[:, 0].expand(frames, -1, -1, -1)
        out = F.grid_sample(same, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        return out.transpose(0, 1)

    return render


class Sampler(Drawer):
    """Draws batches of crops.

    Drawing random numbers and making pictures of them are two things: ranks draw all of a batch, and make their parts.
    """

    def images(self, count: int, size: int) -> list[Draw]:
        """Crops (3, 1, size, size); frames of videos serve too, one time in five."""
        draws: list[Draw] = []
        for _ in range(count):
            if self.videos and (not self.pictures or self.rng.random() < 0.2):
                frames = self._pick("v", self.videos).frames
                frames = frames[(k := int(self.rng.integers(len(frames)))) : k + 1]
            else:
                frames = self._pick("i", self.pictures).frames
            draws.append(functools.partial(crop_of(self.rng, frames.shape, size), frames))
        return draws

    def clips(self, count: int, frames: int, size: int, synthetic: float = 0.25) -> list[Draw]:
        """Crops (3, frames, size, size); a part is synthetic motion over still images."""
        draws: list[Draw] = []
        for _ in range(count):
            if not self.videos or (self.pictures and self.rng.random() < synthetic):
                draws.append(moving(self.rng, frames, size, self._pick("i", self.pictures).frames))
                continue
            video = self._pick("v", self.videos).frames
            step = 1 if len(video) < 2 * frames or self.rng.random() < 0.8 else 2
            start = int(self.rng.integers(max(1, len(video) - (frames - 1) * step)))
            picked = np.minimum(start + step * np.arange(frames), len(video) - 1)
            if self.rng.random() < 0.3:
                picked = picked[::-1]
            draws.append(functools.partial(_taken, video, picked, crop_of(self.rng, video.shape, size)))
        return draws

    def image_batch(self, count: int, size: int) -> Tensor:
        """`images` as (count, 3, 1, size, size)."""
        return rendered(self.images(count, size))

    def clip_batch(self, count: int, frames: int, size: int, synthetic: float = 0.25) -> Tensor:
        """`clips` as (count, 3, frames, size, size)."""
        return rendered(self.clips(count, frames, size, synthetic))


def _taken(video: np.ndarray, picked: np.ndarray, crop: Callable[[np.ndarray], Tensor]) -> Tensor:
    return crop(video[picked])
