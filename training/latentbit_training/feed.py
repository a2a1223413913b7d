"""Batches for training from a cache in memory.

A feed draws for each step whether it is one of clips, the side of its crops, and its samples. All ranks draw the same;
each makes its own parts. What was drawn is remembered in checkpoints by `state`, so a run goes on with the next sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from .data import Sampler, rendered


class Steps(NamedTuple):
    """What steps look like."""

    image_counts: dict[int, int]
    """Images of a step, by the side of their crops."""
    clip_counts: dict[int, int]
    clip_frames: int
    clip_share: float
    """Part of the steps that train on clips."""


class Turn(NamedTuple):
    """What the next step is."""

    clips: bool
    size: int
    samples: int


def draw_turn(steps: Steps, rng: np.random.Generator, clips: bool) -> Turn:
    """A step of clips or of images, and its size."""
    turn = clips and bool(rng.random() < steps.clip_share)
    counts = steps.clip_counts if turn else steps.image_counts
    size = int(rng.choice(list(counts)))
    return Turn(turn, size, counts[size])


class CacheFeed:
    """Batches of a cache."""

    def __init__(self, sampler: Sampler, steps: Steps) -> None:
        self.sampler, self.steps = sampler, steps
        self._turn = Turn(False, 0, 0)

    @property
    def state(self) -> dict[str, Any]:
        """That of the generator."""
        return self.sampler.state

    @state.setter
    def state(self, value: dict[str, Any]) -> None:
        self.sampler.state = value

    def turn(self, clips: bool = True) -> Turn:
        """The next step."""
        self._turn = draw_turn(self.steps, self.sampler.rng, clips)
        return self._turn

    def batch(self, parts: list[slice]) -> Iterator[Tensor]:
        """Its samples."""
        clips, size, count = self._turn
        sampler = self.sampler
        draws = sampler.clips(count, self.steps.clip_frames, size) if clips else sampler.images(count, size)
        for part in parts:
            yield rendered(draws, part)

    def told(self) -> dict[str, float]:
        """Nothing."""
        return {}
