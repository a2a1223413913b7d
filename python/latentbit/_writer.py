"""Writing files from tokens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from . import _latentbit
from ._arrays import as_depths, as_tokens
from ._latentbit import Chunk
from ._video import Video


class WritableFile(Protocol):
    """A file object that is open for writing bytes."""

    def write(self, data: bytes, /) -> Any:
        """Takes all of these bytes."""


class Summary(NamedTuple):
    """What was written."""

    bytes: int
    chunks: int
    frames: int


class Writer:
    """Writes a file, front to back, from chunks or from tokens.

    A path appears under its name only when the file is complete; what is not closed well leaves nothing behind:

        with latentbit.Writer("out.lbit", video) as writer:
            writer.write(tokens, key=True)
    """

    def __init__(
        self,
        output: str | os.PathLike[str] | WritableFile,
        video: Video,
        *,
        coder: str = "cm",
        level: int = 3,
        metadata: Mapping[str, str] | None = None,
    ):
        """``coder`` is ``cm`` (the smallest), ``zstd`` with its ``level``, or ``raw`` (the fastest)."""
        entries = list((metadata or {}).items())
        self._writer = _latentbit.Writer(output, video.to_fields(), coder=coder, level=level, metadata=entries)

    def write(
        self,
        what: Chunk | Any,
        *,
        key: bool | None = None,
        segment: int | None = None,
        frames: int | None = None,
        latent_frames: int | None = None,
        start: int | None = None,
        depths: Any = None,
        bits: int | None = None,
    ) -> None:
        """Write the next chunk: one of another file or of an encoder, or tokens as an array (steps, height, width).

        Tokens need ``key``: whether the network's state was reset before them. ``frames`` and ``latent_frames`` are
        what they stand for, as much as they can hold by default; ``start`` is when that is shown, in ticks. Where the
        video has a ``depth_step``, ``depths`` say how many of its bits each token has, in multiples of it or all; the
        bits beyond must be zero. ``bits`` are there of each token of this chunk at most, where it has lost
        some: the others are unknown then, and not zero. A chunk brings all of this along; only its ``segment`` can be
        set.
        """
        if isinstance(what, Chunk):
            given = {"key": key, "frames": frames, "latent_frames": latent_frames, "start": start, "depths": depths,
                     "bits": bits}
            for name, value in given.items():
                if value is not None:
                    raise TypeError(f"{name}: a chunk has its own; leave it out")
            self._writer.write(what, segment)
            return
        if key is None:
            raise TypeError("key: say whether these tokens begin a group")
        self._writer.write_tokens(
            as_tokens(what), key=key, segment=segment or 0, frames=frames, latent_frames=latent_frames, start=start,
            depths=as_depths(depths), bits=bits,
        )

    def close(self) -> Summary:
        """Ends the file and gives it its name."""
        return Summary(*self._writer.finish())

    def discard(self) -> None:
        """Gives the file up: nothing is left of it under its name."""
        self._writer.discard()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()
