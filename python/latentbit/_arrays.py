"""Arrays of other libraries as arrays of numpy, and what frames, tokens and depths must look like."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

LAYOUTS = ("THWC", "TCHW", "CTHW")
RANGES = ("auto", "0..1", "-1..1", "0..255")

# Frames that are converted at once: what is made of a long video must not need a second copy of it.
STRETCH = 16
# How far rounding may carry a value beyond its range; such values are set to the end of it.
SLACK = 1e-4


def is_tensor(given: Any) -> bool:
    """Whether it is a tensor of PyTorch, which need not be installed."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(given, torch.Tensor)


def is_array(given: Any) -> bool:
    """Whether it is an array of any library, and not a collection of arrays."""
    return hasattr(given, "ndim") or hasattr(given, "__dlpack__") or hasattr(given, "__array_interface__")


def as_array(given: Any, what: str) -> npt.NDArray[Any]:
    """The array of numpy that shares its memory, or a copy where sharing is not possible."""
    if isinstance(given, np.ndarray):
        return given
    if is_tensor(given):
        return _of_tensor(given, what)
    if hasattr(given, "__dlpack__"):
        try:
            return np.from_dlpack(given)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise TypeError(
                f"{what}: this array cannot be shared with numpy ({error}); give one that is on the CPU "
                "and has a type that numpy knows"
            ) from error
    try:
        return np.asarray(given)
    except ValueError as error:
        raise TypeError(f"{what}: expected an array, found {_named(given)} of parts that differ: {error}") from error


def _of_tensor(tensor: Any, what: str) -> npt.NDArray[Any]:
    if tensor.requires_grad:
        raise TypeError(f"{what}: this tensor needs a gradient, and none comes back from here; give x.detach()")
    # Numpy has no such type, and float32 holds each of its values.
    if str(tensor.dtype) == "torch.bfloat16":
        tensor = tensor.float()
    return np.asarray(tensor.resolve_conj().resolve_neg().cpu().numpy())


def _named(given: Any) -> str:
    kind = type(given).__name__
    return f"{kind} {given!r}" if isinstance(given, str | os.PathLike | int | float | None) else kind


class FrameFormat(NamedTuple):
    """How frames of a caller are laid out, and which values they have."""

    layout: str = "THWC"
    value_range: str = "auto"

    def check(self) -> FrameFormat:
        """Itself, if there is such a format."""
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout: expected one of {', '.join(LAYOUTS)}, found {self.layout!r}")
        if self.value_range not in RANGES:
            raise ValueError(f"value_range: expected one of {', '.join(RANGES)}, found {self.value_range!r}")
        return self

    def is_batch(self, given: Any) -> bool:
        """Whether it is an array of several videos."""
        return is_array(given) and getattr(given, "ndim", 0) == 5

    def parts(self, given: Any) -> tuple[Iterator[npt.NDArray[Any]], int | None]:
        """Frames (n, height, width, 3) of uint8, or of float32 from 0 to 1, a few at a time; and how many, if known.

        ``given`` is an array, or gives arrays of frames one after the other.
        """
        if isinstance(given, str | bytes | bytearray | os.PathLike | Mapping) or given is None:
            raise TypeError(
                f"frames: expected an array of frames, or something that gives such arrays one after the other, "
                f"found {_named(given)}; a video file is encoded by the command `latentbit encode`, or read by a "
                "library such as PyAV or torchcodec first"
            )
        if is_array(given):
            frames = self._frames(given)
            return self._stretches(frames), len(frames)
        try:
            parts = iter(given)
        except TypeError:
            raise TypeError(f"frames: expected an array of frames, found {_named(given)}") from None
        return (stretch for part in parts for stretch in self._stretches(self._frames(part))), None

    def begun(self, given: Any) -> tuple[npt.NDArray[Any], Iterator[npt.NDArray[Any]], int | None]:
        """As ``parts``, with the first one that has frames apart: it tells their size."""
        parts, count = self.parts(given)
        first = next((part for part in parts if len(part)), None)
        if first is None:
            raise ValueError("frames: there is no frame to encode")
        return first, parts, count

    def _frames(self, given: Any) -> npt.NDArray[Any]:
        """As a view (frames, height, width, 3) of any type and range; a single frame may lack the first axis."""
        frames = as_array(given, "frames")
        if frames.dtype.kind not in "uifb" or frames.dtype.kind == "b":
            raise TypeError(f"frames: expected uint8 or floats, found {_named(given)} of {frames.dtype}")
        single = self.layout.replace("T", "")
        if frames.ndim == 3:
            axis = self.layout.index("T")
            frames = np.expand_dims(frames, axis)
        if frames.ndim != 4:
            axes = {"T": "frames", "H": "height", "W": "width", "C": "3"}
            whole = ", ".join(axes[letter] for letter in self.layout)
            one = ", ".join(axes[letter] for letter in single)
            raise ValueError(
                f"frames: expected {self.layout} ({whole}) or one frame ({one}), found "
                f"{_named(given) if frames.ndim == 0 else f'{frames.ndim} axes {frames.shape}'}"
            )
        channels = frames.shape[self.layout.index("C")]
        if channels != 3:
            raise ValueError(f"frames: {self._advice(frames.shape, channels)}")
        return frames.transpose([self.layout.index(letter) for letter in "THWC"])

    def _advice(self, shape: tuple[int, ...], channels: int) -> str:
        fitting = [layout for layout in LAYOUTS if shape[layout.index("C")] == 3]
        found = f"expected 3 channels (red, green, blue) in {self.layout}, found {channels} in {shape}"
        if fitting:
            return f"{found}; if this is {fitting[0]}, give layout={fitting[0]!r}"
        if channels == 1:
            return f"{found}; repeat the gray channel three times"
        if channels == 4:
            return f"{found}; leave the fourth one out, which is alpha as a rule"
        return f"{found}; the axes are T (frames), H (height), W (width) and C (channels)"

    def _stretches(self, frames: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
        if frames.dtype == np.uint8 and self.value_range not in ("auto", "0..255"):
            raise ValueError(
                f"value_range: uint8 frames are from 0 to 255, and {self.value_range!r} was asked for; leave it out, "
                "or give floats"
            )
        if frames.dtype != np.uint8 and frames.dtype.kind != "f":
            raise TypeError(
                f"frames: expected uint8, or floats, found {frames.dtype}; scale it and give "
                "x.astype(np.uint8), or floats from 0 to 1"
            )
        if len(frames) and not frames[0].size:
            raise ValueError(f"frames: expected some pixels, found {frames.shape}")
        for first in range(0, len(frames), STRETCH):
            part = frames[first : first + STRETCH]
            yield part if part.dtype == np.uint8 else self._floats(part, first)

    def _floats(self, part: npt.NDArray[Any], first: int) -> npt.NDArray[np.float32]:
        low, high = {"-1..1": (-1.0, 1.0), "0..255": (0.0, 255.0)}.get(self.value_range, (0.0, 1.0))
        values = part.astype(np.float32, copy=False)
        least, most = float(values.min()), float(values.max())
        # A comparison with NaN is false.
        slack = SLACK * (high - low)
        if not (least >= low - slack and most <= high + slack):
            raise ValueError(self._outside(values, first, least, most, low, high))
        if (low, high) != (0.0, 1.0):
            values = (values - np.float32(low)) / np.float32(high - low)
        elif least < 0 or most > 1:
            values = values.copy()
        else:
            return values
        return np.clip(values, 0, 1, out=values)

    def _outside(
        self, values: npt.NDArray[np.float32], first: int, least: float, most: float, low: float, high: float
    ) -> str:
        strange = ~np.isfinite(values)
        if strange.any():
            at = np.unravel_index(int(np.argmax(strange)), values.shape)
            where = f"frame {first + int(at[0])}, row {at[1]}, column {at[2]}, channel {at[3]}"
            return (
                f"frames: expected numbers, found {values[at]} at {where} (and {int(strange.sum()) - 1} more nearby); "
                "repair them, with np.nan_to_num for example"
            )
        found = f"frames: expected values from {low:g} to {high:g}, found {least:g} to {most:g} from frame {first} on"
        if self.value_range == "auto":
            found += " (floats are 0..1 unless value_range says otherwise)"
        if -1 - SLACK <= least < 0 and most <= 1 + SLACK and low == 0:
            return f'{found}; if they are from -1 to 1, give value_range="-1..1"'
        if least >= 0 and 1 < most <= 255 and high == 1:
            return f'{found}; if they are from 0 to 255, give value_range="0..255"'
        return f"{found}; scale them, or clip them with np.clip(frames, {low:g}, {high:g})"


def as_tokens(given: Any) -> npt.NDArray[np.uint64]:
    """Tokens as an array (steps, height, width) of uint64; signed numbers keep their bits."""
    tokens = as_array(given, "tokens")
    if tokens.ndim != 3:
        raise ValueError(f"tokens: expected (steps, height, width), found {tokens.shape or _named(given)}")
    if tokens.dtype == np.uint64:
        return tokens
    if tokens.dtype == np.int64:
        return tokens.view(np.uint64)
    if np.issubdtype(tokens.dtype, np.integer):
        if tokens.size and int(tokens.min()) < 0:
            raise ValueError(f"tokens: {tokens.dtype} has no room for all bits, and {int(tokens.min())} is below 0")
        return tokens.astype(np.uint64)
    raise TypeError(f"tokens: expected integers, found {tokens.dtype}")


def as_depths(given: Any) -> npt.NDArray[np.uint8] | None:
    """Depths of tokens as an array (steps, height, width) of uint8, if there are any."""
    if given is None:
        return None
    depths = as_array(given, "depths")
    if depths.ndim != 3:
        raise ValueError(f"depths: expected (steps, height, width), found {depths.shape or _named(given)}")
    if not np.issubdtype(depths.dtype, np.integer):
        raise TypeError(f"depths: expected integers, found {depths.dtype}")
    if depths.size and not 0 <= int(depths.min()) <= int(depths.max()) <= 64:
        raise ValueError(f"depths: expected 0 to 64 bits, found {int(depths.min())} to {int(depths.max())}")
    return depths.astype(np.uint8, copy=False)
