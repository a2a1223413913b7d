"""Which tokens the predictor does not get to see: whole chunks and parts, as losses look in practice."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

KINDS = {"chunk": 0.45, "run": 0.1, "last": 0.2, "first": 0.05, "spatial": 0.1, "all": 0.1}
"""What is lost, and how often: one chunk, two or more in a row, the last, the first, a block of space and time, all."""


def region(kind: str, chunks: list[range], grid: tuple[int, int, int], rng: np.random.Generator) -> Tensor:
    """(T, h, w) booleans: what is lost. `chunks` are the steps of each chunk."""
    t, h, w = grid
    lost = torch.zeros(grid, dtype=torch.bool)
    if kind == "spatial":
        start, end = sorted(int(x) for x in rng.choice(t + 1, 2, replace=False))
        sides = [max(1, int(side * rng.uniform(0.2, 0.8))) for side in (h, w)]
        y, x = (int(rng.integers(side - part + 1)) for side, part in zip((h, w), sides, strict=True))
        lost[start:end, y : y + sides[0], x : x + sides[1]] = True
        return lost
    last = len(chunks) - 1
    place = int(rng.integers(max(1, last) if kind == "run" else last + 1))
    spans = {"chunk": (place, place), "run": (place, min(last, place + 1)), "last": (last, last), "first": (0, 0),
             "all": (0, last)}
    first, end = spans[kind]
    lost[chunks[first].start : chunks[end].stop] = True
    return lost


def thin(lost: Tensor, rng: np.random.Generator, whole: float = 0.25) -> Tensor:
    """A random part of what is lost, as it is between the steps of decoding: MaskGIT's cosine schedule.

    With chance `whole` nothing of it is known yet.
    """
    if rng.random() < whole:
        return lost
    ratio = math.cos(math.pi / 2 * rng.random())
    places = lost.flatten().nonzero()[:, 0].numpy()
    kept = rng.permutation(places)[: max(1, round(ratio * len(places)))]
    out = torch.zeros(lost.numel(), dtype=torch.bool)
    out[torch.from_numpy(kept)] = True
    return out.view(lost.shape)


def known_bits(masked: Tensor, bits: int, rng: np.random.Generator, planes: float = 0.15) -> Tensor:
    """(T, h, w, D) of 0 and 1. With chance `planes` the leading planes of what is lost are known."""
    known = (~masked)[..., None].expand(*masked.shape, bits).float()
    if rng.random() < planes:
        leading = torch.arange(bits) < int(rng.integers(1, bits))
        known = torch.maximum(known, leading.float())
    return known.contiguous()
