"""How frames are given back."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ._arrays import LAYOUTS

RANGES = ("0..255", "0..1", "-1..1")


class Output(NamedTuple):
    """How decoded frames are laid out, and which values they have: uint8 for 0..255, else float32."""

    layout: str
    value_range: str

    @classmethod
    def of(cls, layout: str, value_range: str | None, floats: bool) -> Output:
        """As asked for; ``floats`` alone means 0..1."""
        if value_range is None:
            value_range = "0..1" if floats else "0..255"
        elif floats and value_range == "0..255":
            raise ValueError('value_range: frames of 0..255 are uint8; leave floats out, or ask for "0..1" or "-1..1"')
        if value_range not in RANGES:
            raise ValueError(f"value_range: expected one of {', '.join(RANGES)}, found {value_range!r}")
        if layout not in LAYOUTS:
            raise ValueError(f"layout: expected one of {', '.join(LAYOUTS)}, found {layout!r}")
        return cls(layout, value_range)

    @property
    def floats(self) -> bool:
        """Whether frames are float32."""
        return self.value_range != "0..255"

    def empty(self, frames: int, height: int, width: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """An array for so many frames, and a view of it whose axes are (frames, height, width, 3)."""
        sides = {"T": frames, "H": height, "W": width, "C": 3}
        whole = np.empty([sides[axis] for axis in self.layout], np.float32 if self.floats else np.uint8)
        return whole, whole.transpose([self.layout.index(axis) for axis in "THWC"])

    def values(self, frame: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The values of a frame of 0..255 or 0..1, which may be overwritten."""
        if self.value_range == "-1..1":
            frame *= 2
            frame -= 1
        return frame

    def stacked(
        self, frames: Iterable[npt.NDArray[Any]], what: str, count: int | None = None,
        sides: tuple[int, int] | None = None,
    ) -> npt.NDArray[Any]:
        """The frames in one array.

        It is filled as they come if their ``count`` is known, at most, so that no frame is held twice. Without their
        ``sides`` there must be one; ``what`` they are made of is named where there is none.
        """
        if count is None:
            frames = list(frames)
            count = len(frames)
        given = iter(frames)
        if sides is None:
            first = next(given, None)
            if first is None:
                raise ValueError(f"{what}: there are none to decode")
            sides = (first.shape[0], first.shape[1])
            given = chain([first], given)
        whole, view = self.empty(count, *sides)
        found = 0
        for frame in given:
            view[found] = self.values(frame)
            found += 1
        if found == count:
            return whole
        axis = self.layout.index("T")
        return whole[(slice(None),) * axis + (slice(found),)]

    def one(self, frame: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A frame (height, width, 3) in this layout and range."""
        frame = self.values(frame)
        return frame if self.layout == "THWC" else np.ascontiguousarray(np.moveaxis(frame, -1, 0))
