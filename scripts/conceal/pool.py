"""Pools the quality of many runs of frames."""

from __future__ import annotations

import math
from typing import Any

MEASURES = (("ssim", 4), ("ms_ssim", 4))


class Pool:
    """Pools qualities, PSNR by squared errors, the others by frames, as if one run had measured all."""

    def __init__(self) -> None:
        self.frames = 0
        self.squares = 0.0
        self.sums = dict.fromkeys((name for name, _ in MEASURES), 0.0)
        self.missing: set[str] = set()

    def add(self, frames: int, quality: dict[str, Any] | None) -> None:
        """Adds frames of one quality; nothing if there are none."""
        if not frames or quality is None:
            return
        self.frames += frames
        self.squares += frames * 10.0 ** (-quality["psnr"] / 10)
        for name in self.sums:
            if quality[name] is None:
                self.missing.add(name)
            else:
                self.sums[name] += frames * quality[name]

    def columns(self) -> list[str]:
        """PSNR, SSIM and MS-SSIM, with a dash for missing ones."""
        if not self.frames:
            return ["–"] * (1 + len(MEASURES))
        psnr = f"{-10 * math.log10(self.squares / self.frames):.2f}"
        others = ("–" if name in self.missing else f"{self.sums[name] / self.frames:.{digits}f}"
                  for name, digits in MEASURES)
        return [psnr, *others]
