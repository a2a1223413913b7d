"""Batches for training from shards, decoded ahead by worker processes.

The order of the files follows from the seed, and everything random about a sample from a number drawn for it. So what a
run sees does not depend on the number of ranks and workers, and it goes on in the middle of an epoch by a few numbers.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from .data import crop_of, moving
from .feed import Steps, Turn, draw_turn
from .media import BAD, image, span
from .ranks import Ranks
from .shards import Entry, Index

TRIES = 20
"""Samples tried in place of bad ones."""


class Wanted(NamedTuple):
    """A sample to be decoded; everything random about it follows from its seed."""

    entry: int
    seed: int
    frames: int
    size: int


class Order:
    """The order of the files of one kind: epoch by epoch, shards shuffled, and the files of some shards in a row.

    A file comes as often in an epoch as its weight says: those of a collection of n files weigh 1/sqrt(n), times the
    weight given for the collection, and 1 on average. Parts of a time are drawn by lot.
    """

    def __init__(self, entries: list[Entry], kind: str, seed: int, weights: dict[str, float], together: int) -> None:
        self.places = np.array([i for i, e in enumerate(entries) if e.kind == kind])
        self.kind, self.seed, self.together = kind, seed, together
        self.shards = np.array([entries[i].shard for i in self.places])
        sizes = Counter(entries[i].source for i in self.places)
        each = np.array([sizes[entries[i].source] ** -0.5 * weights.get(entries[i].source, 1.0) for i in self.places])
        self.times = each / each.mean() if len(each) and each.sum() else each
        self.epoch, self.at = 0, 0
        self._now: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return int((self.times > 0).sum())

    def _of(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng((self.seed, len(self.kind), epoch))
        whole = np.floor(self.times)
        copies = (whole + (rng.random(len(whole)) < self.times - whole)).astype(np.int64)
        numbers = rng.permutation(int(self.shards.max()) + 1)
        window = numbers[self.shards] // self.together
        drawn = np.repeat(np.arange(len(copies)), copies)
        # By window, and at random within it.
        order = drawn[np.lexsort((rng.random(len(drawn)), window[drawn]))]
        return self.places[order]

    def go_to(self, seed: int, epoch: int, at: int) -> None:
        """Goes on at a place of an epoch of an order."""
        self.seed, self.epoch, self.at, self._now = seed, epoch, at, None

    def next(self) -> int:
        """The place of the next file among all entries."""
        while True:
            if self._now is None or self._now[0] != self.epoch:
                self._now = (self.epoch, self._of(self.epoch))
            if self.at < len(self._now[1]):
                self.at += 1
                return int(self._now[1][self.at - 1])
            self.epoch, self.at = self.epoch + 1, 0


class ShardSampler:
    """Draws samples of shards, and decodes them here; `ShardFeed` has them decoded elsewhere."""

    def __init__(self, path: str, seed: int, weights: dict[str, float] | None = None, together: int = 8,
                 image_side: int = 288, video_side: int = 192) -> None:
        self.decoder = Decoder(path, image_side, video_side)
        entries = self.decoder.index.entries
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.orders = {kind: Order(entries, kind, seed, weights or {}, together) for kind in ("images", "videos")}
        if not any(len(order) for order in self.orders.values()):
            raise ValueError(f"{path}: the weights of sources leave nothing")

    @property
    def pictures(self) -> bool:
        """Whether there are images."""
        return len(self.orders["images"]) > 0

    @property
    def videos(self) -> bool:
        """Whether there are videos."""
        return len(self.orders["videos"]) > 0

    @property
    def state(self) -> dict[str, Any]:
        """Generator and places in the epochs."""
        places = {kind: (order.epoch, order.at) for kind, order in self.orders.items()}
        return {"rng": self.rng.bit_generator.state, "places": places, "seed": self.seed}

    @state.setter
    def state(self, value: dict[str, Any]) -> None:
        self.rng.bit_generator.state, self.seed = value["rng"], value["seed"]
        for kind, (epoch, at) in value["places"].items():
            self.orders[kind].go_to(self.seed, epoch, at)

    def _wanted(self, kind: str, frames: int, size: int) -> Wanted:
        return Wanted(self.orders[kind].next(), int(self.rng.integers(1 << 62)), frames, size)

    def images(self, count: int, size: int) -> list[Wanted]:
        """Pictures; frames of videos serve too, one time in five."""
        return [self._wanted("videos" if self.videos and (not self.pictures or self.rng.random() < 0.2) else "images",
                             1, size) for _ in range(count)]

    def clips(self, count: int, frames: int, size: int, synthetic: float = 0.25) -> list[Wanted]:
        """Clips; a part is synthetic motion over still images."""
        return [self._wanted("images" if self.pictures and (not self.videos or self.rng.random() < synthetic)
                             else "videos", frames, size) for _ in range(count)]

    def image_batch(self, count: int, size: int) -> Tensor:
        """(count, 3, 1, size, size)."""
        return self.decoder(self.images(count, size)).samples

    def clip_batch(self, count: int, frames: int, size: int) -> Tensor:
        """(count, 3, frames, size, size)."""
        return self.decoder(self.clips(count, frames, size)).samples


class Decoded(NamedTuple):
    """Samples, and the files that were bad and gave way to others."""

    samples: Tensor
    bad: list[str]


class Decoder:
    """Reads and decodes what was drawn; `image_side` and `video_side` are the largest short sides, in pixels."""

    def __init__(self, path: str, image_side: int, video_side: int) -> None:
        self.index = Index(path)
        self.sides = {"images": image_side, "videos": video_side}
        self.same = {kind: [i for i, e in enumerate(self.index.entries) if e.kind == kind] for kind in self.sides}

    def __call__(self, wanted: list[Wanted]) -> Decoded:
        bad: list[str] = []
        return Decoded(torch.stack([self._one(sample, bad) for sample in wanted]), bad)

    def _one(self, wanted: Wanted, bad: list[str]) -> Tensor:
        rng = np.random.default_rng(wanted.seed)
        place = wanted.entry
        for _ in range(TRIES):
            entry = self.index.entries[place]
            try:
                return self._decoded(entry, wanted, rng)
            except BAD as error:
                bad.append(f"{self.index.shards[entry.shard]} at {entry.offset}: {error}")
            same = self.same[entry.kind]
            place = same[int(rng.integers(len(same)))]
        raise RuntimeError(f"{TRIES} files in a row are bad; the last ones: {'; '.join(bad[-3:])}")

    def _decoded(self, entry: Entry, wanted: Wanted, rng: np.random.Generator) -> Tensor:
        data, side = self.index.read(entry), self.sides[entry.kind]
        if entry.kind == "images":
            still = image(data, side)
            if wanted.frames > 1:
                return moving(rng, wanted.frames, wanted.size, still)()
            return crop_of(rng, still.shape, wanted.size)(still)
        count, frames = entry.about.frames, wanted.frames
        step = 1 if count < 2 * frames or rng.random() < 0.8 else 2
        first = int(rng.integers(max(1, count - (frames - 1) * step)))
        pixels = span(data, first, frames, side, step)
        if frames > 1 and rng.random() < 0.3:
            pixels = pixels[::-1]
        return crop_of(rng, pixels.shape, wanted.size)(pixels)


class _Plans:
    """What the loader has workers decode: this rank's samples of one step after the other."""

    def __init__(self, sampler: ShardSampler, steps: Steps, ranks: Ranks) -> None:
        self.sampler, self.steps, self.ranks = sampler, steps, ranks
        self.clips = True
        self.turns: list[tuple[Turn, dict[str, Any]]] = []
        """Of the batches that are on their way, with the state after each."""

    def __iter__(self) -> Iterator[list[Wanted]]:
        while True:
            turn = draw_turn(self.steps, self.sampler.rng, self.clips)
            sampler = self.sampler
            if turn.clips:
                drawn = sampler.clips(turn.samples, self.steps.clip_frames, turn.size)
            else:
                drawn = sampler.images(turn.samples, turn.size)
            self.turns.append((turn, sampler.state))
            yield drawn[self.ranks.part(turn.samples)]


class _Batches(torch.utils.data.Dataset[Decoded]):
    """A decoder as the loader wants it."""

    def __init__(self, path: str, image_side: int, video_side: int) -> None:
        self.arguments = (path, image_side, video_side)
        self._decoder: Decoder | None = None

    def __getitems__(self, wanted: list[Wanted]) -> Decoded:
        if self._decoder is None:
            torch.set_num_threads(1)
            self._decoder = Decoder(*self.arguments)
        return self._decoder(wanted)


def _as_is(batch: Decoded) -> Decoded:
    return batch


class ShardFeed:
    """Batches of shards, decoded ahead by worker processes; without workers, when they are wanted."""

    def __init__(self, sampler: ShardSampler, steps: Steps, ranks: Ranks, workers: int, ahead: int = 2) -> None:
        self.sampler, self.ranks, self.workers, self.ahead = sampler, ranks, workers, ahead
        self.plans = _Plans(sampler, steps, ranks)
        self._state = sampler.state
        self._loader: Iterator[Decoded] | None = None
        self._batch: Decoded | None = None
        self._waited, self._since, self._bad = 0.0, time.monotonic(), 0

    @property
    def state(self) -> dict[str, Any]:
        """After the batch that was given last, whatever is on its way."""
        return self._state

    @state.setter
    def state(self, value: dict[str, Any]) -> None:
        self._state = self.sampler.state = value

    def _start(self) -> Iterator[Decoded]:
        decoder = self.sampler.decoder
        data = _Batches(decoder.index.path, decoder.sides["images"], decoder.sides["videos"])
        workers: dict[str, Any] = {}
        if self.workers:
            # A copy of this process would have its locks, but not the threads that hold them.
            workers = {"num_workers": self.workers, "prefetch_factor": self.ahead, "multiprocessing_context": "spawn"}
        # A generator of its own: the loader draws a seed, which must not come out of the model's noise.
        return iter(DataLoader(data, batch_sampler=self.plans, collate_fn=_as_is,  # type: ignore[arg-type]
                               generator=torch.Generator(),
                               pin_memory=self.ranks.device.type == "cuda", **workers))

    def turn(self, clips: bool = True) -> Turn:
        """The next step; a change of `clips` takes effect after the batches that are on their way."""
        self.plans.clips = clips
        if self._loader is None:
            self._loader = self._start()
        before = time.monotonic()
        self._batch = next(self._loader)
        self._waited += time.monotonic() - before
        turn, self._state = self.plans.turns.pop(0)
        for bad in self._batch.bad:
            print(f"skipped: {bad}", flush=True)
        self._bad += len(self._batch.bad)
        return turn

    def batch(self, parts: list[slice]) -> Iterator[Tensor]:
        """Its samples."""
        assert self._batch is not None
        first = parts[0].start
        for part in parts:
            yield self._batch.samples[part.start - first : part.stop - first]

    def told(self) -> dict[str, float]:
        """`waited`, the part of the time that went by waiting for data, and how many samples were bad so far."""
        now = time.monotonic()
        share = self._waited / max(now - self._since, 1e-9)
        self._waited, self._since = 0.0, now
        return {"waited": round(share, 3)} | ({"bad_samples": self._bad} if self._bad else {})
