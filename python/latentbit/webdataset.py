"""Tokens for WebDataset pipelines: a decoder of ``.lbit`` members, and a stage that cuts samples into windows.

Neither imports ``webdataset``: a decoder is a function, and so is a stage.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._file import File
from ._latentbit import UnsupportedError
from ._target import Target
from ._windows import Windows

Sample = dict[str, Any]


def decoder(
    what: str = "file", *, bits: int | None = None, factors: Sequence[int] | None = None
) -> Callable[[str, Any], Any]:
    """A handler for ``WebDataset.decode``: makes a ``File`` of each ``.lbit`` member, or an array of all its tokens.

    ``what`` is ``file``, or one of the targets ``tokens``, ``bits`` and ``factors``; with these a file that lost a
    chunk raises ``LostChunkError``, which the handler of the pipeline may pass over, and so does an elastic file
    (``UnsupportedError``), whose depths have no place there: take its ``File``, or ``windows``. Other members are left
    to others.
    """
    if what == "file" and (bits is not None or factors is not None):
        raise ValueError('bits and factors: give them with the target "tokens", "bits" or "factors"')
    if what != "file":
        # Checked now and not at the first sample, as far as it can be.
        Target(what, bits=bits or (sum(factors) if factors else 1), factors=factors)

    def handle(key: str, data: Any) -> Any:
        if key.rsplit(".", 1)[-1] != "lbit":
            return None
        file = File(data)
        if what == "file":
            return file
        if file.video.depth_step is not None:
            raise UnsupportedError(
                f"{key}: its tokens have depths, and one array has no place for them; take the file and read both"
            )
        count = bits or file.video.bits
        return Target(what, bits=count, factors=factors)(_wide(file, 0, len(file), count))

    return handle


def windows(
    window: int | None = None,
    *,
    stride: int | None = None,
    target: str = "tokens",
    bits: int | None = None,
    factors: Sequence[int] | None = None,
    groups: bool = False,
    key: str = "lbit",
) -> Callable[[Iterable[Sample]], Iterator[Sample]]:
    """A stage for ``WebDataset.compose``: cuts the ``.lbit`` member of each sample into windows, each a sample.

    The member may be bytes or a ``File``; the other members go along. See ``latentbit.torch.TokenDataset`` for the
    arguments; the arrays are numpy's, and ``segment`` is the number in the file.
    """

    def stage(samples: Iterable[Sample]) -> Iterator[Sample]:
        for sample in samples:
            if key in sample:
                yield from _cut(sample, sample[key])

    def _cut(sample: Sample, given: Any) -> Iterator[Sample]:
        file = given if isinstance(given, File) else File(given)
        rest = {name: value for name, value in sample.items() if name != key}
        video, table = file.video, file.table
        count = bits or int(table["bits"][table["bits"] > 0].min(initial=video.bits))
        make = Target(target, bits=count, factors=factors)
        length, step_stride = (_steps(video.patch[0], given) for given in (window, stride))
        file_of = np.zeros(len(file), np.int64)
        places = Windows(file_of, table, length=length, stride=step_stride, groups=groups)

        # Neighbouring windows share chunks.
        @functools.lru_cache(maxsize=8)
        def chunk(number: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
            return file[number].read(count)

        for number in range(len(places)):
            place = places[number]
            parts = [chunk(number) for number in range(place.first_chunk, place.end_chunk)]
            steps = slice(place.first_step, place.end_step)
            tokens = np.concatenate([tokens for tokens, _ in parts])[steps]
            depths = np.concatenate([depths for _, depths in parts])[steps]
            chunk_key = bool(table["key"][place.first_chunk])
            frame = int(table["first_frame"][place.first_chunk]) + video.frame_of(place.first_step, key=chunk_key)
            yield {
                **rest,
                "__key__": f"{sample.get('__key__', '')}/{frame:08}",
                target: make(tokens),
                "depths": depths,
                "segment": int(table["segment"][place.first_chunk]),
                "first_frame": frame,
            }

    return stage


def _steps(patch: int, latent_frames: int | None) -> int | None:
    if latent_frames is None:
        return None
    if latent_frames % patch:
        raise ValueError(
            f"windows: expected a multiple of the {patch} latent frames that a step holds, found {latent_frames}"
        )
    return latent_frames // patch


def _wide(file: File, first: int, end: int, bits: int) -> npt.NDArray[np.uint64]:
    return file.read_tokens(first, end, bits, wide=True).view(np.uint64)
