"""Pictures of files in notebooks."""

from __future__ import annotations

import base64
import functools
import html
import struct
import sys
import zlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arrays import FrameFormat, is_array
from ._bundle import Bundle
from ._codec import Decoder, Model
from ._file import File, Source
from ._latentbit import LatentBitError

Pictures = npt.NDArray[np.uint8]

# Posters of a file, and the longer side of one in pixels.
POSTERS = 4
SIDE = 240
# Pixels of all frames of a video that is shown moving; more would make a notebook heavy.
MOVING = 64 * 128 * 128


def show(what: File | Source | Any, model: Model = None, *, frame_rate: float = 25, moving: bool | None = None) -> View:
    """A view of a file, or of frames (an array as ``Encoder`` takes it), for a notebook.

    A short video moves, a longer one is shown by some of its frames; ``moving`` chooses. ``model`` decodes files, the
    built-in one by default.
    """
    if is_array(what):
        frames = _bytes(what)
        view = View(_film(frames, frame_rate) if _moves(frames.shape[:3], moving) else _row(_posters_of(frames)))
    else:
        view = View(describe(what if isinstance(what, File) else File(what), model, moving=moving))
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        ipython.display.display(view)
    return view


class View:
    """HTML that notebooks show."""

    def __init__(self, text: str):
        self.html = text
        """The text."""

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"<View: {len(self.html)} characters of HTML>"


def describe(file: File, model: Model = None, *, moving: bool | None = None) -> str:
    """What is known of a file, and what it shows, as HTML."""
    video = file.video
    rate = float(Fraction(*video.frame_rate)) if video.frame_rate[0] else None
    seconds = f", {file.frame_count / rate:.2f} s" if rate else ""
    lost = int((file.table["steps"] == 0).sum())
    pixels = max(1, file.frame_count * video.width * video.height)
    facts = {
        "video": f"{video.width}x{video.height}, {file.frame_count} frames"
        + (f" at {rate:g} per second{seconds}" if rate else ""),
        "size": f"{file.size:,} bytes, {8 * file.size / pixels:.3f} bits per pixel",
        "tokens": f"{video.bits} bits each" + (", elastic" if video.depth_step else ""),
        "chunks": f"{len(file)}, {int(file.table['key'].sum())} of them key chunks"
        + (f", {lost} of them lost" if lost else ""),
        "model": f"{video.bundle} ({video.bundle_sha256[:12]}…)",
    }
    facts.update({name: value for name, value in file.metadata.items() if len(value) <= 200})
    if file.truncated:
        facts["truncated"] = "the file stops before its end"
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
        for name, value in facts.items()
    )
    return f"<div><b>{html.escape(file.name)}</b>{_pictures(file, model, moving, rate)}<table>{rows}</table></div>"


def _pictures(file: File, model: Model, moving: bool | None, rate: float | None) -> str:
    video = file.video
    if not file.frame_count:
        return "<p>no frames</p>"
    try:
        decoder = _decoder(model, video.bundle_sha256)
        if _moves((file.frame_count, video.height, video.width), moving):
            return _film(np.asarray(decoder.decode(file)), rate or 25)
        keys = np.flatnonzero(file.table["key"] & (file.table["steps"] > 0))
        chosen = keys[np.unique(np.linspace(0, len(keys) - 1, min(POSTERS, len(keys))).round().astype(int))]
        firsts = [int(file.table["first_frame"][chunk]) for chunk in chosen]
        return _row([np.asarray(next(decoder.frames(file, first, first + 1))) for first in firsts])
    except (LatentBitError, OSError, ValueError, MemoryError) as error:
        # A notebook must show what is known, whatever cannot be decoded.
        return f"<p>no pictures: {html.escape(str(error))}</p>"


@functools.lru_cache(maxsize=1)
def _built_in() -> Bundle:
    return Bundle()


def _decoder(model: Model, needed: str) -> Decoder:
    if model is not None:
        return Decoder(model)
    if _built_in().sha256 != needed:
        raise LatentBitError("made with another model than the built-in one; latentbit.show(file, model) takes it")
    return Decoder(_built_in())


def _moves(shape: Sequence[int], moving: bool | None) -> bool:
    count, height, width = shape[:3]
    return count > 1 and (moving if moving is not None else count * height * width <= MOVING)


def _bytes(frames: Any) -> Pictures:
    parts, _ = FrameFormat().parts(frames)
    held = [part if part.dtype == np.uint8 else (part * 255).round().astype(np.uint8) for part in parts]
    if not held:
        raise ValueError("frames: there is none to show")
    return np.concatenate(held)


def _posters_of(frames: Pictures) -> list[Pictures]:
    places = np.unique(np.linspace(0, len(frames) - 1, min(POSTERS, len(frames))).round().astype(int))
    return [frames[place] for place in places]


def _row(pictures: Sequence[Pictures]) -> str:
    return "<div>" + "".join(_image(png(_smaller(picture)[None])) for picture in pictures) + "</div>"


def _film(frames: Pictures, rate: float) -> str:
    return f"<div>{_image(png(frames, rate))}</div>"


def _image(data: bytes) -> str:
    return f'<img style="display:inline;margin:2px" src="data:image/png;base64,{base64.b64encode(data).decode()}">'


def _smaller(picture: Pictures) -> Pictures:
    """The picture with sides of at most ``SIDE`` or a little more: means of whole squares of pixels."""
    step = max(1, max(picture.shape[:2]) // SIDE)
    height, width = (max(1, side // step) for side in picture.shape[:2])
    cut = picture[: height * step, : width * step]
    squares = cut.reshape(height, min(step, cut.shape[0]), width, min(step, cut.shape[1]), 3)
    return squares.mean(axis=(1, 3)).round().astype(np.uint8)


def png(frames: Pictures, rate: float = 25) -> bytes:
    """Frames (n, height, width, 3) as PNG; several as an animation, which browsers repeat (APNG)."""
    count, height, width, _ = frames.shape
    out = [b"\x89PNG\r\n\x1a\n", _part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))]
    if count > 1:
        out.append(_part(b"acTL", struct.pack(">II", count, 0)))
    delay = Fraction(1 / rate).limit_denominator(65535)
    number = 0
    for index, frame in enumerate(frames):
        # Of each row what it differs from the row above in, which is what packs well.
        rows = np.empty((height, 1 + 3 * width), np.uint8)
        rows[:, 0] = 2
        flat = frame.reshape(height, -1)
        rows[0, 1:] = flat[0]
        np.subtract(flat[1:], flat[:-1], out=rows[1:, 1:])
        data = zlib.compress(rows.tobytes(), 6)
        if count > 1:
            control = (number, width, height, 0, 0, delay.numerator, delay.denominator, 0, 0)
            out.append(_part(b"fcTL", struct.pack(">IIIIIHHBB", *control)))
            number += 1
        if index == 0:
            out.append(_part(b"IDAT", data))
        else:
            out.append(_part(b"fdAT", struct.pack(">I", number) + data))
            number += 1
    return b"".join([*out, _part(b"IEND", b"")])


def _part(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


File.shown_by = describe
