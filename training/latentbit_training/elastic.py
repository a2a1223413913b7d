"""Depth chosen for each token: what it gains beside the same depth for all, at what cost in a file.

    latentbit-train elastic --bundle models/default.safetensors --val VAL

PSNR of held-out images and clips, and the bits of a token (planes and depths) as `rate` counts them. Three curves have
the same mean depth in each sample: `uniform` gives it to every token; `oracle` chooses by the error of each token's
pixels at each uniform depth, which takes an encoder as many decodes; `head` by what the depth head estimates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .config import TokenizerConfig, VaeConfig
from .depths import choose_means, pixel_errors, token_means
from .evaluate import held_out
from .loop import psnr
from .options import Parser
from .rate import depth_costs, plane_costs
from .tokenizer import Tokenizer
from .vae import WanVae
from .vit import Grid
from .warm import read_part

STEP = 3
"""Planes between the depths of a tokenizer that has no depth head."""


@dataclass(frozen=True)
class Coded:
    """A chunk that the encoder has seen."""

    bits: Tensor
    """(1, tokens, D) booleans."""
    estimates: Tensor | None
    """(1, tokens, K) logarithms of errors."""
    grid: Grid
    size: tuple[int, int, int]


@dataclass
class Curve:
    """What was found at one mean depth: PSNR of each sample, and the depth map of each chunk."""

    psnr: list[float] = field(default_factory=list)
    maps: list[Tensor] = field(default_factory=list)


def ladder(config: TokenizerConfig) -> tuple[int, ...]:
    """The depths that a token may have."""
    return config.depths if config.depth_step else (*range(0, config.bits, STEP), config.bits)


def targets(config: TokenizerConfig) -> list[int]:
    """Mean depths to report on: those of the ladder nearest to 1/4, 1/3, 1/2, 2/3 and all of the planes."""
    steps = np.array(ladder(config))
    wanted = (config.bits * share for share in (1 / 4, 1 / 3, 1 / 2, 2 / 3, 1))
    return sorted({int(steps[np.abs(steps - depth).argmin()]) for depth in wanted} - {0})


def _decode(vae: WanVae, tokenizer: Tokenizer, chunks: list[Coded], maps: list[Tensor] | int) -> Tensor:
    parts = [tokenizer.decode_bits(c.bits, c.grid, c.size, maps if isinstance(maps, int) else maps[i])
             for i, c in enumerate(chunks)]
    return vae.decode(vae.denormalize(torch.cat(parts, dim=2)))


def _sample(vae: WanVae, tokenizer: Tokenizer, video: Tensor, curves: dict[tuple[str, int], Curve]) -> list[Coded]:
    """Puts a sample into the curves."""
    config, steps = tokenizer.config, ladder(tokenizer.config)
    chunks = []
    for part in vae.normalize(vae.encode(video)).split(config.chunk_latent_frames, dim=2):
        u, estimates, grid = tokenizer.analyse(part)
        t, h, w = part.shape[2:]
        chunks.append(Coded(u > 0, estimates, grid, (t, h, w)))
    lengths = [c.size[0] for c in chunks]
    found = []
    for depth in steps:
        frames = _decode(vae, tokenizer, chunks, depth)
        errors = pixel_errors(frames, video, vae.config.strides).split(lengths, dim=2)
        found.append(torch.cat([token_means(e, config.patch) for e in errors], dim=1))
        if curve := curves.get(("uniform", depth)):
            curve.psnr.append(psnr(frames, video))
    choosers = {"oracle": torch.stack(found, dim=-1)}
    if all(c.estimates is not None for c in chunks):
        choosers["head"] = torch.cat([c.estimates for c in chunks if c.estimates is not None], dim=1).float().exp()
    for (name, mean), curve in curves.items():
        if name in choosers:
            chosen = choose_means(choosers[name], steps, torch.tensor([float(mean)], device=video.device))
            maps = list(chosen.split([c.bits.shape[1] for c in chunks], dim=1))
            curve.psnr.append(psnr(_decode(vae, tokenizer, chunks, maps), video))
            curve.maps += maps
    return chunks


def _costs(chunks: list[Coded], maps: list[Tensor] | None, steps: tuple[int, ...]) -> tuple[np.ndarray, float]:
    """Bits of each plane and of the depths, summed over chunks."""
    planes, depths = np.zeros(chunks[0].bits.shape[-1]), 0.0
    for grid in sorted({c.grid for c in chunks}):
        places = [i for i, c in enumerate(chunks) if c.grid == grid]
        bits = torch.cat([chunks[i].bits for i in places]).unflatten(1, grid).cpu().numpy()
        if maps is None:
            planes += plane_costs(bits).sum(0)
            continue
        kept = torch.cat([maps[i] for i in places]).unflatten(1, grid).cpu().numpy()
        planes += plane_costs(bits, kept).sum(0)
        depths += float(depth_costs(np.searchsorted(steps, kept)).sum())
    return planes, depths


@torch.no_grad()
def evaluate_elastic(vae: WanVae, tokenizer: Tokenizer, folder: Path, limit: int = 10_000) -> dict[str, float]:
    """`val_KIND_CURVE_MEAN_psnr` in dB and `val_KIND_CURVE_MEAN_bits` of a token."""
    device = next(vae.parameters()).device
    steps = ladder(tokenizer.config)
    names = ["uniform", "oracle", *(["head"] if tokenizer.depth_head is not None else [])]
    kinds, report = held_out(folder, limit)
    for kind, samples in kinds.items():
        if not samples:
            continue
        # At full depth there is nothing to choose.
        curves = {(name, mean): Curve() for name in names for mean in targets(tokenizer.config)
                  if name == "uniform" or mean < steps[-1]}
        chunks = [c for x in samples for c in _sample(vae, tokenizer, x.to(device), curves)]
        tokens = sum(c.bits.shape[1] for c in chunks)
        whole, _ = _costs(chunks, None, steps)
        for (name, mean), curve in curves.items():
            if name == "uniform":
                cost = whole[:mean].sum()
            else:
                planes, depths = _costs(chunks, curve.maps, steps)
                cost = planes.sum() + depths
            label = f"val_{kind}_{name}_{mean}"
            report |= {f"{label}_psnr": round(float(np.mean(curve.psnr)), 3), f"{label}_bits": round(cost / tokens, 2)}
    return report


def table(report: dict[str, float]) -> str:
    """Markdown: a row for each kind and mean depth."""
    found: dict[tuple[str, int], dict[str, str]] = {}
    for key, value in report.items():
        if key.endswith("_psnr"):
            _, kind, name, depth, _ = key.split("_")
            bits = report[key.removesuffix("psnr") + "bits"]
            found.setdefault((kind, int(depth)), {})[name] = f"{value:.2f} dB, {bits:.1f} bits"
    names = [name for name in ("uniform", "oracle", "head") if any(name in row for row in found.values())]
    rows = [f"| | mean depth | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    for (kind, mean), row in found.items():
        rows.append(f"| {kind} | {mean} | {' | '.join(row.get(name, '-') for name in names)} |")
    return "\n".join(rows)


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Command line."""
    p = Parser("elastic", __doc__)
    p.add_argument("--bundle", type=Path, help="bundle whose VAE and tokenizer to measure")
    p.add_argument("--vae", type=Path, help="VAE, instead of that of --bundle")
    p.add_argument("--tokenizer", type=Path, help="tokenizer.pt or a bundle, instead of that of --bundle")
    p.add_argument("--val", type=Path, required=True, help="folder with images and videos")
    p.add_argument("--limit", type=int, default=10_000, help="images and clips at most")
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args(argv)
    torch.set_num_threads(args.threads)
    if not (args.bundle or (args.vae and args.tokenizer)):
        p.error("--bundle is missing, or --vae and --tokenizer")
    config, state, _ = read_part(args.vae or args.bundle, VaeConfig)
    vae = WanVae(config)
    vae.load_state_dict(state)
    tokens, state, _ = read_part(args.tokenizer or args.bundle, TokenizerConfig)
    tokenizer = Tokenizer(tokens)
    tokenizer.load_state_dict(state)
    report = evaluate_elastic(vae.eval(), tokenizer.eval(), args.val, args.limit)
    print(table(report))
    return report
