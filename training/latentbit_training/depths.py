"""Depths: how many leading bit-planes each token keeps, drawn for training or chosen by error.

A depth map holds one integer for each token, (B, tokens) in the order of `tokenizer.patchify`; planes beyond a token's
depth are zero in the decoder's input.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .tokenizer import patchify
from .vit import Grid

KINDS = {"field": 0.4, "blocks": 0.25, "gradient": 0.15, "equal": 0.2}
"""Shapes of a drawn map, and how often each is drawn: smooth noise, blocks, a slope, the same depth everywhere."""


def sample_depths(count: int, bits: int, lowest: int, whole: float, device: torch.device) -> Tensor:
    """(count,) depths that hold for whole samples: `bits` with chance `whole`, else a uniform number from `lowest`."""
    kept = torch.randint(lowest, bits + 1, (count,), device=device)
    return torch.where(torch.rand(count, device=device) < whole, bits, kept)


def mean_depths(count: int, bits: int, lowest: int, whole: float, device: torch.device) -> Tensor:
    """(count,) mean depths: `bits` with chance `whole`, else uniform from `lowest` to `bits`."""
    means = lowest + (bits - lowest) * torch.rand(count, device=device)
    return torch.where(torch.rand(count, device=device) < whole, float(bits), means)


def _noise(count: int, grid: Grid, mode: str, device: torch.device) -> Tensor:
    """(count, *grid) of noise, drawn on a coarser grid of random size and enlarged."""
    coarse = [max(1, round(n * 0.5 ** (3 * float(torch.rand(()))))) for n in grid]
    noise = torch.randn(count, 1, *coarse, device=device)
    return F.interpolate(noise, grid, mode=mode)[:, 0]


def _slope(count: int, grid: Grid, device: torch.device) -> Tensor:
    """(count, *grid) that rises evenly along a random direction."""
    slope = torch.zeros(count, *grid, device=device)
    for axis, n in enumerate(grid):
        place = torch.linspace(-1, 1, n, device=device) if n > 1 else torch.zeros(1, device=device)
        along = place.view([-1 if a == axis else 1 for a in range(3)])
        slope = slope + torch.randn(count, 1, 1, 1, device=device) * along
    return slope


def draw_maps(means: Tensor, grid: Grid, depths: tuple[int, ...]) -> Tensor:
    """(B, tokens) of `depths` for (B,) mean depths; the mean is met up to the rounding to the depths that there are."""
    count, device, most = len(means), means.device, float(depths[-1])
    shapes = torch.stack([_noise(count, grid, "trilinear", device), _noise(count, grid, "nearest", device),
                          _slope(count, grid, device), torch.zeros(count, *grid, device=device)]).flatten(2)
    kinds = torch.multinomial(torch.tensor(list(KINDS.values()), device=device), count, replacement=True)
    shape = shapes[kinds, torch.arange(count, device=device)]
    shape = shape - shape.mean(1, keepdim=True)
    shape = shape / shape.square().mean(1, keepdim=True).sqrt().clamp_min(1e-6)
    shape = shape * (most * (0.05 + 0.5 * torch.rand(count, 1, device=device)))
    # Clamping to 0…D moves the mean: look for the offset that brings it back.
    reach = shape.abs().amax(1, keepdim=True)
    low, high = -reach, most + reach
    for _ in range(14):
        middle = (low + high) / 2
        below = (shape + middle).clamp(0, most).mean(1, keepdim=True) < means[:, None]
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return snapped((shape + high).clamp(0, most), depths)


def snapped(wanted: Tensor, depths: tuple[int, ...]) -> Tensor:
    """Real depths rounded to the nearest of `depths`, as integers."""
    ladder = torch.tensor(depths, device=wanted.device)
    between = (ladder[1:] + ladder[:-1]) / 2
    return ladder[torch.bucketize(wanted, between)]


def choose(errors: Tensor, depths: tuple[int, ...], price: Tensor) -> Tensor:
    """(B, tokens) depths that minimise error + price · depth.

    `errors` (B, tokens, K) are those of each token at each of K depths, `price` (B,) is the error that one plane of one
    token must save.
    """
    ladder = torch.tensor(depths, device=errors.device)
    return ladder[(errors + price[:, None, None] * ladder).argmin(-1)]


def choose_means(errors: Tensor, depths: tuple[int, ...], means: Tensor, rounds: int = 24) -> Tensor:
    """(B, tokens) depths as `choose` finds them, at the price at which each sample's mean depth is that of `means`.

    A mean that no price leads to is not exceeded.
    """
    ladder = torch.tensor(depths, device=errors.device)
    # One price would take the first planes of no token at all, the other one the last planes of nearly every token.
    first = ladder[1] - ladder[0]
    drop = (errors[..., :1] - errors).amax((1, 2)).clamp_min(1e-20) / first
    low, high = (drop * 1e-9).log(), (drop * 2).log()
    for _ in range(rounds):
        middle = (low + high) / 2
        deep = choose(errors, depths, middle.exp()).float().mean(1) > means
        low, high = torch.where(deep, middle, low), torch.where(deep, high, middle)
    return choose(errors, depths, high.exp())


def pixel_errors(output: Tensor, video: Tensor, strides: tuple[int, int, int]) -> Tensor:
    """Mean squared error of the pixels of each latent position: (B, 3, T, H, W) twice to (B, 1, T', h, w)."""
    time, rows, columns = strides
    error = F.avg_pool2d((output - video).square().mean(1), (rows, columns))
    first, rest = error[:, :1], error[:, 1:]
    if rest.shape[1]:
        first = torch.cat([first, rest.unflatten(1, (-1, time)).mean(2)], dim=1)
    return first[:, None]


def token_means(values: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """(B, C, T, h, w) averaged over channels and the positions of each token: (B, tokens)."""
    parts, _ = patchify(values, patch)
    if patch == (1, 1, 1):
        return parts.mean(-1)
    inside, _ = patchify(torch.ones_like(values[:1]), patch)
    return parts.sum(-1) / inside.sum(-1)


def depth_loss(log_errors: Tensor, depth_map: Tensor, errors: Tensor, depths: tuple[int, ...]) -> Tensor:
    """How far the head's estimate at each token's own depth is from what came out there.

    `log_errors` (B, tokens, K) are estimates of the natural logarithm, `errors` (B, tokens) what the depths of
    `depth_map` led to. Only the output of the drawn depth gets a gradient.
    """
    index = torch.bucketize(depth_map, torch.tensor(depths, device=depth_map.device), out_int32=False)
    index = index.clamp(max=len(depths) - 1).view(len(index), -1).expand(log_errors.shape[:2])
    found = log_errors.float().gather(-1, index[..., None])[..., 0]
    return F.smooth_l1_loss(found, (errors.detach().float() + FLOOR).log())


FLOOR = 1e-5
"""Added to an error before its logarithm is taken: no token is better than 56 dB."""
