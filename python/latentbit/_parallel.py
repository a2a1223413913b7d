"""Several videos at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from ._latentbit import Bundle

T = TypeVar("T")
R = TypeVar("R")

# Steps of so many clips a GPU computes together.
ON_GPU = 32

Progress = Callable[[int, "int | None"], object] | None
"""Called with the frames that are done, and how many there are if that is known."""


class Crew:
    """Threads that share a model: a video each on a CPU, and steps of several videos together on a GPU."""

    def __init__(self, bundle: Bundle, threads: int, videos: int):
        cores = threads or _cores()
        most = ON_GPU if bundle.device == "cuda" else cores
        self.workers = max(1, min(videos, most))
        """Videos in progress."""
        self.threads = max(1, cores // self.workers)
        """Threads that compute each of them."""
        self.stop = threading.Event()
        """Set when the results are of no use any more."""

    def map(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """The results in order. The first error, or Ctrl-C, ends all."""
        with ThreadPoolExecutor(self.workers, "latentbit") as pool:
            futures = [pool.submit(work, item) for item in items]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in futures:
                    if future in done:
                        future.result()
                return [future.result() for future in futures]
            except BaseException:
                self.stop.set()
                for future in futures:
                    future.cancel()
                raise

    def until_stopped(self, parts: Iterable[T]) -> Iterable[T]:
        """The same, until another video failed."""
        for part in parts:
            if self.stop.is_set():
                return
            yield part


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
