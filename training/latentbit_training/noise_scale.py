"""The gradient noise scale: the batch size up to which a larger batch pays (McCandlish et al., 2018, appendix A.1).

With G the true gradient and S the sum of the variances of a single sample's, B_simple = S / |G|². Both are estimated
from the lengths of two gradients of a step, that of its whole batch and that of a part of it, which a step on several
ranks or in several passes has anyway.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

DECAY = 0.98
"""Of the running means: a single step says next to nothing."""


def square_of(gradients: list[Tensor]) -> Tensor:
    """The squared length of gradients together, in f32."""
    lengths = torch._foreach_norm([g.detach() for g in gradients], 2)
    return torch.stack([length.float() for length in lengths]).square().sum()


class NoiseScale:
    """Running estimates of |G|² and S for each kind of step: pictures and clips are different data."""

    def __init__(self) -> None:
        self.running: dict[str, list[float]] = {}
        """|G|² and S; both start at nothing, which their ratio forgives."""

    @property
    def state(self) -> dict[str, Any]:
        """What a run needs to go on."""
        return {kind: list(values) for kind, values in self.running.items()}

    @state.setter
    def state(self, value: dict[str, Any]) -> None:
        self.running = {kind: list(values) for kind, values in value.items()}

    def take(self, kind: str, part: int, part_square: float, whole: int, whole_square: float) -> None:
        """Squared lengths of the mean gradients of `part` and of `whole` samples, the part among them."""
        square = (whole * whole_square - part * part_square) / (whole - part)
        spread = (part_square - whole_square) / (1 / part - 1 / whole)
        before = self.running.get(kind, [0.0, 0.0])
        self.running[kind] = [
            DECAY * old + (1 - DECAY) * new for old, new in zip(before, (square, spread), strict=True)]

    def told(self) -> dict[str, float]:
        """`KIND_noise_scale` in samples, where noise does not hide the gradient altogether."""
        found = {}
        for kind, (square, spread) in sorted(self.running.items()):
            if square > 0 and spread > 0:
                found[f"{kind}_noise_scale"] = round(spread / square, 1)
        return found
