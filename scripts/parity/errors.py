"""Errors of our tensors against the reference, and their table."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

LIMIT = 1e-4


def relative_error(ours: Tensor, reference: Tensor) -> float:
    """max |a - b| / max |b|; infinite if shapes differ or a value is not finite."""
    if ours.shape != reference.shape:
        return float("inf")
    far = (ours.double() - reference.double()).abs().max() / reference.double().abs().max()
    return float(far) if bool(far.isfinite()) else float("inf")


@dataclass(frozen=True)
class Row:
    """One clip, encoded and decoded with the weights of one layout."""

    model: str
    layout: str
    frames: int
    height: int
    width: int
    encode: float
    decode: float

    @property
    def failed(self) -> bool:
        """Whether either is too far from the reference."""
        return not max(self.encode, self.decode) <= LIMIT


def table(rows: list[Row]) -> str:
    """All rows in Markdown, heights before widths."""
    lines = ["| VAE | weights | frames | size | latent, relative error | frames, relative error |",
             "|---|---|---|---|---|---|"]
    for row in rows:
        mark = " **failed**" if row.failed else ""
        lines.append(f"| {row.model} | {row.layout} | {row.frames} | {row.height}×{row.width} | {row.encode:.1e} | "
                     f"{row.decode:.1e}{mark} |")
    return "\n".join(lines)


def verdict(rows: list[Row]) -> str:
    """The largest errors in a sentence."""
    failed = sum(row.failed for row in rows)
    worst = f"largest: {max(r.encode for r in rows):.1e} of latents, {max(r.decode for r in rows):.1e} of frames"
    return f"{len(rows)} comparisons, {failed} above {LIMIT:.0e}; {worst}"
