"""How many images and clips a second workers decode from shards: the same work as in training, without a model.

    latentbit-train throughput runs/shards --workers 0 2 4 --seconds 20

A training that waits for data tells so: `waited` in its log is the part of the time. Then give it more workers.
"""

from __future__ import annotations

import time

import torch

from .feed import Steps
from .options import Parser
from .ranks import Ranks
from .shard_feed import ShardFeed, ShardSampler


def measure(path: str, steps: Steps, workers: int, seconds: float) -> tuple[float, int]:
    """Samples a second and bad ones, after the workers have started."""
    feed = ShardFeed(ShardSampler(path, 1), steps, Ranks(), workers)
    # What is decoded ahead while workers start is not theirs of these seconds.
    for _ in range(1 + workers * feed.ahead):
        feed.turn()
    feed.told()
    count, begin = 0, time.monotonic()
    while time.monotonic() - begin < seconds:
        count += feed.turn().samples
    return count / (time.monotonic() - begin), int(feed.told().get("bad_samples", 0))


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    p = Parser("throughput", __doc__)
    p.add_argument("shards", help="folder or URL of an index")
    p.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="processes that decode")
    p.add_argument("--seconds", type=float, default=10, help="of each measurement")
    p.add_argument("--size", type=int, default=128, help="side of the crops, pixels")
    p.add_argument("--batch", type=int, default=4, help="samples of a step")
    p.add_argument("--clip-frames", type=int, default=29, help="frames of a clip")
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    counts = {args.size: args.batch}
    print("| workers | images a second | clips a second | clips a second and worker |\n|---|---|---|---|")
    for workers in args.workers:
        found = [measure(args.shards, Steps(counts, counts, args.clip_frames, share), workers, args.seconds)[0]
                 for share in (0.0, 1.0)]
        print(f"| {workers} | {found[0]:.1f} | {found[1]:.2f} | {found[1] / max(1, workers):.2f} |", flush=True)
