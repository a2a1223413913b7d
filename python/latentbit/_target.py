"""What a network is trained on: tokens as numbers, as bits, or in factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

KINDS = ("tokens", "bits", "factors")


class Target:
    """Turns tokens into the numbers that a network is trained on.

    ``tokens``: one int64 per token; of 64 bits, the highest one makes it negative. ``bits``: a last axis of uint8, the
    most important bit first. ``factors``: a last axis of int64; ``factors=(9, 9, 9, 9)`` makes four numbers below 512
    of 36 bits, the first one of the 9 most important bits, where bit 0 of a number is the most important one of its
    own.
    """

    def __init__(self, kind: str = "tokens", *, bits: int, factors: Sequence[int] | None = None):
        if kind not in KINDS:
            raise ValueError(f"target: expected one of {', '.join(KINDS)}, found {kind!r}")
        if (kind == "factors") != (factors is not None):
            raise ValueError('factors: give them with target="factors", and only then')
        self.kind = kind
        self.bits = bits
        self.factors = tuple(factors) if factors is not None else None
        if self.factors is not None:
            if min(self.factors, default=0) < 1 or max(self.factors) > 63:
                raise ValueError(f"factors: expected numbers of 1 to 63 bits, found {self.factors}")
            if sum(self.factors) != bits:
                raise ValueError(
                    f"factors: expected a sum of {bits}, which is the bits of a token here, found {sum(self.factors)}; "
                    "bits=N takes the N most important ones"
                )

    def __call__(self, tokens: npt.NDArray[np.uint64]) -> npt.NDArray[Any]:
        """The numbers of these tokens."""
        if self.kind == "tokens":
            return tokens.view(np.int64)
        if self.kind == "bits":
            # Bytes in the order of their importance, and of each its lowest bit first.
            octets = tokens.astype("<u8", copy=False)[..., None].view(np.uint8)
            return np.unpackbits(octets, axis=-1, count=self.bits, bitorder="little")
        assert self.factors is not None
        ends = np.cumsum(self.factors, dtype=np.uint64)
        sizes = np.asarray(self.factors, np.uint64)
        masks = (np.uint64(1) << sizes) - np.uint64(1)
        return ((tokens[..., None] >> (ends - sizes)) & masks).view(np.int64)


def join_factors(values: npt.NDArray[Any], factors: Sequence[int]) -> npt.NDArray[np.uint64]:
    """The tokens of numbers that ``Target`` made with these factors; for what a generator gives."""
    if values.shape[-1] != len(factors):
        raise ValueError(f"factors: expected a last axis of {len(factors)}, found {values.shape}")
    out = np.zeros(values.shape[:-1], np.uint64)
    shift = 0
    for column, size in enumerate(factors):
        part = values[..., column].astype(np.uint64)
        if (part >> np.uint64(size)).any():
            raise ValueError(f"factors: expected numbers below {1 << size} in column {column}, found larger ones")
        out |= part << np.uint64(shift)
        shift += size
    return out


def join_bits(bits: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """The tokens of bits, 0 or 1, in a last axis with the most important one first; for what a generator gives."""
    if not 1 <= bits.shape[-1] <= 64:
        raise ValueError(f"bits: expected a last axis of 1 to 64, found {bits.shape}")
    shifts = np.arange(bits.shape[-1], dtype=np.uint64)
    return np.bitwise_or.reduce((bits != 0).astype(np.uint64) << shifts, axis=-1)
