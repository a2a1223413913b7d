"""Puts the command into a wheel, so that `pip install` brings it along: add_command.py WHEEL COMMAND.

maturin builds a wheel of one crate, and the command is another one.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import zipfile
from pathlib import Path


def add(wheel: Path, command: Path) -> None:
    """Rewrites the wheel with the command among its scripts."""
    with zipfile.ZipFile(wheel) as before:
        names = before.namelist()
        record = next((name for name in names if name.endswith(".dist-info/RECORD")), None)
        if record is None:
            raise ValueError(f"{wheel}: expected a wheel, found no RECORD in it")
        place = f"{record.split('.dist-info/')[0]}.data/scripts/{command.name}"
        data = command.read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        kept = [line for line in before.read(record).decode().splitlines() if line.split(",")[0] != place]
        lines = [f"{place},sha256={digest},{len(data)}", *kept]
        part = wheel.with_name(f".{wheel.name}.part")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as after:
            for name in names:
                if name not in (record, place):
                    after.writestr(before.getinfo(name), before.read(name), zipfile.ZIP_DEFLATED)
            about = zipfile.ZipInfo(place, (1980, 1, 1, 0, 0, 0))
            about.external_attr = 0o100755 << 16
            after.writestr(about, data, zipfile.ZIP_DEFLATED)
            after.writestr(before.getinfo(record), "\n".join(lines) + "\n", zipfile.ZIP_DEFLATED)
    os.replace(part, wheel)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    add(Path(sys.argv[1]), Path(sys.argv[2]))
