"""Prints the card's peak rates: matrix products of each number type, and copies within its memory.

    PYTHONPATH=scripts/gpu python3 -m latentbit_gpu.rates --device cuda

Values are random: products of zeros run faster than any real ones. The best of several runs counts.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}


def best(run: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Seconds of the fastest of some runs, by the card's own clock if it has one."""
    run()
    times = []
    for _ in range(repeats):
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            run()
            end.record()
            torch.cuda.synchronize()
            times.append(start.elapsed_time(end) / 1e3)
        else:
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
    return min(times)


def product(side: int, dtype: torch.dtype, device: torch.device, repeats: int = 20) -> float:
    """Operations per second of a product of two square matrices."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    return 2 * side**3 / best(lambda: torch.mm(a, b, out=out), device, repeats)


def copy(mib: int, device: torch.device, repeats: int = 20) -> float:
    """Bytes per second, read and written, of a copy from memory to memory."""
    source = torch.randint(256, (mib << 20,), device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * source.numel() / best(lambda: target.copy_(source), device, repeats)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--device", default="cuda")
    p.add_argument("--side", type=int, default=8192, help="side of the matrices")
    p.add_argument("--mib", type=int, default=2048, help="size of the copy")
    args = p.parse_args()
    device = torch.device(args.device)
    # True f32, like ours: no rounding to tf32.
    torch.set_float32_matmul_precision("highest")
    rates = {f"product_{name}": product(args.side, dtype, device) for name, dtype in DTYPES.items()}
    print(json.dumps(rates | {"copy": copy(args.mib, device)}))


if __name__ == "__main__":
    main()
