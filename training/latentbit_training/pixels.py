"""Where the pixels of a training come from: a cache or shards, by its options."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data import Sampler
from .feed import CacheFeed, Steps
from .loop import same_pixels
from .ranks import Ranks

if TYPE_CHECKING:
    from .shard_feed import ShardFeed, ShardSampler
    from .training import Training

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


def add_batches(p: argparse.ArgumentParser, *, images: int, clips: int, chunks: int) -> None:
    """What a step of a training on the chunks of a tokenizer draws; the arguments are the defaults."""
    p.add_argument("--size", type=int, nargs="+", default=[128], metavar="N",
                   help="sides of the crops, pixels; each step draws one")
    p.add_argument("--image-batch", type=int, default=images, help="images of a step, of the first size")
    p.add_argument("--clip-batch", type=int, default=clips, help="clips of a step, of the first size")
    p.add_argument("--clip-chunks", type=int, default=chunks, help="chunks of each clip")
    p.add_argument("--clip-share", type=float, default=0.35, help="part of the steps that train on clips")


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


def feed_of_chunks(args: argparse.Namespace, training: Training[Any], ranks: Ranks, chunk: int,
                   stride: int) -> tuple[CacheFeed | ShardFeed, int]:
    """The feed that the options say (`add_data`, `add_batches`), drawn from by `training`, and the frames of its clips.

    `chunk` counts the latent frames of a chunk, `stride` the frames of a latent frame.
    """
    images = {size: same_pixels(args.image_batch, args.size[0], size) for size in args.size}
    clips = {size: same_pixels(args.clip_batch, args.size[0], size) for size in args.size}
    training.split("image-batch", images)
    training.split("clip-batch", clips)
    clip_frames = 1 + stride * (chunk * args.clip_chunks - 1)
    sampler = sampler_of(args, args.seed + 1000 + training.step)
    feed = feed_of(sampler, Steps(images, clips, clip_frames, args.clip_share), args, ranks)
    training.draws_from("pixels", feed)
    return feed, clip_frames
