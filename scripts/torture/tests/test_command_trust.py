"""What a file claims of itself is no authority for the built command."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from power_loss import MODEL, clip
from test_command_cost import COMMAND, of_the_reader

OPTIONS = "--dtype f32 --threads 1"

pytestmark = pytest.mark.skipif(not COMMAND.exists(), reason="target/debug/latentbit is not built")


def run(line: str, folder: Path) -> bytes:
    done = subprocess.run([COMMAND, *line.split()], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def decoded(name: str, folder: Path) -> dict[str, Any]:
    line = f"decode {name} -o out.y4m -y --json --max-memory 1GB --model {MODEL} {OPTIONS}"
    return dict(json.loads(run(line, folder)))


def test_memory_is_planned_for_what_is_there(tmp_path: Path) -> None:
    """An index that lists the first of three chunks, and one frame in it."""
    clip(tmp_path / "a.y4m", 40)
    run(f"encode a.y4m -o a.lbit --model {MODEL} {OPTIONS}", tmp_path)
    data = (tmp_path / "a.lbit").read_bytes()
    at, length = struct.unpack_from("<QI", data, len(data) - 16)
    assert json.loads(run("info --json a.lbit", tmp_path))["chunks"] == 3
    writer = of_the_reader("writer")
    first = data.index(b"\xa7LB\nCHNK")
    long = 32 + struct.unpack_from("<I", data, first + 12)[0]
    bits = data[first + 28 + 31]
    place = writer.varint(first) + writer.varint(long)
    entry = b"\x01\x00" + place + b"\x01\x01\x01" + bytes([bits]) + b"\x00\x00"
    index = writer.record("indx", entry)
    tail = writer.record("tail", struct.pack("<QI", at, len(index)))
    assert len(data) == at + length + len(tail)
    (tmp_path / "lies.lbit").write_bytes(data[:at] + index + tail)
    true, told = decoded("a.lbit", tmp_path), decoded("lies.lbit", tmp_path)
    assert told["frames"] == true["frames"] == 40
    assert told["estimated_mem_bytes"] >= 0.9 * true["estimated_mem_bytes"]
