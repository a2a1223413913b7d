"""Frames to latents and back, by the VAE alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arrays import FrameFormat, as_array, is_array
from ._codec import Model, as_bundle, made_of
from ._latentbit import FrameStream, LatentSession
from ._output import Output
from ._parallel import Counter, Crew, Progress
from ._quantity import Size, as_bytes

SCALES = ("raw", "normalised")


class Vae:
    """The VAE of a model: official weights of Wan 2.1 and 2.2, or that of a bundle. It needs no tokenizer.

    Latents are float32 arrays (channels, latent frames, height, width), as diffusion models take them; several videos
    have one more axis in front and are computed at the same time. ``scale`` is ``raw``, the mean of the VAE's posterior
    as ``AutoencoderKLWan`` gives it, or ``normalised`` by ``mean`` and ``std`` of each channel.
    """

    def __init__(
        self,
        model: Model = None,
        *,
        scale: str = "raw",
        dtype: str = "auto",
        device: str = "auto",
        threads: int = 0,
        max_memory: Size = None,
        layout: str = "THWC",
        value_range: str = "auto",
    ):
        """``model`` and the others are as for ``Encoder``."""
        if scale not in SCALES:
            raise ValueError(f"scale: expected one of {', '.join(SCALES)}, found {scale!r}")
        self.bundle = as_bundle(model, dtype, device)
        """The model."""
        self.channels = self.bundle.latent_channels
        """Of a latent."""
        self.strides = self.bundle.strides
        """Frames and pixels per latent position: time, height, width."""
        self.mean = np.array(self.bundle.latents_mean or [0.0] * self.channels, np.float32)
        """Of each channel of a raw latent."""
        self.std = np.array(self.bundle.latents_std or [1.0] * self.channels, np.float32)
        """The standard deviation of each channel of a raw latent."""
        self.scale = scale
        """That of latents here: raw or normalised."""
        self._format = FrameFormat(layout, value_range).check()
        self._limit = as_bytes(max_memory)
        self._options: dict[str, Any] = {"threads": threads, "max_memory": self._limit}

    def memory(self, width: int, height: int, frames: int | None = None, *, decode: bool = False) -> int:
        """Bytes that encoding or decoding a video of this size takes, besides what the program has; an estimate."""
        return self.bundle.memory(width, height, frames=frames, decode=decode, latents=True, limit=self._limit)

    def latents(self, frames: Any) -> Iterator[npt.NDArray[np.float32]]:
        """The latents of a video, a few latent frames at a time, each as soon as they are there."""
        return self._encode(frames, self._options)

    def encode(self, frames: Any, *, progress: Progress = None) -> npt.NDArray[np.float32]:
        """The latents of a video; or of several videos, if there is one more axis in front.

        The first latent frame stands for one frame, each later one for ``strides[0]``; where frames do not fill the
        last one or the last row or column of positions, the edge is repeated. ``progress`` counts latent frames.
        """
        if not self._format.is_batch(frames):
            return _joined(Counter(progress)(self._encode(frames, self._options), _latent_frames))
        crew = Crew(self.bundle, self._options["threads"], len(frames))
        options = {**self._options, "threads": crew.threads}
        counted = Counter(progress)

        def encode(video: Any) -> npt.NDArray[np.float32]:
            return _joined(counted(crew.until_stopped(self._encode(video, options)), _latent_frames))

        return np.stack(crew.map(encode, list(frames)))

    def _encode(self, frames: Any, options: Mapping[str, Any]) -> Iterator[npt.NDArray[np.float32]]:
        first, parts, count = self._format.begun(frames)
        _, height, width, _ = first.shape
        session = LatentSession(self.bundle, width, height, frames=count, **options)
        yield from map(self._outward, made_of(session, first, parts))

    def decode(
        self,
        latents: Any,
        *,
        frames: int | None = None,
        width: int | None = None,
        height: int | None = None,
        floats: bool = False,
        value_range: str | None = None,
        layout: str = "THWC",
        progress: Progress = None,
    ) -> npt.NDArray[Any]:
        """The frames of latents: of an array, or of arrays that come one after the other; or of several videos.

        ``frames``, ``width`` and ``height`` are what the latents stand for, as much as they can hold by default. What
        comes back is as for ``Decoder.decode``.
        """
        output = Output.of(layout, value_range, floats)
        if not (is_array(latents) and getattr(latents, "ndim", 0) == 5):
            stream = self._decode(latents, frames, width, height, output, self._options)
            return output.stacked(Counter(progress)(stream), "latents")
        videos = as_array(latents, "latents")
        crew = Crew(self.bundle, self._options["threads"], len(videos))
        options = {**self._options, "threads": crew.threads}
        counted = Counter(progress)

        def decode(video: Any) -> npt.NDArray[Any]:
            stream = self._decode(video, frames, width, height, output, options)
            return output.stacked(counted(crew.until_stopped(stream)), "latents")

        return np.stack(crew.map(decode, list(videos)))

    def frames(
        self,
        latents: Any,
        *,
        frames: int | None = None,
        width: int | None = None,
        height: int | None = None,
        floats: bool = False,
        value_range: str | None = None,
        layout: str = "THWC",
    ) -> Iterator[npt.NDArray[Any]]:
        """As ``decode``, one frame at a time, each as soon as its latents are there."""
        output = Output.of(layout, value_range, floats)
        return map(output.one, self._decode(latents, frames, width, height, output, self._options))

    def _decode(
        self,
        latents: Any,
        frames: int | None,
        width: int | None,
        height: int | None,
        output: Output,
        options: Mapping[str, Any],
    ) -> Iterator[npt.NDArray[Any]]:
        given = iter([latents]) if is_array(latents) else iter(latents)
        stream: FrameStream | None = None
        left = frames if frames is not None else 2**62
        for part in self._chunks(given):
            if stream is None:
                rows, columns = part.shape[1:3]
                stream = FrameStream.of_latents(
                    self.bundle,
                    width or columns * self.strides[2],
                    height or rows * self.strides[1],
                    frames=frames,
                    floats=output.floats,
                    **options,
                )
            for _ in range(stream.push_latents(part)):
                frame = next(stream, None)
                if frame is not None and left:
                    left -= 1
                    yield frame[0]
            if not left:
                return
        if stream is None:
            raise ValueError("latents: there are none to decode")
        stream.finish()
        for shown in stream:
            yield shown[0]
        if frames is not None and left:
            raise ValueError(f"frames: expected at most the {frames - left} that these latents hold, found {frames}")

    def _chunks(self, given: Iterator[Any]) -> Iterator[npt.NDArray[np.float32]]:
        """Latents (latent frames, height, width, channels) of unit variance, as many as are computed at once."""
        most = self.bundle.chunk_latent_frames
        for part in given:
            array = as_array(part, "latents")
            if array.ndim != 4 or array.shape[0] != self.channels:
                raise ValueError(
                    f"latents: expected ({self.channels} channels, latent frames, height, width), found {array.shape}; "
                    "several videos have one more axis in front"
                )
            if array.dtype.kind != "f":
                raise TypeError(f"latents: expected floats, found {array.dtype}")
            for first in range(0, array.shape[1], most):
                yield self._inward(array[:, first : first + most])

    def _outward(self, latents: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self.scale == "raw":
            latents *= self.std
            latents += self.mean
        return np.ascontiguousarray(np.moveaxis(latents, -1, 0))

    def _inward(self, latents: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        values = np.moveaxis(latents, 0, -1).astype(np.float32)
        if self.scale == "raw":
            values -= self.mean
            values /= self.std
        if not np.isfinite(values).all():
            raise ValueError("latents: expected numbers, found NaN or infinity")
        return np.ascontiguousarray(values)


def _latent_frames(part: npt.NDArray[np.float32]) -> int:
    return int(part.shape[1])


def _joined(parts: Iterator[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    return np.concatenate(list(parts), axis=1)
