"""Arrays of other libraries as arrays of numpy, without a copy where that is possible."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def as_array(given: Any, what: str) -> npt.NDArray[Any]:
    """The array of numpy that shares its memory, or a copy where sharing is not possible."""
    if isinstance(given, np.ndarray):
        return given
    if hasattr(given, "__dlpack__"):
        try:
            return np.from_dlpack(given)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise TypeError(
                f"{what}: this array cannot be shared with numpy ({error}); give one that is on the CPU, "
                "needs no gradient and has a type that numpy knows: x.detach().cpu().float()"
            ) from error
    return np.asarray(given)


def as_frames(given: Any) -> npt.NDArray[Any]:
    """Frames as an array (frames, height, width, 3) of uint8, or of float32 from 0 to 1.

    One frame may lack the first axis.
    """
    frames = as_array(given, "frames")
    if frames.ndim == 3:
        frames = frames[None]
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise ValueError(
            f"frames: expected (frames, height, width, 3) or (height, width, 3), found {frames.shape}; "
            "channels come last"
        )
    if frames.dtype == np.uint8:
        return frames
    if np.issubdtype(frames.dtype, np.floating):
        return frames.astype(np.float32, copy=False)
    raise TypeError(f"frames: expected uint8, or floats from 0 to 1, found {frames.dtype}")


def as_tokens(given: Any) -> npt.NDArray[np.uint64]:
    """Tokens as an array (steps, height, width) of uint64; signed numbers keep their bits."""
    tokens = as_array(given, "tokens")
    if tokens.ndim != 3:
        raise ValueError(f"tokens: expected (steps, height, width), found {tokens.shape}")
    if tokens.dtype == np.uint64:
        return tokens
    if tokens.dtype == np.int64:
        return tokens.view(np.uint64)
    if np.issubdtype(tokens.dtype, np.integer):
        return tokens.astype(np.uint64)
    raise TypeError(f"tokens: expected integers, found {tokens.dtype}")


def as_depths(given: Any) -> npt.NDArray[np.uint8] | None:
    """Depths of tokens as an array (steps, height, width) of uint8, if there are any."""
    if given is None:
        return None
    depths = as_array(given, "depths")
    if depths.ndim != 3:
        raise ValueError(f"depths: expected (steps, height, width), found {depths.shape}")
    if not np.issubdtype(depths.dtype, np.integer):
        raise TypeError(f"depths: expected integers, found {depths.dtype}")
    if depths.size and not 0 <= int(depths.min()) <= int(depths.max()) <= 64:
        raise ValueError(f"depths: expected 0 to 64 bits, found {int(depths.min())} to {int(depths.max())}")
    return depths.astype(np.uint8, copy=False)
