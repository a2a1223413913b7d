"""How fast tokens are read for training: `.lbit` and shards of them beside npz, npy, Parquet and WebDataset of npy.

A sample is a window of latent frames as a tensor of int64; workers make batches of them, as for training. Reading at
random opens what it needs each time, as a data set does that is larger than memory; files are in the system's cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset as wds
from forms import READERS, WEBDATASET, Tokens, size_of
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler

from latentbit.torch import TokenDataset

BATCH = 16
ORDERS = ("in order", "at random")
WORKERS = (1, 2)
MANY = 1 << 30
"""Samples of a pass at random: more than are read."""


class Clips(Dataset[torch.Tensor]):
    """Windows of clips that a function reads; what a data set without an index of its own looks like."""

    def __init__(self, paths: list[Path], steps: list[int], window: int, read: Callable[[Path, int, int], Tokens]):
        counts = [count // window for count in steps]
        self.places = [(path, at * window) for path, count in zip(paths, counts, strict=True) for at in range(count)]
        self.window = window
        self.read = read

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> torch.Tensor:
        path, first = self.places[index]
        # A copy, as what is mapped is not to be written to.
        return torch.from_numpy(np.array(self.read(path, first, first + self.window)).view(np.int64))


class InOrder(IterableDataset[Any]):
    """A part of a data set for each worker, in order."""

    def __init__(self, dataset: Dataset[Any]):
        self.dataset = dataset

    def __iter__(self) -> Iterator[Any]:
        worker = torch.utils.data.get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        for index in np.array_split(np.arange(len(self.dataset)), workers)[number]:  # type: ignore[arg-type]
            yield self.dataset[int(index)]


class Shard(IterableDataset[Any]):
    """Windows of the arrays in a shard; each worker reads all of it, as if it were one of its own."""

    def __init__(self, place: Path, window: int):
        self.place, self.window = str(place), window

    def __iter__(self) -> Iterator[Any]:
        pipeline = wds.WebDataset(self.place, shardshuffle=False, workersplitter=None, empty_check=False)
        for sample in pipeline.decode():
            values = sample["npy"]
            for at in range(0, len(values) - self.window + 1, self.window):
                yield torch.from_numpy(values[at : at + self.window].view(np.int64))


class Forever(IterableDataset[Any]):
    """Pass after pass: what a pass costs at its ends is no part of the comparison."""

    def __init__(self, passes: IterableDataset[Any]):
        self.passes = passes

    def __iter__(self) -> Iterator[Any]:
        while True:
            yield from self.passes


def streams(name: str, place: Path, steps: list[int], window: int) -> tuple[IterableDataset[Any], Dataset[Any] | None]:
    """What reads a form in order and, if it can, at random."""
    if name == WEBDATASET:
        return Shard(place, window), None
    read = READERS.get(name)
    dataset: Dataset[Any]
    if read is None:
        dataset = TokenDataset(place, window=window, transform=lambda sample: sample["tokens"])
    else:
        dataset = Clips(sorted(place.iterdir()), steps, window, read)
    return InOrder(dataset), dataset


def rate(loader: DataLoader[Any], seconds: float) -> float:
    """Samples per second; what it takes to start workers is not counted."""
    batches = iter(loader)
    # What was read ahead before the clock began is used up first.
    for _ in islice(batches, 4 * max(1, loader.num_workers)):
        pass
    count, started = 0, time.perf_counter()
    while time.perf_counter() < started + seconds:
        count += len(next(batches))
    return count / (time.perf_counter() - started)


def check(places: dict[str, Path], steps: list[int], window: int) -> None:
    """Ends the program unless all forms hold the same samples."""
    expected = None
    for name, place in places.items():
        found = torch.stack(list(streams(name, place, steps, window)[0]))
        if expected is not None and not torch.equal(found, expected):
            raise SystemExit(f"reading: {name} does not hold the same samples")
        expected = found


def measure(places: dict[str, Path], steps: list[int], window: int, seconds: float) -> list[dict[str, Any]]:
    """Bytes of each form, and samples per second by order and number of workers."""
    figures = []
    for name, place in places.items():
        figure: dict[str, Any] = {"form": name, "bytes": size_of(place)}
        in_order, dataset = streams(name, place, steps, window)
        for workers in WORKERS:
            loader = DataLoader(Forever(in_order), batch_size=BATCH, num_workers=workers)
            figure[f"in order, {workers}"] = rate(loader, seconds)
        for workers in WORKERS:
            found = None
            if dataset is not None:
                sampler = RandomSampler(dataset, replacement=True, num_samples=MANY)  # type: ignore[arg-type]
                found = rate(DataLoader(dataset, batch_size=BATCH, sampler=sampler, num_workers=workers), seconds)
            figure[f"at random, {workers}"] = found
        figures.append(figure)
    return figures
