"""Files that are open for reading."""

from __future__ import annotations

import html
import math
import operator
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, overload

import numpy as np
import numpy.typing as npt

from ._latentbit import Chunk, Reader
from ._remote import Remote, is_address
from ._video import Video

FAR = 2.0**62
"""Ticks beyond which no time lies."""


class RangeReader(Protocol):
    """Bytes that are read in ranges, over a network for example."""

    size: int

    def read_range(self, offset: int, length: int) -> bytes:
        """Exactly these bytes."""


class SeekableFile(Protocol):
    """A file object that is open for reading bytes."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes from the position on."""

    def seek(self, offset: int, whence: int, /) -> int:
        """Moves the position."""


class Attachment(NamedTuple):
    """A file that goes along with the video. Nobody checked what is in it, and its name is not to be used as a path."""

    kind: int
    """1: a file, such as a font; 2: a picture that stands for the video; others may come."""
    name: str
    """Name of the file, without folders; may be empty."""
    media_type: str
    """Such as ``font/ttf``; empty if that is not known."""
    description: str
    """Something about it for people; may be empty."""
    data: bytes
    """What is in it."""


Source = str | os.PathLike[str] | bytes | bytearray | memoryview | RangeReader | SeekableFile


def open(
    source: Source,
    *,
    offset: int | None = None,
    length: int | None = None,
    stream: int | None = None,
    trusted: bool = False,
) -> File:
    """Open a file for reading.

    ``source`` is a path, an address that fsspec knows (``s3://bucket/clip.lbit``), bytes, a file object that can seek,
    or an object with ``size`` and ``read_range(offset, length)``. ``offset`` and ``length`` say which bytes of a
    path or address are the file, as in a tar.
    ``stream`` is the number of a stream of video, the first by default. ``trusted`` lifts the limits on sizes that keep
    a bad file from taking memory.

    A file with an index is not read further than that; one without is read once, whole.
    """
    return File(source, offset=offset, length=length, stream=stream, trusted=trusted)


class File(Sequence[Chunk]):
    """A file: a sequence of chunks, those that are lost as well.

    It can be pickled if it was opened by path or from bytes, and used by threads and by forked processes; of file
    objects one reading at a time is made.
    """

    shown_by: ClassVar[Callable[[File], str] | None] = None
    """What makes HTML of a file for notebooks. It needs models, which reading tokens does not, and so comes from
    ``_seeing``."""

    def __init__(
        self,
        source: Source,
        *,
        offset: int | None = None,
        length: int | None = None,
        stream: int | None = None,
        trusted: bool = False,
    ):
        self._source = source
        self._options: dict[str, Any] = {"offset": offset, "length": length, "stream": stream, "trusted": trusted}
        if is_address(source):
            remote = Remote(str(source), offset, length)
            self._reader = Reader(remote, stream=stream, trusted=trusted)
        else:
            self._reader = Reader(source, **self._options)
        self._video: Video | None = None
        self._about: tuple[dict[str, str], list[tuple[int, int, str]]] | None = None
        self._table: dict[str, npt.NDArray[Any]] | None = None

    def __reduce__(self) -> tuple[Callable[..., File], tuple[Any, ...]]:
        if not isinstance(self._source, str | os.PathLike | bytes):
            raise TypeError(
                f"{self.name}: a file that was opened from {type(self._source).__name__} cannot be pickled; "
                "open it by path"
            )
        return _reopen, (self._source, self._options)

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        # The file closes with its last chunk; nothing waits to be written.
        return

    def __repr__(self) -> str:
        video = self.video
        return f"<File {self.name}: {len(self)} chunks of {video.width}x{video.height}, {video.bits} bits per token>"

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>" if File.shown_by is None else File.shown_by(self)

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._reader.place

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._reader.size

    @property
    def version(self) -> tuple[int, int]:
        """Version of the format that it was written in: major, minor."""
        return self._reader.version

    @property
    def video(self) -> Video:
        """What the header says of the video."""
        if self._video is None:
            self._video = Video.from_fields(self._reader.video)
        return self._video

    @property
    def metadata(self) -> dict[str, str]:
        """Keys and values that were written into the file, such as ``original_name``; not checked by anybody."""
        return self._told()[0]

    @property
    def chapters(self) -> list[tuple[int, int, str]]:
        """Start and end in nanoseconds, and title, of each chapter."""
        return self._told()[1]

    @property
    def attachments(self) -> list[Attachment]:
        """The files that go along, such as fonts and cover pictures; read anew each time, as they may be large."""
        return [Attachment(*parts) for parts in self._reader.attachments()]

    @property
    def indexed(self) -> bool:
        """Whether the chunks were found by the file's index."""
        return self._reader.indexed

    @property
    def truncated(self) -> bool:
        """Whether it stops before its end. Not known of a file with an index, which is at its end."""
        return self._reader.truncated

    @property
    def damage(self) -> list[str]:
        """What was found wrong when a file without an index was read."""
        return self._reader.damage

    @property
    def table(self) -> dict[str, npt.NDArray[Any]]:
        """What is known of all chunks: an array for each field.

        They are ``first_frame``, ``frames``, ``latent_frames``, ``steps`` (0 if lost), ``key``, ``segment``, ``start``
        and ``bits``.
        """
        if self._table is None:
            self._table = self._reader.table()
        return self._table

    @property
    def frame_count(self) -> int:
        """Frames in all chunks, those that are lost as well."""
        table = self.table
        return int(table["first_frame"][-1] + table["frames"][-1]) if len(self) else 0

    def __len__(self) -> int:
        return len(self._reader)

    @overload
    def __getitem__(self, index: int) -> Chunk: ...
    @overload
    def __getitem__(self, index: slice) -> list[Chunk]: ...

    def __getitem__(self, index: int | slice) -> Chunk | list[Chunk]:
        count = len(self)
        if isinstance(index, slice):
            return [self._reader.chunk(number) for number in range(*index.indices(count))]
        number = operator.index(index)
        if not -count <= number < count:
            raise IndexError(f"{self.name}: expected a chunk from 0 to {count - 1}, found {number}")
        return self._reader.chunk(number % count)

    @property
    def by_frame(self) -> Sliced:
        """Tokens by frame: ``file.by_frame[100:200]`` is the clip whose steps hold these frames."""
        return Sliced(lambda which: self._clip(*_bounds(which, self.frame_count)))

    @property
    def by_time(self) -> Sliced:
        """Tokens by time in seconds: ``file.by_time[1.5:3]`` is the clip of what is shown from 1.5 up to 3 seconds."""
        return Sliced(self._clip_of_time)

    def read_tokens(
        self, first: int = 0, end: int | None = None, bits: int | None = None, *, wide: bool = False
    ) -> npt.NDArray[np.uint64] | npt.NDArray[np.uint32]:
        """The tokens of chunks ``first`` up to but without ``end``, one after the other: steps, height, width.

        Nothing keeps segments apart here.
        """
        return self._reader.tokens(first, len(self) if end is None else end, bits, wide)

    def read_depths(
        self, first: int = 0, end: int | None = None, bits: int | None = None
    ) -> npt.NDArray[np.uint8]:
        """How many of its bits each token of these chunks has; see ``read_tokens``."""
        return self._reader.depths(first, len(self) if end is None else end, bits)

    def _told(self) -> tuple[dict[str, str], list[tuple[int, int, str]]]:
        if self._about is None:
            entries, chapters = self._reader.about()
            self._about = (dict(entries), chapters)
        return self._about

    def _clip(self, first: int, end: int) -> Clip:
        return Clip(self, *self._reader.chunks_for(first, end), first, end)

    def _clip_of_time(self, which: slice) -> Clip:
        if which.step is not None:
            raise ValueError(f"expected a slice without a step, found a step of {which.step}")
        first = 0 if which.start is None else self._frame_at(which.start)
        end = self.frame_count if which.stop is None else self._frame_at(which.stop, end=True)
        return self._clip(first, max(first, end))

    def _frame_at(self, seconds: float, *, end: bool = False) -> int:
        """The frame that is shown at a time; with ``end``, the first one that is shown from then on."""
        ticks = min(max(seconds / float(self.video.tick), -FAR), FAR)
        # A float may lie a hair beside the tick that it stands for.
        if abs(ticks - round(ticks)) < 1e-6:
            ticks = round(ticks)
        if end:
            return self._reader.frame_at(math.ceil(ticks))
        return max(0, self._reader.frame_at(math.floor(ticks) + 1) - 1)


def _reopen(source: Source, options: dict[str, Any]) -> File:
    return File(source, **options)


def _bounds(which: slice, count: int) -> tuple[int, int]:
    first, end, step = which.indices(count)
    if step != 1:
        raise ValueError(f"expected a slice without a step, found a step of {step}")
    return first, max(first, end)


class Sliced:
    """What is cut by a slice."""

    def __init__(self, cut: Callable[[slice], Clip]):
        self._cut = cut

    def __getitem__(self, which: slice) -> Clip:
        return self._cut(which)


class Clip:
    """The steps of a file that hold some of its frames. Tokens are read when they are asked for.

    A step holds several frames, so the first and the last one may hold some that were not asked for:
    ``first_frame`` and ``end_frame`` say which ones there are.
    """

    def __init__(self, file: File, first_chunk: int, end_chunk: int, first: int, end: int):
        self._file = file
        self._chunks = (first_chunk, end_chunk)
        self._steps = (0, 0)
        self.first_frame = first
        """The first frame in it."""
        self.end_frame = first
        """The frame after its last one."""
        if first_chunk == end_chunk:
            return
        video, table = file.video, file.table
        before = int(table["steps"][first_chunk : end_chunk - 1].sum())
        starts = table["first_frame"]
        at, last = int(starts[first_chunk]), int(starts[end_chunk - 1])
        key, last_key = bool(table["key"][first_chunk]), bool(table["key"][end_chunk - 1])
        from_step = video.step_of(first - at, key=key)
        to_step = video.step_of(end - 1 - last, key=last_key) + 1
        self._steps = (from_step, before + to_step)
        self.first_frame = at + video.frame_of(from_step, key=key)
        held = int(table["frames"][end_chunk - 1])
        self.end_frame = last + min(held, video.frame_of(to_step, key=last_key))

    def __repr__(self) -> str:
        return f"<Clip of {self._file.name}: frames {self.first_frame} to {self.end_frame - 1}>"

    @property
    def chunks(self) -> list[Chunk]:
        """The chunks that it is in."""
        return self._file[slice(*self._chunks)]

    @property
    def bits_per_token(self) -> int:
        """Bits that all of its tokens have."""
        bits = self._file.table["bits"][slice(*self._chunks)]
        return int(bits[bits > 0].min(initial=self._file.video.bits))

    @property
    def tokens(self) -> npt.NDArray[np.uint64] | npt.NDArray[np.uint32]:
        """Steps, height, width; with ``bits_per_token`` bits each."""
        return self._file.read_tokens(*self._chunks, self.bits_per_token)[slice(*self._steps)]

    @property
    def depths(self) -> npt.NDArray[np.uint8]:
        """How many of its bits each token has: steps, height, width. The others are zeros in ``tokens``."""
        return self._file.read_depths(*self._chunks, self.bits_per_token)[slice(*self._steps)]

    @property
    def bits(self) -> npt.NDArray[np.uint8]:
        """Steps, height, width, bits; the most important one first."""
        count = self.bits_per_token
        parts = [chunk.bits[..., :count] for chunk in self.chunks]
        if not parts:
            return np.zeros((*self.tokens.shape, count), np.uint8)
        return np.concatenate(parts)[slice(*self._steps)]

    def planes(self, count: int | None = None) -> npt.NDArray[np.uint8]:
        """The ``count`` most important planes, all by default: planes, steps, height, width."""
        most = self.bits_per_token
        count = most if count is None else count
        if not 1 <= count <= most:
            raise ValueError(f"expected 1 to {most} bits per token, found {count}")
        return np.moveaxis(self.bits[..., :count], -1, 0)

    @property
    def segments(self) -> npt.NDArray[np.uint32]:
        """The segment of each step: where it changes, another video begins."""
        return self._of_steps("segment")

    @property
    def keys(self) -> npt.NDArray[np.bool_]:
        """Whether the network's state was reset before this step."""
        table, chunks = self._file.table, slice(*self._chunks)
        steps = table["steps"][chunks]
        keys = np.zeros(int(steps.sum()), np.bool_)
        starts = np.cumsum(steps) - steps
        held = steps > 0
        keys[starts[held]] = table["key"][chunks][held]
        return keys[slice(*self._steps)]

    def _of_steps(self, field: str) -> npt.NDArray[Any]:
        table, chunks = self._file.table, slice(*self._chunks)
        return np.repeat(table[field][chunks], table["steps"][chunks])[slice(*self._steps)]
