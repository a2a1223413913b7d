"""A checkpoint made small enough to be carried: weights in half precision, in parts, and where the run was.

    latentbit-train slim runs/vae/checkpoint.pt runs/carried
    latentbit-train slim --both runs/vae/checkpoint.pt training/state/vae
    latentbit-train slim --restore runs/carried runs/vae/checkpoint.pt

A checkpoint has the weights twice and the optimizer's memory of them: 12 to 16 bytes for each weight. This has 2, those
of the averaged weights, and a run that goes on from it takes them for both; with `--both` it has 4, and the run goes on
from the weights where they were. Momentum gathers anew, which takes some dozen steps.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .options import Parser

KEPT = ("step", "seconds", "progress", "annealing", "before")


def _halves(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    halves = {name: value.half() for name, value in weights.items()}
    if broken := [name for name, value in halves.items() if not value.isfinite().all()]:
        raise ValueError(f"half precision cannot hold {', '.join(broken[:3])}")
    return halves


def slim(checkpoint: Path, folder: Path, part_mb: float = 15, both: bool = False) -> list[Path]:
    """Writes `part-0`, `part-1` and so on, each of at most so many MB; `both` keeps more than the averaged weights."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=False)
    kept: dict[str, Any] = {name: state[name] for name in KEPT if name in state}
    if both:
        kept["model"] = _halves(state["model"])
    sink = io.BytesIO()
    torch.save({"weights": _halves(state["ema"]), **kept}, sink)
    data, step = sink.getvalue(), int(part_mb * 1e6)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("part-*"):
        old.unlink()
    parts = []
    for number, start in enumerate(range(0, len(data), step)):
        parts.append(folder / f"part-{number}")
        parts[-1].write_bytes(data[start : start + step])
    return parts


def restore(folder: Path, checkpoint: Path) -> None:
    """Writes a checkpoint that a run goes on from."""
    parts = sorted(folder.glob("part-*"), key=lambda path: int(path.name.split("-")[1]))
    if not parts:
        raise ValueError(f"{folder} holds no parts of a checkpoint")
    stored: dict[str, Any] = torch.load(io.BytesIO(b"".join(path.read_bytes() for path in parts)), weights_only=False)
    weights = {name: value.float() for name, value in stored.pop("weights").items()}
    model = {name: value.float() for name, value in stored.pop("model", weights).items()}
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": model, "ema": weights, **stored}, checkpoint)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    p = Parser("slim", __doc__)
    p.add_argument("source", type=Path)
    p.add_argument("out", type=Path)
    p.add_argument("--restore", action="store_true", help="from parts to a checkpoint")
    p.add_argument("--both", action="store_true", help="keep the weights beside their average")
    p.add_argument("--part-mb", type=float, default=15)
    args = p.parse_args(argv)
    if args.restore:
        restore(args.source, args.out)
        return
    for path in slim(args.source, args.out, args.part_mb, args.both):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
