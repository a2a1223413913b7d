"""Bits per token that prediction leaves, beside simple baselines: a report on held-out tokens.

    latentbit-train likelihood --predictor models/default-predictor.safetensors --tokens runs/val-tokens \\
        --train-tokens runs/tokens
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from . import predictors
from .maskgit import Predictor
from .options import Parser
from .tokens import TokenClip, load_tokens, unpack

RATIOS = (0.25, 0.5, 0.75, 1.0)
PLANES = (6, 9, 12, 18, 24, 30, 36)


def cross_entropy(chance: Tensor, bits: Tensor) -> Tensor:
    """Bits that each plane of (tokens, D) zeros and ones costs in the mean, under a chance for each to be one."""
    p = chance.clamp(1e-3, 1 - 1e-3)
    return -(bits * p.log2() + (1 - bits) * (1 - p).log2()).mean(0)


def by_planes(name: str, costs: Tensor) -> dict[str, float]:
    """Bits per token of the leading planes: of 6, 9, ... and of all."""
    counts = sorted({count for count in PLANES if count < len(costs)} | {len(costs)})
    return {f"{name}_{count}": round(float(costs[:count].sum()), 3) for count in counts}


def windows(clips: list[TokenClip], bits: int, most_steps: int, limit: int) -> list[tuple[Tensor, Tensor, range]]:
    """Code (T, h, w, D) and starts of the first whole chunks of each clip, and the steps of the chunk in the middle."""
    out = []
    for clip in clips[:limit]:
        chunks = [chunk for chunk in clip.chunks if chunk.stop <= most_steps]
        if len(chunks) < 3:
            continue
        end = chunks[-1].stop
        out.append((unpack(clip.tokens[:end], bits), torch.tensor(clip.starts[:end]), chunks[len(chunks) // 2]))
    return out


@torch.no_grad()
def likelihoods(model: Predictor, clips: list[TokenClip], limit: int = 10_000, seed: int = 5) -> dict[str, float]:
    """Bits per masked token where a part of the chunk in the middle is masked, by that part; and of all tokens.

    Where the whole chunk is masked, what the leading planes cost as well.
    """
    bits = model.config.bits
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    sums: dict[str, list[float]] = {}
    planes: list[Tensor] = []
    for code, starts, lost in windows(clips, bits, model.config.steps, limit):
        cases = {f"ratio_{ratio:g}": (ratio, lost) for ratio in RATIOS}
        cases |= {"past_only": (1.0, range(lost.start, len(code))), "everything": (1.0, range(len(code)))}
        for name, (ratio, steps) in cases.items():
            masked = torch.zeros(code.shape[:3], dtype=torch.bool)
            masked[steps.start : steps.stop] = torch.rand(len(steps), *code.shape[1:3], generator=generator) < ratio
            known = (~masked)[..., None].expand_as(code).float()
            end = lost.stop if name == "past_only" else len(code)
            given = (x[None, :end].to(device) for x in (code, known, starts))
            logits = model(*given)[0].float().cpu()
            at = masked[:end]
            costs = F.softplus(-logits[at] * code[:end][at]).mean(0) / math.log(2)
            sums.setdefault(f"bits_{name}", []).append(float(costs.sum()))
            if name == "ratio_1":
                planes.append(costs)
    report = {name: round(float(np.mean(values)), 3) for name, values in sums.items()}
    return report | by_planes("planes", torch.stack(planes).mean(0)) if planes else report


def baselines(train: list[TokenClip], clips: list[TokenClip], bits: int, most_steps: int) -> dict[str, float]:
    """Bits per token of the chunk in the middle by how often each bit is set, and by the bit of the frame before.

    What is known of chances is learned from `train`. The copy is of the last step before the lost chunk.
    """
    def gather(source: list[TokenClip]) -> tuple[Tensor, Tensor]:
        found, before = [], []
        for code, _, lost in windows(source, bits, most_steps, 10_000):
            if lost.start == 0:
                continue
            found.append((code[lost.start : lost.stop] > 0).float().flatten(0, 2))
            last = (code[lost.start - 1] > 0).float()
            before.append(last.expand(len(lost), *last.shape).flatten(0, 2))
        return torch.cat(found), torch.cat(before)

    seen, seen_before = gather(train)
    values, before = gather(clips)
    marginal = seen.mean(0)
    ones = (seen * seen_before).sum(0) / seen_before.sum(0).clamp_min(1)
    zeros = (seen * (1 - seen_before)).sum(0) / (1 - seen_before).sum(0).clamp_min(1)
    return {
        **by_planes("marginal", cross_entropy(marginal.expand_as(values), values)),
        **by_planes("copy", cross_entropy(torch.where(before > 0, ones, zeros), values)),
    }


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    p = Parser("likelihood", __doc__)
    p.add_argument("--predictor", type=Path, required=True)
    p.add_argument("--tokens", type=Path, required=True, help="held-out tokens")
    p.add_argument("--train-tokens", type=Path, help="tokens that the baselines learn from")
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args(argv)
    torch.set_num_threads(args.threads)
    config, model = predictors.load(args.predictor)
    clips = load_tokens(args.tokens)
    report = {"bits": float(config.predictor.bits), **likelihoods(model, clips)}
    if args.train_tokens:
        report |= baselines(load_tokens(args.train_tokens), clips, config.predictor.bits, config.predictor.steps)
    print(json.dumps(report, indent=1))
