"""Points of rate and quality: means over files, tables, and interpolation."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

BOUND = "VAE"
"""The upper bound for tokens; it has no rate."""
MEASURES = {"psnr": "PSNR, dB", "ssim": "SSIM", "ms_ssim": "MS-SSIM"}


@dataclass(frozen=True)
class Point:
    """A codec at one setting: means over `files` files. A measure is None if the pictures are too small for it."""

    codec: str
    setting: str
    files: int
    bpp: float
    psnr: float
    ssim: float | None
    ms_ssim: float | None


def average(codec: str, setting: str, rates: list[float], qualities: list[dict[str, Any]]) -> Point:
    """The point of some files, each with its bits per pixel and its quality as `latentbit eval` reports it."""
    values: dict[str, Any] = {}
    for measure in MEASURES:
        found = [quality[measure] for quality in qualities]
        values[measure] = None if None in found else mean(found)
    return Point(codec, setting, len(rates), mean(rates), **values)


def at_rate(points: list[Point], bpp: float, measure: str = "psnr") -> float | None:
    """The quality of a codec at a rate between its points, linear over the logarithm of the rate."""
    curve = sorted((p.bpp, getattr(p, measure)) for p in points)
    for (low, before), (high, after) in zip(curve, curve[1:], strict=False):
        if low <= bpp <= high and None not in (before, after):
            part = (math.log(bpp) - math.log(low)) / (math.log(high) - math.log(low)) if high > low else 0.0
            return float(before + part * (after - before))
    return None


def table(points: list[Point]) -> str:
    """Markdown, a row per point."""
    rows = ["| codec | setting | bits per pixel | " + " | ".join(MEASURES.values()) + " |", "|---|---|---|---|---|---|"]
    for p in points:
        values = [getattr(p, m) for m in MEASURES]
        shown = ["–" if v is None else f"{v:.2f}" if m == "psnr" else f"{v:.4f}"
                 for m, v in zip(MEASURES, values, strict=True)]
        rate = "–" if p.codec == BOUND else f"{p.bpp:.4f}"
        rows.append(f"| {p.codec} | {p.setting} | {rate} | {' | '.join(shown)} |")
    return "\n".join(rows)


def comparison(points: list[Point], ours: str = "latentbit", settings: tuple[str, ...] = ("48 bits", "24 bits")) -> str:
    """Markdown: PSNR of the others at the rates of our settings."""
    codecs = sorted({p.codec for p in points} - {ours, BOUND})
    rows = [f"| at the rate of | bits per pixel | {ours} | {' | '.join(codecs)} |", "|---" * (3 + len(codecs)) + "|"]
    for point in (p for p in points if p.codec == ours and p.setting in settings):
        others = [at_rate([p for p in points if p.codec == codec], point.bpp) for codec in codecs]
        shown = ["outside" if v is None else f"{v:.2f}" for v in others]
        rows.append(f"| {point.setting} | {point.bpp:.4f} | {point.psnr:.2f} | {' | '.join(shown)} |")
    return "\n".join(rows)


def to_json(curves: dict[str, list[Point]]) -> dict[str, list[dict[str, Any]]]:
    """Input for `from_json`."""
    return {name: [asdict(p) for p in points] for name, points in curves.items()}


def from_json(raw: dict[str, list[dict[str, Any]]]) -> dict[str, list[Point]]:
    """Reads what `to_json` wrote."""
    return {name: [Point(**p) for p in points] for name, points in raw.items()}
