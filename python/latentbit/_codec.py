"""Frames to tokens and back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from operator import attrgetter
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from ._arrays import FrameFormat, as_array, as_depths, as_tokens, is_array
from ._bundle import Bundle
from ._file import File, Source
from ._filters import Begun, Crop, FilteredStream, Filters, Fps, Scale
from ._latentbit import Chunk, EncodeSession, FrameStream, TruncatedError, __version__
from ._loss import FrameIterator, Frames, warn
from ._output import Output
from ._parallel import Counter, Crew, Progress
from ._quantity import Size, as_bits, as_bytes
from ._video import Pair, Video, rate
from ._writer import Summary, WritableFile, Writer

Model = Bundle | str | os.PathLike[str] | None
Rate = int | float | Fraction | Pair | None
Tokens = npt.NDArray[np.uint64] | npt.NDArray[np.uint32]
Made = TypeVar("Made")


def as_bundle(model: Model, dtype: str, device: str) -> Bundle:
    """A model, read if it is not one yet."""
    return model if isinstance(model, Bundle) else Bundle(model, dtype=dtype, device=device)


class Encoder:
    """Frames to tokens.

    Frames are arrays of numpy, PyTorch or whatever speaks DLPack, or anything that gives such arrays one after the
    other, for a video that does not fit into memory. ``layout`` says how their axes lie: ``THWC`` (frames, height,
    width, channels), ``TCHW`` or ``CTHW``. ``value_range`` says what they hold: ``0..1``, ``-1..1`` or ``0..255``;
    ``auto`` is 0..255 for uint8 and 0..1 for floats. Values outside of it, NaN, and other shapes raise an error.
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
        bitrate: float | str | None = None,
        bpp: float | None = None,
        maxrate: float | str | None = None,
        bufsize: float | str | None = None,
        size: int | str | None = None,
        effort: int | None = None,
        psnr: float | None = None,
        fps: Fps = None,
        scale: Scale = None,
        crop: Crop = None,
        vf: str | None = None,
        layout: str = "THWC",
        value_range: str = "auto",
    ):
        """``model`` is a path, the name of a kept model or a ``Bundle``, the built-in one by default.

        ``bits`` are kept of each token, all by default, and the same of each. With one of these, each token gets as
        many as it is worth: ``crf`` from 0, the best, to 63, the smallest; ``bitrate`` in bits per second, ``bpp`` in
        bits per pixel, both with a channel of ``maxrate`` and ``bufsize`` bits; ``size`` in bytes of the file that
        ``write`` makes, whose tokens are kept in memory until then; ``psnr`` in dB of each chunk, and a ``LossWarning``
        says where the model does not reach it. Texts such as ``"300k"`` and ``"5MB"`` will do as well. ``effort`` from
        1 to 3 says how closely the worth of a bit is measured. They are those of ``latentbit encode``, which takes
        ``crf=12`` where nothing is asked for. ``group`` is the number of chunks from one random access point to the
        next, 0 for none; with ``scene_cuts`` there is another one where the scene cuts.

        Frames are first brought to ``fps`` frames per second, for which their own ``frame_rate`` must be given; then to
        the size ``scale``: the pixels of the short side, or width and height, where -1 follows the other side; then
        they are cut to ``crop``: width and height of the middle, or also the columns to its left and rows above it.
        These, too, are as in the command, where sides are joined by colons: ``(640, -1)`` is ``"640:-1"``. Its ``vf``
        is refused, because filter graphs are for media files.

        ``dtype`` is ``bf16``, ``f32``, ``f16`` (GPUs only), or ``auto`` for the fastest on the device; ``device`` is
        ``cpu``, ``cuda``, ``cuda:N``, or ``auto`` for the fastest one. Both are ignored if ``model`` is a ``Bundle``.
        ``threads`` compute, 0 for one per core.

        ``max_memory``, in bytes or such as ``"2GiB"``, is what the encoding of one video may take besides what the
        program has already: frames that are too large for it are computed in tiles. It is kept by an estimate, and a
        ``ValueError`` says what the smallest tiles would take if that is too little.
        """
        self.bundle = as_bundle(model, dtype, device)
        """The model."""
        self._limit = as_bytes(max_memory)
        self._options: dict[str, Any] = {"bits": bits, "group": group, "scene_cuts": scene_cuts, "threads": threads}
        self._options["max_memory"] = self._limit
        self._format = FrameFormat(layout, value_range).check()
        self._filters = Filters.of(fps, scale, crop, vf)
        self._rate = _Rate(
            crf, as_bits("bitrate", bitrate), bpp, as_bits("maxrate", maxrate), as_bits("bufsize", bufsize),
            as_bytes(size, "size"), effort, psnr,
        )
        self._rate.check(bits)

    def memory(self, width: int, height: int, frames: int | None = None) -> int:
        """Bytes that encoding a video of this size in pixels takes, besides what the program has: an estimate.

        ``frames`` is how many there are; a long video takes the same from some length on, and that is the default.
        """
        return self.bundle.memory(width, height, frames=frames, limit=self._limit)

    def chunks(self, frames: Any, *, frame_rate: Rate = None, progress: Progress = None) -> Iterator[Chunk]:
        """The chunks of a video, each as soon as it is there.

        ``fps`` and ``bitrate`` need the ``frame_rate``; without it a frame lasts a second. ``progress`` is called with
        the frames that are encoded, and with how many there are, if that is known.
        """
        self._refuse_size()
        _, count, chunks = self._start(frames, rate(frame_rate), {})
        return Counter(progress, count)(chunks, _FRAMES)

    def encode(self, frames: Any, *, frame_rate: Rate = None, progress: Progress = None) -> list[Chunk]:
        """All chunks of a video."""
        return list(self.chunks(frames, frame_rate=frame_rate, progress=progress))

    def encode_batch(
        self, videos: Iterable[Any], *, frame_rate: Rate = None, progress: Progress = None
    ) -> list[list[Chunk]]:
        """All chunks of each video, which may be of different sizes. They are computed at the same time.

        ``videos`` is an array with one more axis in front, or gives videos. ``progress`` counts frames of all.
        """
        self._refuse_size()
        given = list(videos)
        crew = Crew(self.bundle, self._options["threads"], len(given))
        counted = Counter(progress)

        def encode(video: Any) -> list[Chunk]:
            _, _, chunks = self._start(video, rate(frame_rate), {}, {"threads": crew.threads})
            return list(crew.until_stopped(counted(chunks, _FRAMES)))

        return crew.map(encode, given)

    def tokens(self, frames: Any, *, frame_rate: Rate = None, progress: Progress = None) -> Tokens:
        """All tokens of a video: steps, height, width. Of an array of several videos: videos, steps, height, width.

        An encoder with ``crf`` and the like gives tokens depths, which would get lost here: see
        ``tokens_and_depths``.
        """
        if self._rate.is_given:
            raise ValueError(
                "tokens: this encoder gives each token a depth, without which its bits cannot be told from zeros; "
                "call tokens_and_depths()"
            )
        return self.tokens_and_depths(frames, frame_rate=frame_rate, progress=progress)[0]

    def tokens_and_depths(
        self, frames: Any, *, frame_rate: Rate = None, progress: Progress = None
    ) -> tuple[Tokens, npt.NDArray[np.uint8]]:
        """As ``tokens``, and how many of its bits each token has, in an array of the same shape."""
        if not self._format.is_batch(frames):
            return _joined(self.chunks(frames, frame_rate=frame_rate, progress=progress))
        batch = self.encode_batch(frames, frame_rate=frame_rate, progress=progress)
        videos = [_joined(chunks) for chunks in batch]
        steps = sorted({len(tokens) for tokens, _ in videos})
        if len(steps) > 1:
            raise ValueError(
                f"frames: these videos have {', '.join(map(str, steps))} steps, because some are cut at a change of "
                "scene, so their tokens are no single array; give the encoder scene_cuts=False, or call encode_batch()"
            )
        tokens, depths = zip(*videos, strict=True)
        return np.stack(tokens), np.stack(depths)

    def write(
        self,
        frames: Any,
        output: str | os.PathLike[str] | WritableFile,
        *,
        frame_rate: Rate = None,
        coder: str = "cm",
        level: int = 3,
        metadata: Mapping[str, str] | None = None,
        progress: Progress = None,
    ) -> Summary:
        """Encodes a video into a file; see ``Writer``. Without a ``frame_rate`` a frame lasts a second."""
        entries = {"encoder": f"latentbit {__version__}", **(metadata or {})}
        file = {"coder": coder, "level": level, "metadata": list(entries.items())}
        video, count, chunks = self._start(frames, rate(frame_rate), file)
        writer = Writer(output, video, coder=coder, level=level, metadata=entries)
        try:
            for chunk in Counter(progress, count)(chunks, _FRAMES):
                writer.write(chunk)
        except BaseException:
            writer.discard()
            raise
        return writer.close()

    def _refuse_size(self) -> None:
        if self._rate.size is not None:
            raise ValueError("size: it is that of a file, so only write() can keep it; give crf or bitrate instead")

    def _start(
        self,
        frames: Any,
        frame_rate: Pair,
        file: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Video, int | None, Iterator[Chunk]]:
        """The video, how many frames it has if that is known, and its chunks."""
        if self._format.is_batch(frames):
            raise ValueError(
                f"frames: expected one video, found an array of {len(frames)} (5 axes); call encode_batch() or tokens()"
            )
        begun = self._filters.apply(Begun(*self._format.begun(frames), frame_rate))
        _, height, width, _ = begun.first.shape
        session = EncodeSession(
            self.bundle,
            width,
            height,
            # Memory is planned by it, and at another rate it is an estimate.
            frames=None if self._filters.fps is not None else begun.total,
            frame_rate=begun.frame_rate,
            pixel_aspect=begun.pixel_aspect,
            rate=self._rate.of(width * height, begun.frame_rate, file),
            **{**self._options, **(options or {})},
        )

        def chunks() -> Iterator[Chunk]:
            yield from made_of(session, begun.first, begun.parts)
            missed, lowest = session.below
            if missed:
                warn(
                    f"{missed} chunks have a lower PSNR than the {self._rate.psnr:g} dB that was asked for, at least "
                    f"{lowest:.2f} dB: it is what this model reaches with all bits"
                )

        return Video.from_fields(session.video), begun.total, chunks()


class Session(Protocol[Made]):
    """What takes the frames of a video and gives its chunks, while it computes."""

    def push(self, frames: npt.NDArray[Any]) -> None: ...
    def ready(self) -> list[Made]: ...
    def finish(self) -> None: ...
    def wait(self) -> Made | None: ...


def made_of(session: Session[Made], first: npt.NDArray[Any], parts: Iterable[npt.NDArray[Any]]) -> Iterator[Made]:
    """What a session makes of frames, each as soon as it is there."""
    session.push(first)
    for part in parts:
        yield from session.ready()
        session.push(part)
    session.finish()
    while (made := session.wait()) is not None:
        yield made


_FRAMES = attrgetter("frames")


def _joined(chunks: Iterable[Chunk]) -> tuple[Tokens, npt.NDArray[np.uint8]]:
    held = list(chunks)
    tokens: Tokens = np.concatenate([chunk.tokens for chunk in held])
    return tokens, np.concatenate([chunk.depths for chunk in held])


class _Rate(NamedTuple):
    """What is asked of the size and quality of a video."""

    crf: float | None
    bitrate: float | None
    bpp: float | None
    maxrate: float | None
    bufsize: float | None
    size: int | None
    effort: int | None
    psnr: float | None = None

    def check(self, bits: int | None) -> None:
        """Raises a ``ValueError`` for what contradicts itself."""
        asked = {name: getattr(self, name) for name in ("crf", "bitrate", "bpp", "size", "psnr")} | {"bits": bits}
        given = [name for name, value in asked.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: each asks for another rate; keep one of them")
        channel = [name for name in ("maxrate", "bufsize") if getattr(self, name) is not None]
        if channel and self.bitrate is None and self.bpp is None:
            raise ValueError(f"{' and '.join(channel)}: without bitrate or bpp; drop it or give one of them")
        if self.effort is not None and not self.is_given:
            raise ValueError("effort: without crf, bitrate, bpp, size or psnr; drop it or give one of them")

    @property
    def is_given(self) -> bool:
        """Whether tokens get depths."""
        return any(value is not None for value in (self.crf, self.bitrate, self.bpp, self.size, self.psnr))

    def of(self, pixels: int, frame_rate: Pair, file: Mapping[str, Any]) -> dict[str, Any] | None:
        """For a video with frames of so many pixels; ``file`` is what else goes into a file of a size."""
        if not self.is_given:
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
            "psnr": self.psnr,
            # As the command has it.
            "effort": (2 if self.psnr is not None else 1) if self.effort is None else self.effort,
        }


class _Concealing(NamedTuple):
    """What is done about lost chunks."""

    conceal: str | None
    predictor: str | os.PathLike[str] | None
    conceal_steps: int | None
    low_delay: bool

    def check(self) -> _Concealing:
        """Itself, if it does not contradict itself."""
        if self.low_delay and self.conceal is None:
            raise ValueError('low_delay: it is for concealing; leave it out, or give conceal= as well')
        for name in ("predictor", "conceal_steps"):
            if getattr(self, name) is not None and self.conceal not in ("auto", "maskgit"):
                raise ValueError(f'{name}: it is for conceal="maskgit" or "auto"; leave it out, or ask for one of them')
        return self


class Decoder:
    """Tokens to frames.

    They come as arrays (frames, height, width, 3) of uint8, or with ``value_range="0..1"`` or ``"-1..1"`` of float32;
    ``floats=True`` means 0..1. ``layout`` is ``THWC``, ``TCHW`` or ``CTHW``.

    Where tokens are lost or damaged, decoding raises ``LostChunkError`` or another error, unless ``conceal`` says
    what to show instead: ``freeze``, ``blend``, ``latent``, ``maskgit``, ``off`` (leave such frames out), or ``auto``,
    which is ``maskgit`` if there is a ``predictor`` for the model, else ``freeze``. Then a ``LossWarning`` says how
    much was lost, and ``fidelity`` tells it of each frame. ``conceal_steps`` are the passes of ``maskgit``; with
    ``low_delay`` it and the others look at what came before a loss alone.
    """

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
        self.bundle = as_bundle(model, dtype, device)
        """The model."""
        self._limit = as_bytes(max_memory)
        self._options: dict[str, Any] = {"bits": bits, "threads": threads, "max_memory": self._limit}

    def memory(self, width: int, height: int, frames: int | None = None) -> int:
        """Bytes that decoding a video of this size takes, besides what the program has; see that of ``Encoder``."""
        return self.bundle.memory(width, height, frames=frames, decode=True, limit=self._limit)

    def frames(
        self,
        source: File | Source,
        first: int = 0,
        end: int | None = None,
        *,
        floats: bool = False,
        value_range: str | None = None,
        layout: str = "THWC",
        fps: Fps = None,
        scale: Scale = None,
        crop: Crop = None,
        vf: str | None = None,
        conceal: str | None = None,
        predictor: str | os.PathLike[str] | None = None,
        conceal_steps: int | None = None,
        low_delay: bool = False,
    ) -> FrameIterator:
        """Frames ``first`` up to but without ``end`` of a file, one at a time: height, width, 3.

        They go through ``fps``, ``scale`` and ``crop`` as frames do in an ``Encoder``.
        """
        filters, output = Filters.of(fps, scale, crop, vf), Output.of(layout, value_range, floats)
        concealing = _Concealing(conceal, predictor, conceal_steps, low_delay).check()
        file, first, stop = self._range(source, first, end, conceal)
        return FrameIterator(self._of_file(file, first, stop, output, filters, concealing), file.name, output)

    def decode(
        self,
        source: File | Source,
        first: int = 0,
        end: int | None = None,
        *,
        floats: bool = False,
        value_range: str | None = None,
        layout: str = "THWC",
        fps: Fps = None,
        scale: Scale = None,
        crop: Crop = None,
        vf: str | None = None,
        conceal: str | None = None,
        predictor: str | os.PathLike[str] | None = None,
        conceal_steps: int | None = None,
        low_delay: bool = False,
        progress: Progress = None,
    ) -> Frames:
        """Frames ``first`` up to but without ``end`` of a file, in one array.

        They go through ``fps``, ``scale`` and ``crop`` as frames do in an ``Encoder``. ``progress`` is called with the
        frames that are decoded, and how many there will be.
        """
        filters, output = Filters.of(fps, scale, crop, vf), Output.of(layout, value_range, floats)
        concealing = _Concealing(conceal, predictor, conceal_steps, low_delay).check()
        file, first, stop = self._range(source, first, end, conceal)
        # Kept as they come, and laid out in the array.
        plain = Output("THWC", "0..1" if output.floats else "0..255")
        decoded = self._of_file(file, first, stop, output, filters, concealing)
        frames = FrameIterator(decoded, file.name, plain)
        fidelity, index = [], []

        def noted() -> Iterator[npt.NDArray[Any]]:
            for frame in frames:
                fidelity.append(frames.fidelity)
                index.append(frames.index)
                yield frame

        width, height = decoded.size if isinstance(decoded, FilteredStream) else (file.video.width, file.video.height)
        # At another rate it is known in the end.
        count = stop - first if filters.fps is None else None
        shown = Counter(progress, count)(noted())
        array = output.stacked(shown, file.name, count, (height, width))
        return Frames.of(array, fidelity, index)

    def decode_tokens(
        self,
        tokens: Any,
        depths: Any = None,
        *,
        width: int | None = None,
        height: int | None = None,
        floats: bool = False,
        value_range: str | None = None,
        layout: str = "THWC",
        progress: Progress = None,
    ) -> npt.NDArray[Any]:
        """The frames of tokens (steps, height, width), such as a generator makes.

        ``tokens`` is an array, or gives the arrays of one video one after the other; or an array of several videos,
        with one more axis in front, which are decoded at the same time and come back so. ``depths``, of the same
        shape, says how many of its bits each token has, all by default.

        The first step must be the first one of a group. ``width`` and ``height`` are those of the frames in pixels,
        whole tokens by default.
        """
        output = Output.of(layout, value_range, floats)
        if is_array(tokens) and getattr(tokens, "ndim", 0) == 4:
            return self._decode_batch(tokens, depths, width, height, output, progress)
        pairs, count = _pairs(tokens, depths), self._frame_count(tokens)
        frames = self._of_tokens(pairs, width, height, output, self._options, count)
        return output.stacked(Counter(progress, count)(frames), "tokens", count)

    def token_frames(
        self,
        tokens: Any,
        depths: Any = None,
        *,
        width: int | None = None,
        height: int | None = None,
        floats: bool = False,
        value_range: str | None = None,
        layout: str = "THWC",
    ) -> Iterator[npt.NDArray[Any]]:
        """As ``decode_tokens``, one frame at a time, each as soon as its chunk of tokens is there."""
        output = Output.of(layout, value_range, floats)
        pairs, count = _pairs(tokens, depths), self._frame_count(tokens)
        for frame in self._of_tokens(pairs, width, height, output, self._options, count):
            yield output.one(frame)

    def _frame_count(self, tokens: Any) -> int | None:
        """How many frames an array of tokens stands for, which short videos take less memory for; else none."""
        if not is_array(tokens) or not getattr(tokens, "shape", ()):
            return None
        latent = max(1, int(tokens.shape[0])) * self.bundle.patch[0]
        return 1 + (latent - 1) * self.bundle.strides[0]

    def _decode_batch(
        self, tokens: Any, depths: Any, width: int | None, height: int | None, output: Output, progress: Progress
    ) -> npt.NDArray[Any]:
        videos = as_array(tokens, "tokens")
        if not len(videos):
            raise ValueError("tokens: there is no video to decode")
        all_depths = [None] * len(videos) if depths is None else list(as_array(depths, "depths"))
        if len(all_depths) != len(videos):
            raise ValueError(f"depths: expected those of {len(videos)} videos, found {len(all_depths)}")
        crew = Crew(self.bundle, self._options["threads"], len(videos))
        options = {**self._options, "threads": crew.threads}
        count = self._frame_count(videos[0])
        counted = Counter(progress, count and len(videos) * count)

        def decode(video: tuple[Any, Any]) -> npt.NDArray[Any]:
            stream = self._of_tokens(iter([video]), width, height, output, options)
            return output.stacked(counted(crew.until_stopped(stream)), "tokens", count)

        return np.stack(crew.map(decode, list(zip(videos, all_depths, strict=True))))

    def _of_tokens(
        self,
        pairs: Iterator[tuple[Any, Any]],
        width: int | None,
        height: int | None,
        output: Output,
        options: Mapping[str, Any],
        count: int | None = None,
    ) -> Iterator[npt.NDArray[Any]]:
        stream: FrameStream | None = None
        for tokens, depths in _chunks(pairs, self.bundle):
            if stream is None:
                sides = [side * k * s for side, k, s in zip(
                    tokens.shape, self.bundle.patch, self.bundle.strides, strict=True
                )]
                stream = FrameStream.of_tokens(
                    self.bundle, width or sides[2], height or sides[1], frames=count, floats=output.floats, **options
                )
            for _ in range(stream.push_tokens(tokens, depths)):
                frame = next(stream, None)
                if frame is not None:
                    yield frame[0]
        if stream is not None:
            stream.finish()
            for frame in stream:
                yield frame[0]

    def _of_file(
        self,
        file: File,
        first: int,
        end: int,
        output: Output,
        filters: Filters,
        concealing: _Concealing,
    ) -> FrameStream | FilteredStream:
        decoded = FrameStream.of_file(
            # Rounded once, at the end.
            self.bundle, file._reader, first=first, end=end, floats=output.floats or filters.are_given,
            **concealing._asdict(), **self._options,
        )
        return filters.apply_to_file(decoded, file, first, output.floats)

    def _range(self, source: File | Source, first: int, end: int | None, conceal: str | None) -> tuple[File, int, int]:
        file = source if isinstance(source, File) else File(source)
        count = file.frame_count
        if file.truncated and (end is None or end > count):
            what = f"{file.name}: the file stops before its end, after {count} frames"
            if conceal is None:
                raise TruncatedError(f"{what}; decode(..., end={count}) decodes these, and so does conceal=")
            warn(f"{what}; what should come after them is unknown")
        first, stop, _ = slice(first, end).indices(count)
        return file, first, max(first, stop)


def _pairs(tokens: Any, depths: Any) -> Iterator[tuple[Any, Any]]:
    """Arrays of tokens and of their depths, of one array or of what gives arrays."""
    if is_array(tokens):
        return iter([(tokens, depths)])
    if isinstance(tokens, str | bytes | os.PathLike | File):
        raise TypeError(f"tokens: expected arrays, found {type(tokens).__name__}; decode() takes files")
    if depths is None:
        return ((part, None) for part in tokens)
    return zip(tokens, depths, strict=True)


def _chunks(
    pairs: Iterator[tuple[Any, Any]], bundle: Bundle
) -> Iterator[tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8] | None]]:
    """The same tokens, as many at a time as make a full chunk: the network sees one chunk at a time."""
    full = -(-bundle.chunk_latent_frames // bundle.patch[0])
    held: list[tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8] | None]] = []
    count = 0
    for given_tokens, given_depths in pairs:
        tokens, depths = as_tokens(given_tokens), as_depths(given_depths)
        if depths is not None and depths.shape != tokens.shape:
            raise ValueError(f"depths: expected the shape of the tokens, {tokens.shape}, found {depths.shape}")
        if held and (held[0][0].shape[1:] != tokens.shape[1:]):
            raise ValueError(f"tokens: expected (steps, {held[0][0].shape[1:]}) as before, found {tokens.shape}")
        held.append((tokens, depths))
        count += len(tokens)
        while count >= full:
            tokens, depths = _together(held)
            yield tokens[:full], None if depths is None else depths[:full]
            count -= full
            held = [(tokens[full:], None if depths is None else depths[full:])] if count else []
    if count:
        yield _together(held)


def _together(
    held: list[tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8] | None]],
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8] | None]:
    tokens = np.concatenate([tokens for tokens, _ in held])
    depths = [depths for _, depths in held if depths is not None]
    return tokens, np.concatenate(depths) if depths else None
