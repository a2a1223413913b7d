"""Differences of files: tensors, tokens, bytes."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file


def tensor(path: Path) -> npt.NDArray[np.float32]:
    """The one tensor of a file of latents or frames."""
    tensors = load_file(path)
    (name,) = [name for name in tensors if name in ("latents", "frames")]
    return np.asarray(tensors[name], np.float32)


def relative(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> float:
    """The largest difference over the largest value, as in the golden tests; NaN never passes."""
    if found.shape != expected.shape:
        raise ValueError(f"shapes differ: {found.shape} and {expected.shape}")
    if not np.isfinite(found).all():
        return math.inf
    return float(np.abs(found.astype(np.float64) - expected).max() / np.abs(expected).max())


def equal_bits(a: npt.NDArray[np.unsignedinteger], b: npt.NDArray[np.unsignedinteger], bits: int) -> float:
    """Percent of the bits of tokens that are equal."""
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {a.shape} and {b.shape}")
    different = np.bitwise_count(a.astype(np.uint64) ^ b.astype(np.uint64)).sum()
    return float(100 * (1 - different / (bits * a.size)))


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
