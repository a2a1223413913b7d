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

from .ranks import joined, local, spread

_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of Jordan et al.: steep at zero, singular values end within about 0.7…1.2."""


def orthogonalize(matrix: Tensor, rounds: int = 5) -> Tensor:
    """Matrices (..., m, n) with the singular vectors of these and singular values near 1.

    The iteration is X <- a X + b (X X^T) X + c (X X^T)^2 X. Every iterate is P X for a polynomial P of G = X X^T, so
    only the small side, min(m, n), is iterated: a kernel of 192x1728 costs two products of that size and not fifteen.
    """
    if matrix.shape[-2] > matrix.shape[-1]:
        return orthogonalize(matrix.mT, rounds).mT
    x = matrix / (torch.linalg.vector_norm(matrix, dim=(-2, -1), keepdim=True) + 1e-12)
    gram = x @ x.mT
    total: Tensor | None = None
    a, b, c = _QUINTIC
    for index in range(rounds):
        factor = b * gram + c * (gram @ gram)
        factor.diagonal(dim1=-2, dim2=-1).add_(a)
        total = factor if total is None else factor @ total
        if index + 1 < rounds:
            gram = factor @ gram @ factor
            # Polynomials of one symmetric matrix are symmetric; rounding must not let them drift.
            gram = (gram + gram.mT) / 2
    return x if total is None else total @ x


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
            found = [p for p in group["params"] if p.grad is not None]
            if not found:
                continue
            updates = self._muon(found, group) if group["muon"] else self._adam(found, group)
            weights = [local(p) for p in found]
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(weights, updates, alpha=-group["lr"])

    # Of weights that are spread over ranks (FSDP2), states and updates are too; sums go over what this rank holds.
    # Networks this small spend as long on calls as on sums, so all parameters of a group go through each call together.

    def _muon(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> list[Tensor]:
        momentum = group["momentum"]
        gradients = [local(p.grad) for p in parameters if p.grad is not None]
        averages = [local(self.state[p].setdefault("average", torch.zeros_like(p))) for p in parameters]
        torch._foreach_lerp_(averages, gradients, 1 - momentum)
        ahead = torch._foreach_lerp(gradients, averages, momentum)
        shapes: dict[torch.Size, list[int]] = {}
        for index, parameter in enumerate(parameters):
            shapes.setdefault(parameter.flatten(1).shape, []).append(index)
        updates: list[Tensor] = list(ahead)
        for shape, places in shapes.items():
            # Singular values are those of whole matrices.
            matrices = torch.stack([joined(ahead[i], parameters[i]).flatten(1) for i in places]).float()
            found = orthogonalize(matrices) * (0.2 * math.sqrt(max(shape)))
            for i, update in zip(places, found, strict=True):
                updates[i] = local(spread(update.view(parameters[i].shape), parameters[i]))
        return updates

    def _adam(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> list[Tensor]:
        first, second = group["betas"]
        gradients = [local(p.grad) for p in parameters if p.grad is not None]
        for parameter in parameters:
            if not self.state[parameter]:
                zeros = torch.zeros_like(parameter)
                self.state[parameter] |= {"count": 0, "average": zeros, "square": zeros.clone()}
            self.state[parameter]["count"] += 1
        states = [self.state[p] for p in parameters]
        averages, squares = [local(s["average"]) for s in states], [local(s["square"]) for s in states]
        torch._foreach_lerp_(averages, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
        roots = torch._foreach_div(squares, [1 - second ** s["count"] for s in states])
        torch._foreach_sqrt_(roots)
        torch._foreach_add_(roots, 1e-8)
        updates = torch._foreach_div(averages, [1 - first ** s["count"] for s in states])
        torch._foreach_div_(updates, roots)
        return list(updates)
