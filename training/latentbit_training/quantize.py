"""Binary quantizers: code in, straight-through gradient out, sharing one interface."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .ranks import same


def binary_sign(x: Tensor) -> Tensor:
    """+1 exactly where x > 0, else -1."""
    return torch.where(x > 0, 1.0, -1.0).to(x.dtype)


class Lfq(nn.Module):
    """Lookup-free quantizer: each dimension's sign (MAGVIT-v2)."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.scale = 1.0

    def project(self, u: Tensor) -> Tensor:
        """The continuous point that is rounded to a code."""
        return u


class Bsq(nn.Module):
    """Binary spherical quantizer: the sign of a point on the unit sphere; codes have unit length."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.scale = 1.0 / math.sqrt(bits)

    def project(self, u: Tensor) -> Tensor:
        """The continuous point that is rounded to a code."""
        return F.normalize(u, dim=-1)


QUANTIZERS: dict[str, type[Lfq] | type[Bsq]] = {"lfq": Lfq, "bsq": Bsq}


def quantize(quantizer: Lfq | Bsq, u: Tensor) -> tuple[Tensor, Tensor]:
    """(..., D) to its code with a straight-through gradient, and the commitment loss."""
    point = quantizer.project(u)
    code = binary_sign(point.detach()) * quantizer.scale
    commitment = (point - code).square().mean()
    return point + (code - point).detach(), commitment


def entropy_term(u: Tensor, temperature: float = 1.0, mean: Callable[[Tensor], Tensor] = same) -> Tensor:
    """Mean entropy of each bit minus the entropy of its mean: low when bits are sure of themselves and balanced.

    `mean` takes the mean over ranks.
    """
    p = torch.sigmoid(u.flatten(0, -2) / temperature).float().clamp(1e-6, 1 - 1e-6)

    def h(q: Tensor) -> Tensor:
        return -(q * q.log() + (1 - q) * (1 - q).log())

    return h(p).mean() - h(mean(p.mean(0))).mean()


class Balance:
    """Draws every bit towards being set half of the time.

    A batch is too small to tell how a bit is used, so the push on a bit follows a running mean of it over many batches.
    """

    def __init__(
        self, bits: int, device: torch.device, momentum: float = 0.98, mean: Callable[[Tensor], Tensor] = same
    ) -> None:
        """`mean` takes the mean over ranks."""
        self.mean = mean
        self.running = torch.zeros(bits, device=device)
        self.momentum = momentum

    def term(self, u: Tensor) -> Tensor:
        """Mean of (running mean times this batch's mean) of the soft signs of (..., D) outputs; 0 at balance."""
        mean = self.mean(torch.tanh(u.float()).flatten(0, -2).mean(0))
        self.running = torch.lerp(mean.detach(), self.running, self.momentum)
        return 2 * (self.running * mean).mean()
