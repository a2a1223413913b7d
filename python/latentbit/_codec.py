"""Frames to tokens and back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ._arrays import as_depths, as_frames, as_tokens
from ._file import File, Source
from ._latentbit import Bundle, Chunk, EncodeSession, FrameStream, __version__
from ._memory import Size, as_bytes
from ._video import Pair, Video, rate
from ._writer import Summary, WritableFile, Writer

Model = Bundle | str | os.PathLike[str] | None
Rate = int | float | Fraction | Pair | None


def _bundle(model: Model, dtype: str, device: str) -> Bundle:
    return model if isinstance(model, Bundle) else Bundle(model, dtype=dtype, device=device)


class Encoder:
    """Frames to tokens.

    Frames are arrays (frames, height, width, 3) of uint8, or of floats from 0 to 1, of numpy or of whatever speaks
    DLPack; or anything that gives such arrays one after the other, for a video that does not fit into memory.
    """

    def __init__(
        self,
        model: Model = None,
        *,
        bits: int | None = None,
        group: int = 8,
        scene_cuts: bool = True,
        dtype: str = "auto",
        device: str = "auto",
        threads: int = 0,
        max_memory: Size = None,
        crf: float | None = None,
        bitrate: float | None = None,
        bpp: float | None = None,
        maxrate: float | None = None,
        bufsize: float | None = None,
        size: int | None = None,
        effort: int | None = None,
    ):
        """``model`` is a path or a ``Bundle``, the built-in one by default.

        ``bits`` are kept of each token, all by default, and the same of each. With one of these, each token gets as
        many as it is worth: ``crf`` from 0, the best, to 63, the smallest; ``bitrate`` in bits per second, ``bpp`` in
        bits per pixel, both with a channel of ``maxrate`` and ``bufsize`` bits; ``size`` in bytes of the file that
        ``write`` makes, whose tokens are kept in memory until then. ``effort`` from 1 to 3 says how closely the worth
        of a bit is measured. They are those of ``latentbit encode``. ``group`` is the number of chunks from one
        random access point to the next, 0 for none; with ``scene_cuts`` there is another one where the scene cuts.
        ``dtype`` is ``bf16``, ``f32``, ``f16`` (GPUs only), or ``auto`` for the fastest on the device; ``device`` is
        ``cpu``, ``cuda``, ``cuda:N``, or ``auto`` for the fastest one. Both are ignored if ``model`` is a ``Bundle``.
        ``threads`` compute, 0 for one per core.

        ``max_memory``, in bytes or such as ``"2GiB"``, is what the encoding of one video may take besides what the
        program has already: frames that are too large for it are computed in tiles. It is kept by an estimate, and a
        ``ValueError`` says what the smallest tiles would take if that is too little.
        """
        self.bundle = _bundle(model, dtype, device)
        """The model."""
        self._limit = as_bytes(max_memory)
        self._options: dict[str, Any] = {"bits": bits, "group": group, "scene_cuts": scene_cuts, "threads": threads}
        self._options["max_memory"] = self._limit
        self._rate = _Rate(crf, bitrate, bpp, maxrate, bufsize, size, effort)
        self._rate.check(bits)

    def memory(self, width: int, height: int, frames: int | None = None) -> int:
        """Bytes that encoding a video of this size in pixels takes, besides what the program has: an estimate.

        ``frames`` is how many there are; a long video takes the same from some length on, and that is the default.
        """
        return self.bundle.memory(width, height, frames=frames, limit=self._limit)

    def chunks(self, frames: Any) -> Iterator[Chunk]:
        """The chunks of a video, each as soon as it is there."""
        if self._rate.size is not None:
            raise ValueError("size: it is that of a file, so only write() can keep it; give crf or bitrate instead")
        _, chunks = self._start(frames, (0, 1), {})
        return chunks

    def encode(self, frames: Any) -> list[Chunk]:
        """All chunks of a video."""
        return list(self.chunks(frames))

    def tokens(self, frames: Any) -> npt.NDArray[np.uint64] | npt.NDArray[np.uint32]:
        """All tokens of a video: steps, height, width; without the depths that ``crf`` and the like give them."""
        return np.concatenate([chunk.tokens for chunk in self.chunks(frames)])

    def write(
        self,
        frames: Any,
        output: str | os.PathLike[str] | WritableFile,
        *,
        frame_rate: Rate = None,
        coder: str = "cm",
        level: int = 3,
        metadata: Mapping[str, str] | None = None,
    ) -> Summary:
        """Encodes a video into a file; see ``Writer``. Without a ``frame_rate`` a frame lasts a second."""
        entries = {"encoder": f"latentbit {__version__}", **(metadata or {})}
        file = {"coder": coder, "level": level, "metadata": list(entries.items())}
        video, chunks = self._start(frames, rate(frame_rate), file)
        writer = Writer(output, video, coder=coder, level=level, metadata=entries)
        try:
            for chunk in chunks:
                writer.write(chunk)
        except BaseException:
            writer.discard()
            raise
        return writer.close()

    def _start(
        self, frames: Any, frame_rate: Pair, file: Mapping[str, Any]
    ) -> tuple[Video, Iterator[Chunk]]:
        parts, count = _parts(frames)
        first = next(parts, None)
        if first is None:
            raise ValueError("frames: there is no frame to encode")
        _, height, width, _ = first.shape
        session = EncodeSession(
            self.bundle,
            width,
            height,
            frames=count,
            frame_rate=frame_rate,
            rate=self._rate.of(width * height, frame_rate, file),
            **self._options,
        )

        def chunks() -> Iterator[Chunk]:
            session.push(first)
            for part in parts:
                yield from session.ready()
                session.push(part)
            yield from session.finish()

        return Video.from_fields(session.video), chunks()


class _Rate(NamedTuple):
    """What is asked of the size and quality of a video."""

    crf: float | None
    bitrate: float | None
    bpp: float | None
    maxrate: float | None
    bufsize: float | None
    size: int | None
    effort: int | None

    def check(self, bits: int | None) -> None:
        """Raises a ``ValueError`` for what contradicts itself."""
        asked = {name: getattr(self, name) for name in ("crf", "bitrate", "bpp", "size")} | {"bits": bits}
        given = [name for name, value in asked.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: each asks for another rate; keep one of them")
        channel = [name for name in ("maxrate", "bufsize") if getattr(self, name) is not None]
        if channel and self.bitrate is None and self.bpp is None:
            raise ValueError(f"{' and '.join(channel)}: without bitrate or bpp; drop it or give one of them")
        if self.effort is not None and not self._is_given:
            raise ValueError("effort: without crf, bitrate, bpp or size; drop it or give one of them")

    @property
    def _is_given(self) -> bool:
        return any(value is not None for value in (self.crf, self.bitrate, self.bpp, self.size))

    def of(self, pixels: int, frame_rate: Pair, file: Mapping[str, Any]) -> dict[str, Any] | None:
        """For a video with frames of so many pixels; ``file`` is what else goes into a file of a size."""
        if not self._is_given:
            return None
        bitrate = self.bitrate
        if self.bpp is not None:
            # Without a rate a frame lasts a second.
            bitrate = self.bpp * pixels * (float(Fraction(*frame_rate)) if frame_rate[0] else 1.0)
        return {
            "coder": "cm",
            "level": 3,
            "metadata": [],
            **file,
            "crf": self.crf,
            "bitrate": bitrate,
            "maxrate": self.maxrate,
            "bufsize": self.bufsize,
            "size": self.size,
            "effort": 1 if self.effort is None else self.effort,
        }


def _parts(frames: Any) -> tuple[Iterator[npt.NDArray[Any]], int | None]:
    """The arrays of frames that a caller gives, as one or one after the other; of one array, how many it has."""
    if hasattr(frames, "ndim") or hasattr(frames, "__dlpack__"):
        array = as_frames(frames)
        return iter([array] if len(array) else []), len(array)
    arrays = (as_frames(part) for part in frames)
    return (array for array in arrays if len(array)), None


class Decoder:
    """Tokens to frames: arrays (frames, height, width, 3) of uint8, or of float32 from 0 to 1 with ``floats``."""

    def __init__(
        self,
        model: Model = None,
        *,
        bits: int | None = None,
        dtype: str = "auto",
        device: str = "auto",
        threads: int = 0,
        max_memory: Size = None,
    ):
        """As for ``Encoder``; ``bits`` are looked at of each token, all by default.

        ``max_memory`` is what the decoding of one video may take, without the array that ``decode`` returns.
        """
        self.bundle = _bundle(model, dtype, device)
        """The model."""
        self._limit = as_bytes(max_memory)
        self._options: dict[str, Any] = {"bits": bits, "threads": threads, "max_memory": self._limit}

    def memory(self, width: int, height: int, frames: int | None = None) -> int:
        """Bytes that decoding a video of this size takes, besides what the program has; see that of ``Encoder``."""
        return self.bundle.memory(width, height, frames=frames, decode=True, limit=self._limit)

    def frames(
        self, source: File | Source, first: int = 0, end: int | None = None, *, floats: bool = False
    ) -> Iterator[npt.NDArray[Any]]:
        """Frames ``first`` up to but without ``end`` of a file, one at a time: height, width, 3.

        Frames whose chunks are lost repeat the last good one.
        """
        file, first, end = self._range(source, first, end)
        return FrameStream.of_file(
            self.bundle, file._reader, first=first, end=end, floats=floats, **self._options
        )

    def decode(
        self, source: File | Source, first: int = 0, end: int | None = None, *, floats: bool = False
    ) -> npt.NDArray[Any]:
        """Frames ``first`` up to but without ``end`` of a file, in one array."""
        file, first, end = self._range(source, first, end)
        return _stacked(self.frames(file, first, end, floats=floats), end - first)

    def decode_tokens(
        self,
        tokens: Any,
        depths: Any = None,
        *,
        width: int | None = None,
        height: int | None = None,
        floats: bool = False,
    ) -> npt.NDArray[Any]:
        """The frames of an array of tokens (steps, height, width), such as a generator makes.

        ``depths``, an array of the same shape, says how many of its bits each token has, all by default.

        The first step must be the first one of a group. ``width`` and ``height`` are those of the frames in pixels,
        whole tokens by default.
        """
        values = as_tokens(tokens)
        stream = FrameStream.of_tokens(
            self.bundle, values, as_depths(depths), width=width, height=height, floats=floats, **self._options
        )
        return np.stack(list(stream))

    def _range(self, source: File | Source, first: int, end: int | None) -> tuple[File, int, int]:
        file = source if isinstance(source, File) else File(source)
        count = file.frame_count
        first, end, _ = slice(first, end).indices(count)
        return file, first, max(first, end)


def _stacked(frames: Iterable[npt.NDArray[Any]], count: int) -> npt.NDArray[Any]:
    """The frames in one array of this length, filled as they come, so that no frame is held twice."""
    out: npt.NDArray[Any] | None = None
    found = 0
    for frame in frames:
        if out is None:
            out = np.empty((count, *frame.shape), frame.dtype)
        out[found] = frame
        found += 1
    if out is None:
        return np.empty((0, 0, 0, 3), np.uint8)
    return out[:found]
