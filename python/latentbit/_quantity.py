"""Numbers of bytes and bits, as the command takes them."""

from __future__ import annotations

import re

Size = int | str | None

BYTES = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9,
    "k": 2**10, "m": 2**20, "g": 2**30,
    "kib": 2**10, "mib": 2**20, "gib": 2**30,
}
# Of a file, where k is a thousand as in rates.
FILE_BYTES = {**BYTES, "k": 10**3, "m": 10**6, "g": 10**9}
BITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def as_bytes(size: Size, name: str = "max_memory") -> int | None:
    """Bytes of a size as ``--max-memory`` takes it: ``"8GiB"``, ``"500MB"``; a number is one of bytes.

    Named ``size`` it is as ``--size`` takes it, where 5M are five million.
    """
    if size is None:
        return None
    found = size if isinstance(size, int) else _product(size, FILE_BYTES if name == "size" else BYTES)
    count = int(found) if found is not None else 0
    if count < 1:
        raise ValueError(f"{name}: expected a size such as '8GiB', '500MB' or a number of bytes, found {size!r}")
    return count


def as_bits(name: str, given: float | str | None) -> float | None:
    """Bits as ``--bitrate`` takes them: ``"300k"``, ``"1.5M"``; a number is one of bits."""
    if given is None or not isinstance(given, str):
        return given
    found = _product(given, BITS)
    if found is None:
        raise ValueError(f"{name}: expected a number of bits, or such as '300k' or '1.5M', found {given!r}")
    return found


def _product(text: str, units: dict[str, int]) -> float | None:
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", text.strip().lower())
    unit = units.get(found[2]) if found else None
    return float(found[1]) * unit if found and unit else None
