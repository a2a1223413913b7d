"""Bitwise MaskGIT: a bidirectional transformer that predicts each bit of masked tokens (section 2.2 of the paper)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import PredictorConfig
from .ranks import same
from .tokens import CHUNK, GROUP
from .vit import Grid, Vit


class Predictor(nn.Module):
    """Tokens of which some bits are not known to the logits of all their bits.

    A token enters as its D bits (-1 and 1, 0 where unknown), D marks of what is known, and two marks of what begins
    with its step: a group, a chunk. There is no table of 2^D entries; what an unknown bit looks like is learned as
    the weights of its mark.
    """

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.config = config
        self.vit = Vit(2 * config.bits + 2, config.bits, config.width, config.heads, config.layers, config.mlp_ratio,
                       config.window, config.shift, config.rope_theta)

    def forward(self, code: Tensor, known: Tensor, starts: Tensor) -> Tensor:
        """(B, T, h, w, D) of -1 and 1, of 0 and 1, and (B, T) of `INNER`, `CHUNK`, `GROUP` to (B, T, h, w, D)."""
        grid: Grid = (code.shape[1], code.shape[2], code.shape[3])
        marks = torch.stack([starts == GROUP, starts >= CHUNK], dim=-1).to(code.dtype)
        marks = marks[:, :, None, None].expand(*code.shape[:4], 2)
        x = torch.cat([code * known, known, marks], dim=-1)
        return self.vit(x.flatten(1, 3), grid).unflatten(1, grid)


def bit_loss(logits: Tensor, code: Tensor, known: Tensor, mean: Callable[[Tensor], Tensor] = same) -> Tensor:
    """Equation 4: the mean cross-entropy of the bits that are not known, in nats per bit.

    `mean` takes the mean over ranks.
    """
    unknown = 1 - known
    loss = F.softplus(-logits.float() * code)
    return (loss * unknown).sum() / mean(unknown.sum()).clamp_min(1)


SCHEDULES = ("cosine", "linear")


def still_masked(schedule: str, done: int, steps: int) -> float:
    """The part of what is lost that is masked after `done` of `steps` steps."""
    passed = done / steps
    return max(0.0, math.cos(math.pi / 2 * passed)) if schedule == "cosine" else 1 - passed


_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_WORD = (1 << 64) - 1


def noise(seed: int, step: int, token: int, bit: int) -> float:
    """A number in (0, 1) that depends on nothing but its arguments: SplitMix64 of a counter, its upper 24 bits.

    The Rust code draws the same.
    """
    z = (seed + _MIX[0] * (1 + bit + 65 * (token + (step << 40)))) & _WORD
    z = ((z ^ z >> 30) * _MIX[1]) & _WORD
    z = ((z ^ z >> 27) * _MIX[2]) & _WORD
    return (((z ^ z >> 31) >> 40) + 0.5) / (1 << 24)


@torch.no_grad()
def fill(model: Predictor, code: Tensor, known: Tensor, starts: Tensor, *, steps: int = 8, schedule: str = "cosine",
         temperature: float = 0.0, confidence_noise: float = 0.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Fills the unknown bits of one window, (T, h, w, D) of -1 and 1, and gives the last logits of each token as well.

    In each step all bits are predicted. Those of the surest tokens are kept, as many as the schedule says; a token is
    as sure as the mean log-probability of its bits that were unknown, plus Gumbel noise that fades with the steps.
    At temperature 0 a bit takes its likelier value.
    """
    code, known, bits = code * known, known.clone(), code.shape[-1]
    lost = (known < 1).any(-1).flatten()
    total = int(lost.sum())
    last = torch.zeros_like(code)
    for step in range(steps):
        logits = model(code[None], known[None], starts[None])[0]
        masked = (known < 1).any(-1).flatten()
        places = masked.nonzero()[:, 0].tolist()
        if not places:
            break
        flat, unknown = logits.view(-1, bits)[masked], 1 - known.view(-1, bits)[masked]
        if temperature > 0:
            draws = torch.tensor([[noise(seed, step, p, b) for b in range(bits)] for p in places])
            drawn = torch.where(draws < torch.sigmoid(flat / temperature), 1.0, -1.0)
        else:
            drawn = torch.where(flat > 0, 1.0, -1.0)
        sure = -(F.softplus(-flat * drawn) * unknown).sum(-1) / unknown.sum(-1)
        if confidence_noise > 0:
            draws = torch.tensor([noise(seed, step, p, 64) for p in places])
            sure = sure - confidence_noise * (1 - (step + 1) / steps) * torch.log(-torch.log(draws))
        left = math.floor(still_masked(schedule, step + 1, steps) * total) if step + 1 < steps else 0
        count = max(1, len(places) - left)
        chosen = torch.tensor(places)[torch.sort(sure, descending=True, stable=True).indices[:count]]
        values = torch.zeros(masked.shape[0], bits)
        values[masked] = torch.where(unknown > 0, drawn, code.view(-1, bits)[masked])
        code.view(-1, bits)[chosen] = values[chosen]
        known.view(-1, bits)[chosen] = 1
        last.view(-1, bits)[chosen] = logits.view(-1, bits)[chosen]
    return code, last
