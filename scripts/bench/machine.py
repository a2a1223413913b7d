"""The machine, the versions and the date of a measurement."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

# Oldest first; only those that matter to our kernels.
INSTRUCTION_SETS = (
    "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8",
    "asimd", "asimddp", "bf16", "i8mm", "sve",
)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def load() -> float:
    """The load average of the last minute."""
    return os.getloadavg()[0]


def cpu() -> tuple[str, list[str]]:
    """Model and instruction sets."""
    fields: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return fields.get("model name", platform.machine()), [name for name in INSTRUCTION_SETS if name in flags]


def has_bf16() -> bool:
    """Whether the CPU multiplies bf16. Without it, PyTorch takes minutes for what takes a second in f32."""
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(cpu()[1])


def answer(*command: str) -> str:
    """The first line that a program prints, or nothing."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return ""


def commit() -> str:
    """The checked-out commit, with a plus if files differ from it."""
    name = answer("git", "rev-parse", "--short=10", "HEAD") or "unknown"
    return name + ("+" if answer("git", "status", "--porcelain", "--untracked-files=no") else "")


def describe() -> dict[str, str | float]:
    """All of it. Call this before anything computes, or the load is wrong."""
    model, instructions = cpu()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "cpu": model,
        "instructions": " ".join(instructions),
        "cores": cores(),
        "load": load(),
        "system": f"{platform.system()} {platform.release()}",
        "latentbit": commit(),
        "rustc": answer("rustc", "--version").removeprefix("rustc ").split(" ")[0],
        "torch": version("torch"),
        "python": platform.python_version(),
    }
