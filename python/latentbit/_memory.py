"""How much memory a caller allows."""

from __future__ import annotations

import re

Size = int | str | None

UNITS = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9,
    "k": 2**10, "m": 2**20, "g": 2**30,
    "kib": 2**10, "mib": 2**20, "gib": 2**30,
}


def as_bytes(size: Size) -> int | None:
    """Bytes of a size as the command's ``--max-memory`` takes it: ``"8GiB"``, ``"500MB"``; a number is one of bytes."""
    if size is None:
        return None
    if isinstance(size, int):
        count = size
    else:
        found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", str(size).strip().lower())
        unit = UNITS.get(found[2]) if found else None
        count = int(float(found[1]) * unit) if found and unit else 0
    if count < 1:
        raise ValueError(f"max_memory: expected a size such as '8GiB', '500MB' or a number of bytes, found {size!r}")
    return count
