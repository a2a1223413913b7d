"""Muon for matrices and kernels, AdamW for everything else, as one optimizer.

Muon (Jordan et al., 2024) replaces the momentum of a matrix by the nearest matrix with equal singular values, found by
a Newton-Schulz iteration; the update has the root mean square of a typical AdamW step (Liu et al., 2025,
arXiv:2502.16982), so that both share a learning rate and a weight decay.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of Jordan et al.: steep at zero, singular values end within about 0.7…1.2."""


def orthogonalize(matrix: Tensor, rounds: int = 5) -> Tensor:
    """A matrix (m, n) with the singular vectors of this one and singular values near 1.

    The iteration is X <- a X + b (X X^T) X + c (X X^T)^2 X. Every iterate is P X for a polynomial P of G = X X^T, so
    only the small side, min(m, n), is iterated: a kernel of 192x1728 costs two products of that size and not fifteen.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalize(matrix.T, rounds).T
    x = matrix / (matrix.norm() + 1e-12)
    gram = x @ x.T
    total = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    a, b, c = _QUINTIC
    for _ in range(rounds):
        factor = b * gram + c * (gram @ gram)
        factor.diagonal().add_(a)
        total = factor @ total
        gram = factor @ gram @ factor
        # Polynomials of one symmetric matrix are symmetric; rounding must not let them drift.
        gram = (gram + gram.T) / 2
    return total @ x


class Muon(torch.optim.Optimizer):
    """Muon for the parameters of `matrices`, AdamW for those of `others` and of `vectors` (without decay)."""

    def __init__(
        self, matrices: Iterable[nn.Parameter], others: Iterable[nn.Parameter], vectors: Iterable[nn.Parameter],
        rate: float, decay: float = 0.01, momentum: float = 0.95, betas: tuple[float, float] = (0.9, 0.95),
    ) -> None:
        groups: list[dict[str, Any]] = [
            {"params": list(matrices), "weight_decay": decay, "muon": True},
            {"params": list(others), "weight_decay": decay, "muon": False},
            {"params": list(vectors), "weight_decay": 0.0, "muon": False},
        ]
        super().__init__([g for g in groups if g["params"]], {"lr": rate, "momentum": momentum, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update from the gradients."""
        if closure is not None:
            raise ValueError("a closure is not supported")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                update = self._muon(parameter, group) if group["muon"] else self._adam(parameter, group)
                parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"])

    def _muon(self, parameter: nn.Parameter, group: dict[str, Any]) -> Tensor:
        gradient, state, momentum = parameter.grad, self.state[parameter], group["momentum"]
        assert gradient is not None
        average = state.setdefault("average", torch.zeros_like(parameter))
        average.lerp_(gradient, 1 - momentum)
        ahead = gradient.lerp(average, momentum).flatten(1).float()
        return (orthogonalize(ahead) * (0.2 * math.sqrt(max(ahead.shape)))).view_as(parameter)

    def _adam(self, parameter: nn.Parameter, group: dict[str, Any]) -> Tensor:
        gradient, state, (first, second) = parameter.grad, self.state[parameter], group["betas"]
        assert gradient is not None
        if not state:
            state |= {"count": 0, "average": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}
        state["count"] += 1
        state["average"].lerp_(gradient, 1 - first)
        state["square"].lerp_(gradient.square(), 1 - second)
        root = (state["square"] / (1 - second ** state["count"])).sqrt_().add_(1e-8)
        update: Tensor = state["average"] / (1 - first ** state["count"]) / root
        return update
