"""Prints the rate of PyTorch's product of large matrices, with which convolutions are compared.

    .venv/bin/python scripts/bench/gemm.py 2      # up to 2 threads
"""

from __future__ import annotations

import json
import sys
import time

import torch

SIZE = 2048


def gflops(dtype: torch.dtype, threads: int, seconds: float = 2.0) -> float:
    """The best of the runs within the time."""
    torch.set_num_threads(threads)
    a, b = (torch.randn(SIZE, SIZE).to(dtype) for _ in range(2))
    out = torch.empty(SIZE, SIZE, dtype=dtype)
    torch.mm(a, b, out=out)
    best, end = float("inf"), time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        torch.mm(a, b, out=out)
        best = min(best, time.perf_counter() - start)
    return 2 * SIZE**3 / best / 1e9


def main() -> None:
    rows = [
        {"dtype": name, "threads": threads, "gflops": round(gflops(dtype, threads), 1)}
        for name, dtype in (("bf16", torch.bfloat16), ("f32", torch.float32))
        for threads in sorted({1, int(sys.argv[1])})
    ]
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
