"""Peak memory of the card while a program runs, as the driver counts it.

nvidia-smi is polled for the memory in use; what was in use before the program started is subtracted. It counts
everything that a program takes, including contexts and allocator caches, and all programs in the same way. On a card
that others use at the same time it is wrong.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

QUERY = ("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0")


def used_mb(line: str) -> float | None:
    """Memory from a line of nvidia-smi, in MB (10⁶ bytes)."""
    try:
        return float(line.strip().split()[0]) * 1.048576
    except (ValueError, IndexError):
        return None


@dataclass
class Peak:
    """Peak memory above the initial use; None if unknown."""

    base: float | None = None
    most: float | None = None

    def take(self, value: float | None) -> None:
        if value is not None:
            self.base = value if self.base is None else self.base
            self.most = max(self.most or 0.0, value)

    @property
    def mb(self) -> float | None:
        return None if self.base is None or self.most is None else round(self.most - self.base, 1)


@contextmanager
def watched(every_ms: int = 20) -> Iterator[Peak]:
    """Watches the first card."""
    peak = Peak()
    if shutil.which(QUERY[0]) is None:
        yield peak
        return
    watcher = subprocess.Popen([*QUERY, f"--loop-ms={every_ms}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True)

    def read() -> None:
        assert watcher.stdout
        for line in watcher.stdout:
            peak.take(used_mb(line))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    # The program must not start before the first answer: that is the base.
    end = time.monotonic() + 5
    while peak.base is None and watcher.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    try:
        yield peak
    finally:
        watcher.terminate()
        watcher.wait()
        reader.join(timeout=2)
