"""Where the pixels of a training come from: a cache or shards, by its options."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .data import Sampler
from .feed import CacheFeed, Steps
from .ranks import Ranks

if TYPE_CHECKING:
    from .shard_feed import ShardFeed, ShardSampler

# What reads shards is imported where there are some: a machine that trains from a cache needs no PyAV.


def add_data(p: argparse.ArgumentParser) -> None:
    """The options of trainings on pixels."""
    p.add_argument("--cache", type=Path, help="folder made by latentbit-train cache")
    p.add_argument("--shards", metavar="PLACE", help="folder or URL of the index that latentbit-train shard made, "
                   "instead of --cache")
    p.add_argument("--workers", type=int, default=2, metavar="N",
                   help="processes of each rank that decode shards; 0: the training itself does")
    p.add_argument("--source-weights", nargs="+", default=[], metavar="NAME=W", type=source_weight,
                   help="how much a collection of --shards counts beside the others, instead of 1; 0 leaves it out")


def source_weight(text: str) -> str:
    """Checks an argument NAME=W."""
    name, sign, weight = text.partition("=")
    if not name or not sign or not 0 <= float(weight) < float("inf"):
        raise ValueError(text)
    return text


def source_weights(texts: list[str]) -> dict[str, float]:
    """Arguments NAME=W as numbers by name."""
    return {text.partition("=")[0]: float(text.partition("=")[2]) for text in texts}


def sampler_of(args: argparse.Namespace, seed: int) -> Sampler | ShardSampler:
    """What the options of a training say (`add_data`)."""
    if (args.cache is None) == (args.shards is None):
        raise ValueError("give one of --cache and --shards")
    if args.shards is not None:
        from .shard_feed import ShardSampler

        return ShardSampler(args.shards, seed, source_weights(args.source_weights))
    return Sampler(args.cache, seed)


def feed_of(sampler: Sampler | ShardSampler, steps: Steps, args: argparse.Namespace,
            ranks: Ranks) -> CacheFeed | ShardFeed:
    """A feed of a sampler: a `turn`, then its `batch` (or not, if it is not wanted)."""
    if isinstance(sampler, Sampler):
        return CacheFeed(sampler, steps)
    from .shard_feed import ShardFeed

    return ShardFeed(sampler, steps, ranks, args.workers)
