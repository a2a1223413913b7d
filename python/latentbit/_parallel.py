"""Several videos at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from ._latentbit import Bundle

T = TypeVar("T")
R = TypeVar("R")

# Steps of so many clips a GPU computes together.
ON_GPU = 32

Progress = Callable[[int, "int | None"], object] | None
"""Called with the frames that are done, and how many there are if that is known."""


class Counter:
    """Tells how far the frames of one video are, or those of several as one; ``total`` is how many there are."""

    def __init__(self, progress: Progress, total: int | None = None):
        self._progress, self._total = progress, total
        self._lock = threading.Lock()
        self._done = 0

    def __call__(self, parts: Iterable[T], frames: Callable[[T], int] = lambda _: 1) -> Iterator[T]:
        """The same parts; each counts for ``frames`` of it once the next one is asked for."""
        for part in parts:
            yield part
            if self._progress is not None:
                with self._lock:
                    self._done += frames(part)
                    self._progress(self._done, self._total)


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
