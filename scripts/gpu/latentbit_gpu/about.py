"""Card, driver, versions and date of a measurement."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from typing import Any

import torch

from .paths import Built

FIELDS = ("name", "driver_version", "memory.total", "compute_cap", "clocks.sm", "clocks.max.sm", "power.limit")


def smi() -> dict[str, str]:
    """What nvidia-smi reports for the first card; empty if there is none."""
    command = ["nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader", "--id=0"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    return parsed(text)


def parsed(text: str) -> dict[str, str]:
    """A line of values by their names."""
    values = [value.strip() for value in text.strip().splitlines()[0].split(",")]
    return dict(zip(FIELDS, values, strict=False))


def cudnn() -> str:
    """cuDNN's version as people write it: 9.16.0 and not 91600."""
    number = torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None
    return dotted(number) if number else "none"


def dotted(number: int) -> str:
    """For cuDNN 9 and later, and for earlier ones."""
    base = 10_000 if number >= 90_000 else 1_000
    return f"{number // base}.{number % base // 100}.{number % 100}"


def cpu_model() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def describe(device: str, built: Built) -> dict[str, Any]:
    """All of it."""
    card = smi()
    manifest = built.manifest()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "device": device,
        "card": card.get("name", "none"),
        "driver": card.get("driver_version", "none"),
        "memory": card.get("memory.total", "none"),
        "power limit": card.get("power.limit", "none"),
        "CUDA of PyTorch": torch.version.cuda or "none",
        "cuDNN": cudnn(),
        "PyTorch": torch.__version__,
        "Python": platform.python_version(),
        "processor": cpu_model(),
        "LatentBit": manifest.get("commit", "unknown"),
    }
