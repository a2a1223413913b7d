"""Encodes and decodes with networks that were exported as ONNX (``latentbit-train export-onnx``).

    python -m latentbit.onnx decode onnx/ clip.lbit clip.npy
    python -m latentbit.onnx encode onnx/ clip.npy clip.lbit --rate 25
    python -m latentbit.onnx decode onnx/ clip.lbit - | ffplay -f rawvideo -pixel_format rgb24 -video_size 256x256 -

It needs ``onnxruntime`` or one of its builds for other devices. ``latentbit.Decoder`` is faster on a CPU; this is for
the devices that ONNX Runtime knows, and to show other programs how the networks are run: see docs/onnx.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ._arrays import FrameFormat
from ._codec import Rate
from ._file import File, Source
from ._latentbit import BundleError, Chunk, FormatError, LatentBitError, LostChunkError, TruncatedError
from ._loss import warn
from ._video import Video, rate
from ._writer import Summary, WritableFile, Writer

FORMAT = "latentbit.onnx/1"
MANIFEST = "networks.json"
NUMBERS: dict[str, type[np.generic]] = {
    "f32": np.float32, "f16": np.float16, "bool": np.bool_, "i32": np.int32, "i64": np.int64,
}
Array = npt.NDArray[Any]


class Networks:
    """The networks of one bundle, loaded when they are first run."""

    def __init__(
        self, folder: str | os.PathLike[str], *, providers: Sequence[Any] | None = None, threads: int = 0
    ):
        """``folder`` is what ``latentbit-train export-onnx`` wrote.

        ``providers`` are those of ONNX Runtime, all that it has by default; ``threads`` compute on a CPU, 0 for one per
        core.
        """
        self.folder = Path(folder)
        """Where they are."""
        path = self.folder / MANIFEST
        self.about: dict[str, Any] = json.loads(path.read_text())
        """What ``networks.json`` says."""
        if self.about.get("format") != FORMAT:
            raise BundleError(f"{path}: expected the format {FORMAT}, found {self.about.get('format')!r}")
        self._providers, self._threads = providers, threads
        self._sessions: dict[str, Any] = {}

    @property
    def sha256(self) -> str:
        """Hash of the bundle that they are of."""
        return str(self.about["bundle"]["sha256"])

    @property
    def strides(self) -> tuple[int, int, int]:
        """Frames and pixels per latent position: time, height, width."""
        time, height, width = self.about["strides"]
        return time, height, width

    @property
    def tokenizer(self) -> dict[str, Any]:
        """Config of the tokenizer."""
        config: dict[str, Any] | None = self.about["config"]["tokenizer"]
        if config is None:
            raise BundleError(f"{self.folder / MANIFEST}: the bundle has no tokenizer")
        return config

    def sides(self, network: str) -> dict[str, Any]:
        """Inputs, outputs and states of a network."""
        found: dict[str, Any] = self.about["networks"][network]
        return found

    def run(self, network: str, inputs: dict[str, Array]) -> dict[str, Array]:
        """The outputs of a network by name."""
        names = [side["name"] for side in self.sides(network)["outputs"]]
        return dict(zip(names, self._session(network).run(names, inputs), strict=True))

    def _session(self, network: str) -> Any:
        if network not in self._sessions:
            try:
                import onnxruntime
            except ImportError as error:
                raise ImportError("latentbit.onnx needs ONNX Runtime: pip install onnxruntime") from error
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._threads
            path = self.folder / self.sides(network)["files"][0]["name"]
            self._sessions[network] = onnxruntime.InferenceSession(
                str(path), options, providers=self._providers or onnxruntime.get_available_providers()
            )
        return self._sessions[network]


class Group:
    """A network of the VAE and what it remembers of a group."""

    def __init__(self, networks: Networks, network: str):
        self._networks, self._network = networks, network
        self._states: dict[str, Array] | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether the next step is the first one of a group."""
        return self._states is None

    def reset(self) -> None:
        """Begins a group."""
        self._states = None

    def step(self, values: Array, height: int, width: int) -> Array:
        """Runs it; ``height`` and ``width`` are those of whole latent positions, in pixels.

        An encoder takes one frame where a group begins and whole strides in time after that, a decoder one latent frame
        and then any number of them.
        """
        sides = self._networks.sides(self._network)
        first = self._states is None
        if self._states is None:
            dtype = NUMBERS[self._networks.about["dtype"]]
            self._states = {
                state["input"]: np.zeros(
                    (state["frames"], state["channels"], height // state["divide"][0], width // state["divide"][1]),
                    dtype,
                )
                for state in sides["states"]
            }
        given = "frames" if self._network == "vae-encoder" else "latent"
        inputs = {given: values, "first": np.array([first], np.int64), **self._states}
        outputs = self._networks.run(self._network, inputs)
        self._states = {state["input"]: outputs[state["output"]] for state in sides["states"]}
        return outputs["latent" if given == "frames" else "frames"]


class Decoder:
    """Tokens to frames: (height, width, 3) of uint8, or of float32 from 0 to 1 with ``floats``."""

    def __init__(self, networks: Networks, *, bits: int | None = None):
        """``bits`` are looked at of each token, all by default."""
        self.networks, self._bits = networks, bits

    def latent(self, chunk: Chunk, video: Video) -> Array:
        """The normalised latent of a chunk: steps, rows, columns, channels."""
        bits, depths = chunk.bits, chunk.depths.astype(np.int32)
        most = self.networks.tokenizer["bits"]
        if self._bits is not None:
            depths = np.minimum(depths, self._bits)
        # What a file or a chunk has less than the model does not count, whatever is there.
        whole = np.zeros((*bits.shape[:3], most), np.bool_)
        whole[..., : bits.shape[3]] = bits
        latent = self.networks.run("tokenizer-decoder", {"bits": whole, "depths": depths})["latent"]
        _, rows, columns = self.networks.strides
        return latent[: chunk.latent_frames, : -(-video.height // rows), : -(-video.width // columns)]

    def frames(
        self,
        source: File | Source,
        first: int = 0,
        end: int | None = None,
        *,
        floats: bool = False,
        conceal: str | None = None,
    ) -> Iterator[Array]:
        """Frames ``first`` up to but without ``end`` of a file, one at a time.

        Where tokens are lost or damaged this raises an error, unless ``conceal`` is ``freeze``: then the last good
        frame is repeated, and a ``LossWarning`` says how much was lost.
        """
        if conceal not in (None, "freeze"):
            raise ValueError(f"conceal: expected freeze, found {conceal!r}; latentbit.Decoder knows other ways")
        file = source if isinstance(source, File) else File(source)
        video = file.video
        if video.bundle_sha256 != self.networks.sha256:
            raise BundleError(
                f"{file.name}: its tokens are of the bundle {video.bundle} ({video.bundle_sha256[:12]}), these "
                f"networks of {self.networks.about['bundle']['name']} ({self.networks.sha256[:12]}); export that one"
            )
        count = file.frame_count
        if file.truncated and (end is None or end > count) and conceal is None:
            raise TruncatedError(f"{file.name}: the file stops before its end, after {count} frames")
        first, end, _ = slice(first, end).indices(count)
        return self._range(file, first, end, floats, conceal)

    def _range(self, file: File, first: int, end: int, floats: bool, conceal: str | None) -> Iterator[Array]:
        table = file.table
        starts, ends = table["first_frame"], table["first_frame"] + table["frames"]
        wanted = np.flatnonzero((ends > first) & (starts < end))
        if not len(wanted):
            return
        begin = int(wanted[0])
        while begin and not table["key"][begin]:
            begin -= 1
        group = Group(self.networks, "vae-decoder")
        last = np.zeros((file.video.height, file.video.width, 3), np.float32)
        lost = 0
        for number in range(begin, int(wanted[-1]) + 1):
            chunk = file[number]
            index = int(starts[number])
            latent = self._intact(file, chunk, conceal)
            lost += latent is None
            for frame in self._frames(group, chunk, latent, file.video, last):
                last = frame
                if first <= index < end:
                    yield np.clip(frame / 2 + np.float32(0.5), 0, 1) if floats else as_bytes(frame)
                index += 1
        if lost:
            warn(f"{file.name}: {lost} lost chunks, whose frames repeat the one before them")

    def _intact(self, file: File, chunk: Chunk, conceal: str | None) -> Array | None:
        """The latent of a chunk, or none if it is to be concealed."""
        try:
            if not chunk.lost:
                return self.latent(chunk, file.video)
            if conceal is None:
                raise LostChunkError(f'{file.name}: chunk {chunk.number} is lost; conceal="freeze" repeats a frame')
        except FormatError:
            if conceal is None:
                raise
        return None

    def _frames(
        self, group: Group, chunk: Chunk, latent: Array | None, video: Video, last: Array
    ) -> Iterator[Array]:
        if latent is None:
            for _ in range(chunk.frames):
                yield last
            return
        _, rows, columns = self.networks.strides
        size = (latent.shape[1] * rows, latent.shape[2] * columns)
        if chunk.key:
            group.reset()
        elif group.is_fresh:
            # The start of this group is lost: the mean latent stands for its first frame.
            group.step(np.zeros_like(latent[:1]), *size)
        left = chunk.frames
        for step in range(len(latent)):
            frames = group.step(latent[step : step + 1], *size)[:left]
            left -= len(frames)
            yield from frames[:, : video.height, : video.width]
        if left:
            raise LatentBitError(
                f"chunk {chunk.number}: its tokens give {left} frames less than the {chunk.frames} that it counts"
            )


class EncodedChunk(NamedTuple):
    """The tokens of a few latent frames."""

    bits: npt.NDArray[np.bool_]
    """Steps, height, width, bits; the most important one first."""
    estimates: Array | None
    """What the depth head says, if the bundle has one: steps, height, width, depths."""
    key: bool
    frames: int
    """Frames of the video in it; the last one may be repeated beyond them."""
    latent_frames: int

    @property
    def tokens(self) -> npt.NDArray[np.uint64]:
        """Steps, height, width."""
        weights = np.uint64(1) << np.arange(self.bits.shape[-1], dtype=np.uint64)
        return (self.bits * weights).sum(-1, dtype=np.uint64)


class Encoder:
    """Frames to tokens, all bits of each."""

    def __init__(
        self, networks: Networks, *, group: int = 8, layout: str = "THWC", value_range: str = "auto"
    ):
        """``group`` is the number of chunks from one random access point to the next, 0 for none.

        ``layout`` and ``value_range`` are those of the frames, as for ``latentbit.Encoder``.
        """
        self.networks, self._group = networks, group
        self._format = FrameFormat(layout, value_range).check()

    def chunks(self, frames: Any) -> Iterator[EncodedChunk]:
        """The chunks of a video, each as soon as its frames are there; ``frames`` as for ``latentbit.Encoder``."""
        parts, _ = self._format.parts(frames)
        return self._chunks(parts)

    def _chunks(self, parts: Iterator[Array]) -> Iterator[EncodedChunk]:
        steps = self.networks.tokenizer["chunk_latent_frames"]
        stride = self.networks.strides[0]
        single = (frame for part in parts for frame in part)
        group = Group(self.networks, "vae-encoder")
        number = 0
        while True:
            key = number % self._group == 0 if self._group else number == 0
            if key:
                group.reset()
            latents: list[Array] = []
            held = 0
            while len(latents) < steps:
                wanted = 1 if group.is_fresh else stride
                taken = list(islice(single, wanted))
                if not taken:
                    break
                held += len(taken)
                latents.append(self._step(group, taken, wanted))
            if not latents:
                return
            latent = np.concatenate(latents)
            found = self.networks.run("tokenizer-encoder", {"latent": latent})
            yield EncodedChunk(found["bits"], found.get("estimates"), key, held, len(latent))
            number += 1

    def write(
        self, frames: Any, output: str | os.PathLike[str] | WritableFile, *, frame_rate: Rate = None
    ) -> Summary:
        """Encodes a video into a file. Without a ``frame_rate`` a frame lasts a second."""
        parts, _ = self._format.parts(frames)
        first = next((part for part in parts if len(part)), None)
        if first is None:
            raise ValueError("frames: there is no frame to encode")
        pair = rate(frame_rate)
        writer = Writer(output, self.video(first.shape[2], first.shape[1], pair))
        try:
            for chunk in self._chunks(chain([first], parts)):
                writer.write(chunk.tokens, key=chunk.key, frames=chunk.frames, latent_frames=chunk.latent_frames)
        except BaseException:
            writer.discard()
            raise
        return writer.close()

    def video(self, width: int, height: int, frame_rate: tuple[int, int] = (0, 1)) -> Video:
        """The description of a file of frames of this size in pixels."""
        tokenizer = self.networks.tokenizer
        tick = Fraction(frame_rate[1], frame_rate[0]) if frame_rate[0] else Fraction(1)
        return Video(
            width=width, height=height, bundle=self.networks.about["bundle"]["name"],
            bundle_sha256=self.networks.sha256, bits=tokenizer["bits"], bundle_bits=tokenizer["bits"],
            patch=tuple(tokenizer["patch"]), strides=self.networks.strides,
            chunk_latent_frames=tokenizer["chunk_latent_frames"], frame_rate=frame_rate,
            time_base=(tick.numerator, tick.denominator),
        )

    def _step(self, group: Group, frames: list[Array], count: int) -> Array:
        """The latent of the frames of a step; past the picture and past the last frame they repeat its edge."""
        _, rows, columns = self.networks.strides
        values = np.stack(frames + [frames[-1]] * (count - len(frames)))
        values = values / np.float32(127.5) - 1 if values.dtype == np.uint8 else values * 2 - 1
        edges = [(0, 0), (0, -values.shape[1] % rows), (0, -values.shape[2] % columns), (0, 0)]
        values = np.pad(values.astype(np.float32, copy=False), edges, mode="edge")
        return group.step(values, values.shape[1], values.shape[2])


def as_bytes(frame: Array) -> npt.NDArray[np.uint8]:
    """Values from -1 to 1 as bytes."""
    return np.clip(np.round((frame + 1) * 127.5), 0, 255).astype(np.uint8)


def _save(path: Path, frames: Iterator[Array], shape: tuple[int, ...]) -> None:
    """Writes frames as they come, under the file's name only when all are there."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        out = np.lib.format.open_memmap(partial, "w+", np.uint8, shape)
        for index, frame in enumerate(frames):
            out[index] = frame
        out.flush()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m latentbit.onnx", description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    decode = commands.add_parser("decode", help="tokens to frames")
    decode.add_argument("networks", help="folder of latentbit-train export-onnx")
    decode.add_argument("input", help="a .lbit file")
    decode.add_argument("output", help=".npy file (frames, height, width, 3) of bytes, or - for rgb24 on stdout")
    decode.add_argument("--bits", type=int, help="bits to look at of each token")
    encode = commands.add_parser("encode", help="frames to tokens")
    encode.add_argument("networks", help="folder of latentbit-train export-onnx")
    encode.add_argument("input", help=".npy file (frames, height, width, 3) of bytes or of floats from 0 to 1")
    encode.add_argument("output", help="a .lbit file")
    encode.add_argument("--rate", type=float, help="frames per second")
    encode.add_argument("--group", type=int, default=8, help="chunks from one random access point to the next")
    for command in (decode, encode):
        command.add_argument("--provider", action="append", help="of ONNX Runtime, the first choice first")
        command.add_argument("--threads", type=int, default=0, help="threads on a CPU, 0 for one per core")
    args = parser.parse_args(argv)
    try:
        networks = Networks(args.networks, providers=args.provider, threads=args.threads)
        if args.command == "encode":
            frames = np.load(args.input, mmap_mode="r")
            summary = Encoder(networks, group=args.group).write(frames, args.output, frame_rate=args.rate)
            print(f"{args.output}: {summary.frames} frames in {summary.chunks} chunks, {summary.bytes} bytes")
            return 0
        file = File(args.input)
        found = Decoder(networks, bits=args.bits).frames(file)
        if args.output == "-":
            for frame in found:
                sys.stdout.buffer.write(frame.tobytes())
            return 0
        _save(Path(args.output), found, (file.frame_count, file.video.height, file.video.width, 3))
        print(f"{args.output}: {file.frame_count} frames")
    except (OSError, ValueError, LatentBitError, ImportError) as error:
        print(f"latentbit.onnx: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
