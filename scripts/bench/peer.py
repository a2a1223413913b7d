"""Times a bundle's PyTorch modules (training/), warm in one process.

    PYTHONPATH=training .venv/bin/python scripts/bench/peer.py --bundle models/default.safetensors --task encode \\
        --input clip.rgb --size 128x128 --frames 17 --mode compile --dtype bf16

It takes the options of `cargo bench --bench model` and prints the same line of JSON. `make bench` runs both in turn.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from tasks import TASKS, Job, load
from torch import Tensor

MODES = ("eager", "compile")
DTYPES = {"bf16": torch.bfloat16, "f32": torch.float32}


def resident_mb() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def peak_mb() -> float:
    """Peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def prepared(run: Callable[[], Tensor], mode: str) -> Callable[[], Tensor]:
    """The run, compiled if `mode` says so."""
    if mode == "eager":
        return run
    import torch._inductor.config as inductor

    # Weights are constants: this lets the compiler pack them once, which was faster in every case tried.
    inductor.freezing = True
    return torch.compile(run, dynamic=False)


class Stopwatch:
    """Runs and keeps the last result, so that writing it needs no further run."""

    def __init__(self, run: Callable[[], Tensor], limit: float | None, give_up: Callable[[float], None]) -> None:
        self.run, self.limit, self.give_up = run, limit, give_up
        self.result: Tensor | None = None

    def measure(self, repeats: int) -> list[float]:
        """Seconds of each run."""
        return [self.once() for _ in range(repeats)]

    def once(self) -> float:
        """Seconds of a run. One that exceeds the limit is abandoned."""
        # Never two results at once: that would raise the peak memory.
        self.result = None
        start = time.perf_counter()
        if not self.limit:
            self.result = self.run()
            return time.perf_counter() - start
        # PyTorch lets other threads run while it computes.
        timer = threading.Timer(self.limit, lambda: self.give_up(time.perf_counter() - start))
        timer.daemon = True
        timer.start()
        self.result = self.run()
        timer.cancel()
        return time.perf_counter() - start


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--input", type=Path, required=True, help="rgb24 frames; for a decoder, an encoder's --output")
    parser.add_argument("--output", type=Path, help="where to write the result")
    parser.add_argument("--size", required=True, metavar="WxH")
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--mode", choices=MODES, default="eager")
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--threads", type=int, default=0, help="0 for PyTorch's default")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="at least 1")
    parser.add_argument(
        "--give-up", type=float, metavar="SECONDS",
        help="stop at a run or warm-up that takes longer, and report it as unfinished",
    )
    parser.add_argument("--turns", action="store_true", help="run and report again for each line on stdin")
    parser.add_argument("--json", action="store_true", help="the default; exists to match the other program")
    parser.add_argument("--operators", action="store_true", help="likewise; without effect on a CPU")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    # The compiler logs every kernel that it tries and rejects.
    logging.getLogger("torch").setLevel(logging.CRITICAL)
    base = resident_mb()
    if options.threads:
        torch.set_num_threads(options.threads)
    width, height = (int(side) for side in options.size.split("x"))
    name, model = load(options.bundle, DTYPES[options.dtype])
    job = Job(model, options.task, options.input, width, height, options.frames)

    def report(seconds: list[float], unfinished: bool = False) -> None:
        line = {
            "implementation": f"torch-{options.mode}", "bundle": name, "task": options.task, "size": options.size,
            "frames": options.frames, "dtype": options.dtype, "threads": torch.get_num_threads(),
            "cpu": torch.backends.cpu.get_cpu_capability(), "seconds": seconds,
            "fps": options.frames / median(seconds), "base_mb": base, "peak_mb": peak_mb(),
            "unfinished": unfinished,
        }
        print(json.dumps(line), flush=True)

    def give_up(seconds: float) -> None:
        report([seconds], unfinished=True)
        # Nothing else stops a computing thread.
        os._exit(0)

    watch = Stopwatch(prepared(job.run, options.mode), options.give_up, give_up)

    with torch.inference_mode():
        watch.measure(options.warmup)
        report(watch.measure(options.repeats))
        if options.turns:
            for _ in sys.stdin:
                report(watch.measure(options.repeats))
        if options.output:
            assert watch.result is not None
            options.output.write_bytes(job.to_bytes(watch.result))


if __name__ == "__main__":
    main()
