"""Where windows of steps lie in a list of chunks: never across a lost chunk or the border of a segment."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Window(NamedTuple):
    """Steps of some chunks of one file."""

    first_chunk: int
    """Its first chunk, among all."""
    end_chunk: int
    """The one after its last chunk."""
    first_step: int
    """Where it begins in the steps of these chunks."""
    end_step: int
    """Where it ends."""


class Windows:
    """All windows of ``length`` steps that begin ``stride`` steps apart; or each chunk, if ``length`` is none.

    ``file_of`` tells the file of each chunk; ``chunks`` has ``steps`` (0 for a lost chunk), ``key`` and ``segment`` of
    each. With ``groups`` a window does not go on where a key chunk begins either. What is left at the end of a stretch
    and is shorter than a window is left out.
    """

    def __init__(
        self,
        file_of: npt.NDArray[Any],
        chunks: dict[str, npt.NDArray[Any]],
        *,
        length: int | None,
        stride: int | None = None,
        groups: bool = False,
    ):
        steps = chunks["steps"].astype(np.int64)
        held = steps > 0
        piece = np.ones(len(steps), np.bool_)
        piece[1:] = (file_of[1:] != file_of[:-1]) | (chunks["segment"][1:] != chunks["segment"][:-1])
        self.piece = np.cumsum(piece) - 1
        """For each chunk a number that is the same in one continuous video, and in no other."""
        self.ends = np.cumsum(steps)
        """For each chunk the step after its last one, among all."""
        self._length = length
        if length is None:
            self._chunks = np.flatnonzero(held)
            self.count = len(self._chunks)
            return
        if length < 1 or (stride is not None and stride < 1):
            raise ValueError(f"expected windows and strides of at least 1, found {length} and {stride}")
        self._stride = length if stride is None else stride
        begins = piece | ~held
        begins[1:] |= ~held[:-1]
        if groups:
            begins |= chunks["key"].astype(np.bool_)
        starts = np.flatnonzero(begins)
        lengths = np.add.reduceat(steps, starts) if len(starts) else np.zeros(0, np.int64)
        fitting = np.maximum(0, (lengths - length) // self._stride + 1)
        self._first_step = (self.ends - steps)[starts]
        self._window_ends = np.cumsum(fitting)
        self.count = int(self._window_ends[-1]) if len(fitting) else 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Window:
        if not 0 <= index < self.count:
            raise IndexError(f"expected a window from 0 to {self.count - 1}, found {index}")
        if self._length is None:
            chunk = int(self._chunks[index])
            before = int(self.ends[chunk - 1]) if chunk else 0
            return Window(chunk, chunk + 1, 0, int(self.ends[chunk]) - before)
        stretch = int(np.searchsorted(self._window_ends, index, side="right"))
        before = int(self._window_ends[stretch - 1]) if stretch else 0
        first = int(self._first_step[stretch]) + (index - before) * self._stride
        end = first + self._length
        # Lost chunks end where the next one begins, so the right side passes over them.
        first_chunk = int(np.searchsorted(self.ends, first, side="right"))
        end_chunk = int(np.searchsorted(self.ends, end, side="left")) + 1
        at = int(self.ends[first_chunk - 1]) if first_chunk else 0
        return Window(first_chunk, end_chunk, first - at, end - at)
