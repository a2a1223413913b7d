"""Whether two programs did the same work: the difference of their outputs."""

from __future__ import annotations

import math

import numpy as np


def agreement(task: str, ours: bytes, peer: bytes) -> float:
    """Percent of equal bits for tokens, PSNR in dB for frames and latent: infinite if nothing differs."""
    if len(ours) != len(peer):
        raise ValueError(f"the outputs are not comparable: {len(ours)} and {len(peer)} bytes")
    if task == "encode":
        different = np.bitwise_count(np.frombuffer(ours, "<u8") ^ np.frombuffer(peer, "<u8"))
        # Unused bits are equal too and would flatter; the highest bit in use gives their number.
        used = max(1, int(np.bitwise_or.reduce(np.frombuffer(ours + peer, "<u8"))).bit_length())
        return float(100 * (1 - different.sum() / (used * different.size)))
    kind, peak = ("<f4", None) if task == "vae-encode" else ("u1", 255.0)
    a, b = (np.frombuffer(data, kind).astype(np.float64) for data in (ours, peer))
    error = float(np.square(a - b).mean())
    peak = peak or float(np.abs(a).max())
    return math.inf if error == 0 else 10 * math.log10(peak * peak / error)


def in_words(task: str, value: float) -> str:
    """The value with its unit."""
    if task == "encode":
        return f"{value:.2f} % equal bits"
    return "identical" if value == math.inf else f"{value:.1f} dB"
