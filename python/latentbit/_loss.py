"""What decoded frames are: exact, or not quite what was encoded."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ._filters import FilteredStream
from ._latentbit import FrameStream
from ._output import Output


class LossWarning(UserWarning):
    """Something is not there that should be: frames were filled in, chunks left out, a file cut off."""


def warn(text: str) -> None:
    """Gives a ``LossWarning``, which names the line that called this package."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, LossWarning, stacklevel=level)


class Frames(np.ndarray[Any, np.dtype[Any]]):
    """Decoded frames: an array as any other, which also tells what each frame is."""

    fidelity: npt.NDArray[np.str_] | None
    """For each frame ``exact``, ``affected`` (by a loss before it) or ``concealed`` (it is lost, and was filled in).

    None of what is cut out of the array or computed from it.
    """
    index: npt.NDArray[np.int64] | None
    """For each frame its number in the video, which has gaps where lost frames are left out."""

    def __array_finalize__(self, _: object) -> None:
        self.fidelity = None
        self.index = None

    @classmethod
    def of(cls, array: npt.NDArray[Any], fidelity: list[str], index: list[int]) -> Frames:
        """The array with what is known of its frames."""
        frames = array.view(cls)
        frames.fidelity = np.array(fidelity, np.str_)
        frames.index = np.array(index, np.int64)
        return frames


class FrameIterator(Iterator[npt.NDArray[Any]]):
    """Decoded frames, one after the other. What it says of a frame is said of the one that came last."""

    def __init__(self, stream: FrameStream | FilteredStream, place: str, output: Output):
        self._stream = stream
        self._place = place
        self._output = output
        self._counts: Counter[str] = Counter()
        self._methods: set[str] = set()
        self.index = -1
        """The number of the frame in the video."""
        self.fidelity = ""
        """``exact``, ``affected`` or ``concealed``."""
        self.method: str | None = None
        """How it was concealed: ``freeze``, ``blend``, ``latent`` or ``maskgit``."""

    def __next__(self) -> npt.NDArray[Any]:
        try:
            frame, self.index, self.fidelity, self.method = next(self._stream)
        except StopIteration:
            self._warn()
            raise
        self._counts[self.fidelity] += 1
        if self.method is not None:
            self._methods.add(self.method)
        return self._output.one(frame)

    def _warn(self) -> None:
        counts, self._counts = self._counts, Counter()
        faults = self._stream.faults
        if not (faults or counts["concealed"] or counts["affected"]):
            return
        methods = f" by {', '.join(sorted(self._methods))}" if self._methods else ""
        first = f"; first: {faults[0]}" if faults else ""
        warn(
            f"{self._place}: {len(faults)} lost chunks; of {counts.total()} frames {counts['concealed']} are "
            f"concealed{methods} and {counts['affected']} affected by what was lost before them{first}"
        )
