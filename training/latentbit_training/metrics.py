"""How close frames are to those of a reference: PSNR, SSIM, MS-SSIM, as `latentbit eval` defines them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW, SIGMA = 11, 1.5
C1, C2 = 1e-4, 9e-4
"""(0.01 L)² and (0.03 L)² for values in 0…1."""
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales of MS-SSIM, finest first."""
MOST_PSNR = 100.0


def _filtered(x: Tensor) -> Tensor:
    """Weighted means over windows that lie within planes (N, 1, H, W)."""
    taps = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    window = torch.exp(-((taps / SIGMA) ** 2) / 2)
    window = window / window.sum()
    return F.conv2d(F.conv2d(x, window.view(1, 1, 1, -1)), window.view(1, 1, -1, 1))


def _scale(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM, and its contrast and structure alone, of each of some planes: (N,) twice."""
    mean_a, mean_b = _filtered(a), _filtered(b)
    variance = _filtered(a * a) + _filtered(b * b) - mean_a**2 - mean_b**2
    covariance = _filtered(a * b) - mean_a * mean_b
    contrast = (2 * covariance + C2) / (variance + C2)
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    return (luminance * contrast).mean((1, 2, 3)), contrast.mean((1, 2, 3))


def ssim(a: Tensor, b: Tensor) -> tuple[float | None, float | None]:
    """SSIM and MS-SSIM of two pictures (3, H, W) in 0…1; none where they are smaller than 11 and 176 pixels a side."""
    side = min(a.shape[1:])
    if side < WINDOW:
        return None, None
    planes = a.double()[:, None], b.double()[:, None]
    count = len(WEIGHTS) if side >= WINDOW << (len(WEIGHTS) - 1) else 1
    first, product = 0.0, torch.ones(3, dtype=torch.float64, device=a.device)
    for index in range(count):
        if index:
            planes = F.avg_pool2d(planes[0], 2), F.avg_pool2d(planes[1], 2)
        whole, contrast = _scale(*planes)
        if index == 0:
            first = float(whole.mean())
        value = whole if index == count - 1 else contrast
        product = product * value.clamp_min(0) ** WEIGHTS[index]
    return first, float(product.mean()) if count > 1 else None


def rounded(frames: Tensor) -> Tensor:
    """Frames in -1…1 as a viewer gets them: steps of 1/255 in 0…1, half up."""
    return ((frames.float().clamp(-1, 1) + 1) * 127.5 + 0.5).floor() / 255


class Meter:
    """Compares frames, and sums up; `lpips` is a perceptual distance of two batches in -1…1, if there is one."""

    def __init__(self, lpips: Callable[[Tensor, Tensor], Tensor] | None = None) -> None:
        self.frames = 0
        self.lpips = lpips
        self._squares = self._values = 0.0
        self._sums: dict[str, list[float]] = {}

    @torch.no_grad()
    def add(self, reference: Tensor, frames: Tensor) -> None:
        """Takes in frames (3, T, H, W) in -1…1 and what they should be."""
        a, b = rounded(reference), rounded(frames)
        self._squares += float((a.double() - b.double()).square().sum())
        self._values += a.numel()
        for x, y in zip(a.unbind(1), b.unbind(1), strict=True):
            self.frames += 1
            for name, value in zip(("ssim", "ms_ssim"), ssim(x, y), strict=True):
                if value is not None:
                    self._sums.setdefault(name, []).append(value)
            if self.lpips is not None:
                distance = self.lpips(x[None] * 2 - 1, y[None] * 2 - 1)
                self._sums.setdefault("lpips", []).append(float(distance.mean()))

    @property
    def report(self) -> dict[str, float]:
        """`psnr` in dB, of the mean squared error over all frames, and means over frames of the others."""
        if not self.frames:
            return {}
        error = self._squares / self._values
        psnr = min(MOST_PSNR, -10 * math.log10(error)) if error else MOST_PSNR
        return {"psnr": psnr} | {name: sum(v) / len(v) for name, v in self._sums.items()}
