"""Time by operator, from PyTorch's profiler and from our own report, in the same few kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

Row = dict[str, Any]

KINDS = (
    # cuDNN's layout changes sometimes have "conv" in their names, so they come first.
    ("copies", ("memcpy", "memset", "copy", "nchwtonhwc", "nhwctonchw", "transpose", "aten::cat", "catarray", "clone")),
    ("convolution", ("conv", "fprop", "implicit_gemm", "winograd", "xmma")),
    ("attention", ("attention", "flash", "fmha", "softmax", "mem_eff", "sdp")),
    ("product", ("gemm", "aten::mm", "addmm", "bmm", "nvjet", "cutlass", "cublas", "matmul", "linear")),
)
REST = "element by element"


def kind_of(name: str) -> str:
    """The kind of an operator or kernel, by its name."""
    lower = name.lower()
    return next((kind for kind, parts in KINDS if any(part in lower for part in parts)), REST)


def operators_of(run: Callable[[], object], device: torch.device) -> list[Row]:
    """Seconds and calls of each kernel (on a CPU: operator) of one run, longest first."""
    on_gpu = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as found:
        run()
    rows = []
    for event in found.key_averages():
        # Operators include the time of their kernels: count only one of the two.
        if on_gpu and event.device_type != torch._C._autograd.DeviceType.CUDA:
            continue
        micros = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        if micros > 0:
            rows.append({"name": event.key[:160], "seconds": micros / 1e6, "calls": event.count})
    return sorted(rows, key=lambda row: -float(row["seconds"]))


def rows_of(report: Row) -> list[Row]:
    """The operators of a report, if any: a list of names with seconds or ms, or a mapping to seconds."""
    given = report.get("operators") or []
    if isinstance(given, dict):
        given = [{"name": name, "seconds": seconds} for name, seconds in given.items()]
    rows = []
    for row in given:
        name = row.get("name") or row.get("operator") or row.get("kind") or "?"
        seconds = row["seconds"] if "seconds" in row else row.get("ms", 0.0) / 1e3
        rows.append({"name": str(name), "seconds": float(seconds), "calls": row.get("calls")})
    return rows


def by_kind(rows: list[Row]) -> dict[str, float]:
    """Seconds of each kind, longest first."""
    sums: dict[str, float] = {}
    for row in rows:
        kind = kind_of(row["name"])
        sums[kind] = sums.get(kind, 0.0) + row["seconds"]
    return dict(sorted(sums.items(), key=lambda item: -item[1]))
