"""Images and spans of videos from their bytes, for shards; `cache.py` reads files with ffmpeg."""

from __future__ import annotations

import io
import itertools
from fractions import Fraction
from typing import Any, NamedTuple

import av
import numpy as np
from PIL import Image

from .cache import fit


class About(NamedTuple):
    """What is known of an image or a video without decoding it all."""

    width: int
    height: int
    frames: int
    """1 for an image; of a video about as many, by its duration."""


# Pillow and PyAV have errors of their own kinds; what they mean is that a file is bad.
BAD = (OSError, ValueError, SyntaxError, Image.DecompressionBombError, av.FFmpegError)


def about(data: bytes, kind: str) -> About:
    """Opens an image, or a video with its first frame; a `ValueError` says why that cannot be."""
    try:
        if kind == "images":
            image = Image.open(io.BytesIO(data))
            image.load()
            return About(*image.size, 1)
        with _opened(data) as file:
            stream = _video(file)
            frame = next(file.decode(stream))
            width, height = frame.width, frame.height
            if _turns(frame) % 2:
                width, height = height, width
            return About(width, height, max(1, _count(file, stream)))
    except StopIteration as error:
        raise ValueError("no frames") from error
    except BAD as error:
        raise ValueError(str(error)) from error


def _opened(data: bytes) -> Any:
    return av.open(io.BytesIO(data))


def _video(file: Any) -> Any:
    if not file.streams.video:
        raise ValueError("no video in it")
    stream = file.streams.video[0]
    # One thread: workers share the machine.
    stream.thread_count = 1
    return stream


def _rate(stream: Any) -> Fraction:
    return Fraction(stream.average_rate or stream.guessed_rate or 25)


def _count(file: Any, stream: Any) -> int:
    if stream.frames:
        return int(stream.frames)
    seconds = float(stream.duration * stream.time_base) if stream.duration else float(file.duration or 0) / av.time_base
    return round(seconds * _rate(stream))


def _turns(frame: Any) -> int:
    """Quarter turns to the left by which a frame is shown."""
    return round(getattr(frame, "rotation", 0) / 90) % 4


def image(data: bytes, short_side: int) -> np.ndarray:
    """(1, H, W, 3) bytes, at most so large, never enlarged."""
    file = Image.open(io.BytesIO(data))
    file.draft("RGB", fit(*file.size, short_side))
    picture = file.convert("RGB")
    size = fit(*picture.size, short_side)
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS) if size != picture.size else picture)[None]


def span(data: bytes, first: int, count: int, short_side: int, step: int = 1) -> np.ndarray:
    """(count, H, W, 3) bytes: every `step`-th frame from `first` on, by time; the last one repeats where a video ends.

    Decoding begins at the key frame before.
    """
    found = _span(data, first, count, short_side, step, seek=first > 0)
    if found is None:
        found = _span(data, first, count, short_side, step, seek=False)
    if not found:
        raise ValueError(f"no frame at {first}")
    return np.stack(found + [found[-1]] * (count - len(found)))


def _span(data: bytes, first: int, count: int, short_side: int, step: int, seek: bool) -> list[np.ndarray] | None:
    """As many frames of `span` as there are; none where seeking led behind the first one, as in transport streams."""
    with _opened(data) as file:
        stream = _video(file)
        at = (stream.start_time or 0) + round(first / _rate(stream) / stream.time_base)
        # Half a frame early: times are rounded.
        least = at - 0.5 / float(_rate(stream) * stream.time_base)
        if seek:
            file.seek(at, stream=stream)
        frames = file.decode(stream)
        head = list(itertools.islice(frames, 1))
        if seek and not (head and head[0].pts is not None and head[0].pts <= at):
            return None
        late = (f for f in itertools.chain(head, frames) if f.pts is None or f.pts >= least)
        return [_pixels(frame, short_side) for frame in itertools.islice(late, 0, (count - 1) * step + 1, step)]


def _pixels(frame: Any, short_side: int) -> np.ndarray:
    width, height = fit(frame.width, frame.height, short_side)
    pixels: np.ndarray = frame.reformat(width, height, format="rgb24", interpolation="AREA").to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, _turns(frame)))


def smaller(name: str, data: bytes, found: About, short_side: int) -> tuple[str, bytes, About]:
    """An image made smaller, as a JPEG of high quality; one that is small stays as it is."""
    if min(found.width, found.height) <= short_side:
        return name, data, found
    sink = io.BytesIO()
    pixels = image(data, short_side)[0]
    Image.fromarray(pixels).save(sink, "JPEG", quality=95, subsampling=0)
    return f"{name.rsplit('.', 1)[0]}.jpg", sink.getvalue(), About(pixels.shape[1], pixels.shape[0], 1)
