"""What a network is trained on: tokens as numbers, as bits, or in factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arrays import as_array, is_tensor

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


def join_factors(values: Any, factors: Sequence[int]) -> Any:
    """The tokens of numbers that ``Target`` made with these factors; for what a generator gives.

    Of an array an array of uint64; of a tensor of PyTorch a tensor of int64 with the same bits on the same device.
    """
    numbers = as_array(values, "factors")
    if not np.issubdtype(numbers.dtype, np.integer):
        raise TypeError(f"factors: expected integers, found {numbers.dtype}")
    if not numbers.shape or numbers.shape[-1] != len(factors):
        raise ValueError(f"factors: expected a last axis of {len(factors)}, found {numbers.shape}")
    if not 1 <= sum(factors) <= 64 or min(factors) < 1:
        raise ValueError(f"factors: expected 1 to 64 bits in all, found {tuple(factors)}")
    out = np.zeros(numbers.shape[:-1], np.uint64)
    shift = 0
    for column, size in enumerate(factors):
        part = numbers[..., column]
        # A number of 64 bits may have any value.
        if part.size and (int(part.min()) < 0 or int(part.max()) >> size) and size < 64:
            raise ValueError(
                f"factors: expected numbers below {1 << size} in column {column}, found {int(part.min())} to "
                f"{int(part.max())}"
            )
        out |= part.astype(np.uint64) << np.uint64(shift)
        shift += size
    return like(values, out)


def join_bits(bits: Any) -> Any:
    """The tokens of bits, 0 or 1, in a last axis with the most important one first; for what a generator gives.

    Of an array an array of uint64; of a tensor of PyTorch a tensor of int64 with the same bits on the same device.
    """
    given = as_array(bits, "bits")
    if not given.shape or not 1 <= given.shape[-1] <= 64:
        raise ValueError(f"bits: expected a last axis of 1 to 64, found {given.shape}")
    ones = given == 1
    if not (ones | (given == 0)).all():
        raise ValueError(
            "bits: expected 0 and 1, found other values; probabilities and logits must be made bits first, with x > "
            "0.5 or x > 0"
        )
    shifts = np.arange(given.shape[-1], dtype=np.uint64)
    return like(bits, np.bitwise_or.reduce(ones.astype(np.uint64) << shifts, axis=-1))


def like(given: Any, tokens: npt.NDArray[np.uint64]) -> Any:
    """The tokens as a tensor, if ``given`` is one."""
    if not is_tensor(given):
        return tokens
    import torch

    return torch.from_numpy(np.ascontiguousarray(tokens).view(np.int64)).to(given.device)
