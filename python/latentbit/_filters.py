"""The filters of the command, for frames that are here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ._file import File
from ._latentbit import FrameFilter, FrameStream, LatentBitError
from ._video import Pair, rate

Fps = int | float | str | Fraction | Pair | None
"""Frames per second: 12, 29.97, ``"30000/1001"``."""
Scale = int | str | tuple[int, int] | None
"""Pixels of the short side, or width and height: ``(640, 360)`` or ``"640:360"``; -1 follows the other side."""
Crop = str | tuple[int, int] | tuple[int, int, int, int] | None
"""Width and height of the middle, or width, height, left and top: ``(640, 360)`` or ``"640:360:0:10"``."""

UNKNOWN: Pair = (0, 1)


class Begun(NamedTuple):
    """Frames of a video, (n, height, width, 3) at a time, and what is known of all of them."""

    first: npt.NDArray[Any]
    parts: Iterator[npt.NDArray[Any]]
    total: int | None
    """How many there are; if they are at another rate than before, about."""
    frame_rate: Pair = UNKNOWN
    pixel_aspect: Pair = UNKNOWN


class Filters(NamedTuple):
    """What is done to frames, in this order; as the command writes it."""

    fps: str | None = None
    scale: str | None = None
    crop: str | None = None

    @classmethod
    def of(cls, fps: Fps, scale: Scale, crop: Crop, vf: str | None) -> Filters:
        """Those that a caller asks for, checked."""
        if vf is not None:
            raise ValueError(
                "vf: filter graphs are libavfilter's, which works on media files: run `latentbit encode --vf` or "
                "`latentbit decode --vf` of a build with libav, or put frames through av.filter.Graph of PyAV; here "
                "there are fps, scale and crop"
            )
        if fps is not None and not isinstance(fps, str):
            num, den = rate(fps)
            fps = f"{num}/{den}"
        if isinstance(scale, tuple | list):
            scale = ":".join(map(str, scale))
        if isinstance(crop, tuple | list):
            crop = ":".join(map(str, crop))
        made = cls(fps, None if scale is None else str(scale), crop)
        FrameFilter.check(**made._asdict())
        return made

    @property
    def are_given(self) -> bool:
        """Whether there is anything to do."""
        return any(value is not None for value in self)

    def apply(self, begun: Begun) -> Begun:
        """Filters the frames of a caller."""
        if not self.are_given:
            return begun
        if self.fps is not None and not begun.frame_rate[0]:
            raise ValueError("fps: to bring frames to another rate, theirs must be known; give frame_rate= as well")
        _, height, width, _ = begun.first.shape
        frames = ((frame, None, None) for part in chain([begun.first], begun.parts) for frame in part)
        made = self._start(
            frames, width, height, count=begun.total, frame_rate=begun.frame_rate, time_base=None, floats=True
        )
        parts = (frame[np.newaxis] for frame, _ in made)
        aspect = made.pixel_aspect
        return Begun(next(parts), parts, made.count, made.frame_rate, aspect if aspect != (1, 1) else UNKNOWN)

    def apply_to_file(self, decoded: FrameStream, file: File, first: int, floats: bool) -> FilteredStream | FrameStream:
        """Filters the frames of a file, decoded as floats, from number ``first`` on."""
        if not self.are_given:
            return decoded
        video = file.video
        time = _times(file, first) if self.fps is not None else lambda _: None
        frames = ((shown[0], time(shown[1]), shown[1:]) for shown in decoded)
        frame_rate = video.frame_rate if video.frame_rate[0] else (1, 1)
        made = self._start(
            frames, video.width, video.height, count=None, frame_rate=frame_rate, time_base=video.time_base,
            floats=floats,
        )
        return FilteredStream(made, decoded)

    def _start(self, frames: Iterator[Any], width: int, height: int, **options: Any) -> FrameFilter:
        return FrameFilter(frames, width, height, **self._asdict(), **options)


class FilteredStream(Iterator[tuple[npt.NDArray[Any], int, str, "str | None"]]):
    """As the stream before the filters."""

    def __init__(self, filtered: FrameFilter, decoded: FrameStream):
        self._filtered = filtered
        self._decoded = decoded

    @property
    def size(self) -> Pair:
        """Width and height."""
        return self._filtered.size

    @property
    def faults(self) -> list[str]:
        """What was wrong with lost chunks."""
        return self._decoded.faults

    def __next__(self) -> tuple[npt.NDArray[Any], int, str, str | None]:
        frame, about = next(self._filtered)
        return (frame, *about)


def _times(file: File, first: int) -> Callable[[int], int]:
    """When frames are shown, in ticks after frame ``first``; asked for one after the other."""
    duration = file.video.frame_duration
    table = file.table
    held: tuple[int, npt.NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def at(frame: int) -> int:
        nonlocal held
        number = int(np.searchsorted(table["first_frame"], frame, "right")) - 1
        within = frame - int(table["first_frame"][number])
        if held[0] != number:
            try:
                times = file[number].frame_times(duration)
            except LatentBitError:
                # Frames that are made up are shown as long as others.
                times = int(table["start"][number]) + duration * np.arange(int(table["frames"][number]))
            held = (number, times)
        return int(held[1][within])

    start = at(first) if file.frame_count > first else 0
    return lambda frame: at(frame) - start
