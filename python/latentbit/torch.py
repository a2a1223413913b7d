"""Tokens for PyTorch: data sets that read ``.lbit`` files and shards in any order."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from ._catalog import Cache, Sources, catalog
from ._file import File
from ._loss import warn
from ._manifest import Columns, Manifest, Rows, rows_of
from ._quantity import Size, as_bytes
from ._remote import Store
from ._target import Target, join_bits, join_factors
from ._windows import Windows

__all__ = ["TokenDataset", "TokenIterable", "join_bits", "join_factors"]

Sample = dict[str, Any]

# Files that are open, and chunks that are unpacked, in each process.
MOST_FILES = 64


class TokenDataset(Dataset[Any]):
    """Windows of tokens, in any order, from folders of ``.lbit`` files and from shards.

    A sample is a dict: the target under its name (``tokens``, ``bits`` or ``factors``; steps, height, width, and a last
    axis of bits or factors), ``depths`` (how many of its bits each token has, uint8; those beyond are zeros, which only
    elastic files have), ``key`` (for each step whether the network's state was reset before it), ``segment``
    (a number that windows of one continuous video share, and no others), ``first_frame`` and ``name`` of the file.

    It can be pickled and forked: it holds arrays and paths, and files are opened where they are read.
    """

    def __init__(
        self,
        sources: Sources,
        *,
        window: int | None = None,
        stride: int | None = None,
        target: str = "tokens",
        bits: int | None = None,
        factors: Sequence[int] | None = None,
        groups: bool = False,
        cache: Cache = None,
        transform: Callable[[Sample], Any] | None = None,
        held_chunks: int = 8,
        columns: Columns = False,
        manifest: Manifest = None,
        copies: str | os.PathLike[str] | None = None,
        copies_size: Size = "50GiB",
    ):
        """Lists what there is; tokens are read later.

        ``sources``: files, folders, ``.tar`` shards, patterns, addresses that fsspec knows, or several of these.
        ``window``: latent frames of a window, and ``stride`` from one to the next, a window by default; without a
        ``window`` each chunk is a sample.
        Windows never cross the border of a segment or a lost chunk, nor with ``groups`` the beginning of a group.

        ``target``: ``tokens``, ``bits`` or ``factors``, as ``factors=(9, 9, 9, 9)`` splits them. ``bits``: the most
        important ones of each token, by default as many as all tokens have. ``cache``: keep the list of a shard's files
        and chunks beside the shard (``True``), or in a folder. ``held_chunks`` stay unpacked in each process, for
        windows that overlap or share a chunk.

        ``columns``: what else of the manifest goes into each sample, such as ``["caption", "label"]``, or all
        (``True``); an empty string stands for what is missing. ``manifest`` is a table with a column ``key``
        (``.parquet``, ``.csv``, ``.tsv``, ``.jsonl``) or a mapping from keys to rows, by default the
        ``manifest.parquet`` of the archives.

        Remote files are read in ranges, a chunk at a time; or whole, into the folder ``copies``, which keeps the last
        ones of ``copies_size`` in all.
        """
        self.catalog = catalog(sources, cache)
        self._store = None if copies is None else Store(copies, as_bytes(copies_size) or 0)
        files, chunks = self.catalog.files, self.catalog.chunks
        self._file_of = np.repeat(np.arange(len(self.catalog)), files["chunks"])
        length, step_stride = self._steps(window), self._steps(stride)
        self.windows = Windows(self._file_of, chunks, length=length, stride=step_stride, groups=groups)
        self.bits = self._bits(bits)
        """Bits of each token in samples."""
        self.target = Target(target, bits=self.bits, factors=factors)
        self.transform = transform
        self._held_chunks = held_chunks
        self._rows: Rows | None = None
        if columns or manifest is not None:
            taken = {self.target.kind, "depths", "key", "segment", "first_frame", "name"}
            self._rows = rows_of(manifest, self._folders(sources), columns or True, taken)
            self._rows.check(self.catalog.names)
        self._forget()
        self._tell_lost()

    def _folders(self, sources: Sources) -> list[str]:
        """Where manifests may be."""
        given = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
        named = [os.fspath(source).rstrip("/") for source in given]
        return [*named, *(path.rpartition("/")[0] or "." for path in self.catalog.paths)]

    def _tell_lost(self) -> None:
        lost = np.flatnonzero(self.catalog.chunks["steps"] == 0)
        if len(lost):
            files = np.unique(self._file_of[lost])
            warn(
                f"{len(lost)} chunks in {len(files)} files are lost, the first one in "
                f"{self.catalog.name(int(files[0]))}; samples leave them out"
            )

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> Any:
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"expected a sample from 0 to {count - 1}, found {index}")
        window = self.windows[index % count]
        first, end = window.first_chunk, window.end_chunk
        parts = [self._chunk(chunk) for chunk in range(first, end)]
        steps = slice(window.first_step, window.end_step)
        tokens, depths = (_joined([part[which] for part in parts])[steps] for which in range(2))
        number = int(self._file_of[first])
        sample: Sample = {
            self.target.kind: torch.from_numpy(np.ascontiguousarray(self.target(tokens))),
            "depths": torch.from_numpy(np.ascontiguousarray(depths)),
            "key": torch.from_numpy(self._keys(first, end)[window.first_step : window.end_step]),
            "segment": int(self.windows.piece[first]),
            "first_frame": self._first_frame(first, window.first_step),
            "name": str(self.catalog.names[number]),
        }
        if self._rows is not None:
            sample.update(self._rows(sample["name"]))
        return sample if self.transform is None else self.transform(sample)

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """Several samples; those of one chunk are read together, whatever their order."""
        samples: dict[int, Any] = {}
        for place in sorted(range(len(indices)), key=lambda place: indices[place]):
            samples[place] = self[indices[place]]
        return [samples[place] for place in range(len(indices))]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_files", "_chunks")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def iterable(
        self,
        *,
        shuffle: bool = True,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        even: bool = True,
    ) -> TokenIterable:
        """The same samples one after the other, split between ranks and workers; see ``TokenIterable``."""
        return TokenIterable(self, shuffle=shuffle, seed=seed, rank=rank, world_size=world_size, even=even)

    def _forget(self) -> None:
        self._files: OrderedDict[int, File] = OrderedDict()
        self._chunks: OrderedDict[int, tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]] = OrderedDict()

    def _steps(self, latent_frames: int | None) -> int | None:
        if latent_frames is None:
            return None
        patches = np.unique(self.catalog.files["patch_t"])
        if len(patches) != 1 or latent_frames % patches[0]:
            raise ValueError(
                f"windows: expected a multiple of the {', '.join(map(str, patches))} latent frames that a step holds, "
                f"found {latent_frames}"
            )
        return latent_frames // int(patches[0])

    def _bits(self, bits: int | None) -> int:
        there = self.catalog.chunks["bits"].astype(np.int64)
        held = np.flatnonzero(there > 0)
        if not len(held):
            raise ValueError("there is no chunk with tokens in these files")
        least = held[np.argmin(there[held])]
        if bits is None:
            return int(there[least])
        if not 1 <= bits <= there[least]:
            raise ValueError(
                f"bits: expected 1 to {there[least]}, which is all that tokens of "
                f"{self.catalog.name(int(self._file_of[least]))} have, found {bits}"
            )
        return bits

    def _file(self, number: int) -> File:
        file = self._files.get(number)
        if file is None:
            file = self._files[number] = self.catalog.member(number).open(self._store)
            while len(self._files) > MOST_FILES:
                self._files.popitem(last=False)
        self._files.move_to_end(number)
        return file

    def _chunk(self, number: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
        """The tokens of a chunk, and their depths."""
        held = self._chunks.get(number)
        if held is None:
            file = int(self._file_of[number])
            chunk = self._file(file)[number - int(self.catalog.first_chunk[file])]
            tokens, depths = chunk.read(self.bits)
            held = (tokens, depths)
            if self._held_chunks:
                self._chunks[number] = held
                while len(self._chunks) > self._held_chunks:
                    self._chunks.popitem(last=False)
        else:
            self._chunks.move_to_end(number)
        return held

    def _keys(self, first: int, end: int) -> npt.NDArray[np.bool_]:
        steps = self.catalog.chunks["steps"][first:end].astype(np.int64)
        keys = np.zeros(int(steps.sum()), np.bool_)
        keys[np.cumsum(steps) - steps] = self.catalog.chunks["key"][first:end]
        return keys

    def _first_frame(self, chunk: int, step: int) -> int:
        """The first frame that a step stands for; steps may go on after the chunk, windows begin in it."""
        file = int(self._file_of[chunk])
        patch, stride = (int(self.catalog.files[name][file]) for name in ("patch_t", "stride_t"))
        latent = step * patch
        key = bool(self.catalog.chunks["key"][chunk])
        within = max(0, 1 + (latent - 1) * stride) if key else latent * stride
        return int(self.catalog.chunks["first_frame"][chunk]) + within


class TokenIterable(IterableDataset[Any]):
    """The samples of a ``TokenDataset`` one after the other, each one on one rank and in one worker only.

    With ``shuffle`` their order is another one in each epoch (``set_epoch``), which all ranks agree on; without, each
    worker reads a stretch of neighbours. ``state_dict`` and ``load_state_dict`` resume a pass. With ``even`` all
    ranks have as many samples, and what is left over is left out.
    """

    def __init__(
        self,
        dataset: TokenDataset,
        *,
        shuffle: bool = True,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        even: bool = True,
    ):
        """``rank`` and ``world_size`` are those of ``torch.distributed`` by default, if it is in use."""
        if (rank is None) != (world_size is None):
            raise ValueError("give rank and world_size, or neither")
        if rank is not None and world_size is not None and not 0 <= rank < world_size:
            raise ValueError(f"rank: expected 0 to {world_size - 1}, found {rank}")
        self.dataset = dataset
        self._shuffle = shuffle
        self._seed = seed
        self._even = even
        # Asked for here and not in workers, where torch.distributed is not in use.
        self._rank, self._world_size = _distributed() if rank is None or world_size is None else (rank, world_size)
        # Shared, so that workers that live on see it change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        # Of this worker: samples that were given in this pass, and those that a state says were given before.
        self._given = 0
        self._resumed = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of the next pass."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """Samples of this rank."""
        return len(self._of_rank())

    def __iter__(self) -> Iterator[Any]:
        # A state is of one pass only.
        self._given, self._resumed = self._resumed, 0
        for index in self._mine()[self._given :]:
            sample = self.dataset[int(index)]
            self._given += 1
            yield sample

    def state_dict(self) -> dict[str, Any]:
        """Where this worker stands in its pass; ``StatefulDataLoader`` of torchdata calls it."""
        return {**self._order(), "epoch": int(self._epoch), "given": self._given}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Makes the next pass go on where ``state`` was taken, with the same samples in the same order."""
        for name, here in self._order().items():
            if state.get(name) != here:
                raise ValueError(
                    f"{name}: the state was taken with {state.get(name)}, and here it is {here}; the order of samples "
                    "depends on it, so make it the same, or begin the epoch anew"
                )
        self._epoch.fill_(int(state["epoch"]))
        self._resumed = self._given = int(state["given"])

    def _order(self) -> dict[str, Any]:
        """What the order of samples depends on."""
        worker = get_worker_info()
        return {
            "samples": len(self.dataset),
            "seed": self._seed,
            "shuffle": self._shuffle,
            "even": self._even,
            "rank": self._rank,
            "world_size": self._world_size,
            "worker": 0 if worker is None else worker.id,
            "workers": 0 if worker is None else worker.num_workers,
        }

    def _of_rank(self) -> range:
        """The places of this rank in the order of all samples."""
        count, world = len(self.dataset), self._world_size
        if self._even:
            count -= count % world
        return range(count * self._rank // world, count * (self._rank + 1) // world)

    def _mine(self) -> npt.NDArray[np.int64]:
        """The samples of this worker."""
        mine = self._of_rank()
        places = np.arange(mine.start, mine.stop)
        if self._shuffle:
            order = np.random.default_rng([self._seed, int(self._epoch)]).permutation(len(self.dataset))
            places = order[places]
        worker = get_worker_info()
        return places if worker is None else np.array_split(places, worker.num_workers)[worker.id]


def _joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _distributed() -> tuple[int, int]:
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
