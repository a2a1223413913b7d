"""Draws the points of rate_distortion.py.

    .venv/bin/python scripts/quality/plot.py runs/report/points.json --out docs
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from curves import BOUND, MEASURES, Point, from_json  # noqa: E402
from matplotlib.ticker import LogLocator, NullFormatter  # noqa: E402

COLORS = {"latentbit": "#c0392b", "JPEG": "#7f8c8d", "AVIF": "#2980b9", "x264": "#27ae60", "x265": "#8e44ad",
          "latentbit, elastic": "#e67e22",
          "SVT-AV1": "#2980b9"}


def draw(name: str, points: list[Point], path: Path) -> None:
    """One figure with a panel per available measure."""
    measures = [m for m in MEASURES if all(getattr(p, m) is not None for p in points)]
    figure, axes = plt.subplots(1, len(measures), figsize=(4.6 * len(measures), 3.6), squeeze=False)
    for measure, axis in zip(measures, axes[0], strict=True):
        for codec in dict.fromkeys(p.codec for p in points):
            if codec == BOUND:
                bound = next(getattr(p, measure) for p in points if p.codec == BOUND)
                axis.axhline(bound, color=COLORS["latentbit"], linestyle=":", linewidth=1, label="VAE, not quantized")
                continue
            line = sorted((p.bpp, getattr(p, measure)) for p in points if p.codec == codec)
            width = 2.2 if codec == "latentbit" else 1.2
            axis.plot(*zip(*line, strict=True), marker="o", markersize=3.5, linewidth=width, label=codec,
                      color=COLORS.get(codec))
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel("bits per pixel")
        axis.set_title(MEASURES[measure], fontsize=10)
        axis.grid(alpha=0.3, which="both", linewidth=0.5)
    axes[0][0].legend(fontsize=8)
    figure.suptitle(f"{name} ({points[0].files} files)", fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


def file_name(name: str) -> str:
    """`photos, 256×256` to `rate-photos-256.png`."""
    kind, size = name.split(", ")
    return f"rate-{kind}-{size.split('×')[0]}.png"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("points", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    for name, points in from_json(json.loads(arguments.points.read_text())).items():
        if points:
            draw(name, points, arguments.out / file_name(name))


if __name__ == "__main__":
    main()
