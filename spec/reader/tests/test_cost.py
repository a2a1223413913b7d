"""What reading hostile files costs (§9.1): work linear in their bytes, and memory of at most a stated factor of them.

Work is counted, not timed: lines of Python that ran, and bytes that checksums went over.
"""

from __future__ import annotations

import struct
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

import layout
from lbit import read
from writer import KEY, LOST, Writer, packet_stream, record, token_stream, varint

# Memory for each byte of a file: objects of Python are large, and small chunks and packets are kept whole.
MOST_MEMORY = 100
ALLOWANCE = 1 << 20


def nested(name: str, count: int, claim: int) -> bytes:
    """Headers right after each other, each of a record that would hold many that follow."""
    head = struct.pack("<4s4sBBHIQ", b"\xa7LB\n", name.encode(), 0, 0, 0, claim, 0)
    return (head + struct.pack("<I", zlib.crc32(head))) * count


def bad(data: bytes) -> bytes:
    """A record whose payload checksum is wrong."""
    return data[:-1] + bytes([data[-1] ^ 1])


def chunks_that_never_fit(n: int) -> bytes:
    writer = Writer()
    for number in range(1, n + 1):
        writer.chunk(number=number, first_frame=0, frames=1)
    return writer.data


def lost_frames(n: int) -> bytes:
    writer = Writer(token_stream(chunk=2))
    writer.chunk()
    for _ in range(n):
        writer.chunk(flags=LOST, frames=8)
    return writer.end().data


def index_of_many(n: int) -> bytes:
    writer = Writer().chunk()
    entry = writer.entries[0]
    entries = [(entry[0], entry[1] + i * entry[2], *entry[2:]) for i in range(n)]
    return writer.end().index(entries).tail().data


def late_packets(n: int) -> bytes:
    writer = Writer(token_stream(), packet_stream())
    writer.packets([(2 * (n - i), b"") for i in range(n)]).chunk()
    return writer.end().data


def depths(n: int) -> bytes:
    writer = Writer(token_stream())
    for number in range(n):
        writer.chunk(flags=KEY, segment=number)
    return writer.end().data


FAMILIES: dict[str, Callable[[int], bytes]] = {
    "chunks that never fit": chunks_that_never_fit,
    "nested chunks": lambda n: Writer().data + nested("CHNK", n, 14 * n),
    "nested metadata": lambda n: Writer().data + nested("meta", n, 14 * n),
    "nested unknown records": lambda n: Writer().data + nested("xfoo", n, 14 * n),
    "headers that reach past the end": lambda n: Writer().data + nested("pack", n, 1 << 24),
    "bad metadata": lambda n: Writer().data + bad(record("meta", b"\0")) * n,
    "bad unknown records": lambda n: Writer().data + bad(record("xfoo", b"bar")) * n,
    "sync words": lambda n: Writer().data + b"\xa7LB\n" * n,
    "small metadata": lambda n: Writer().data + record("meta", b"\1\1a\0") * n,
    "metadata of empty values": lambda n: Writer().add(record("meta", varint(n) + b"\1a\0" * n)).end().data,
    "lost frames": lost_frames,
    "an index of one chunk": index_of_many,
    "late packets": late_packets,
    "segments": depths,
    "copies of the header": lambda n: Writer().data + record("head", Writer().head) * n,
}


def work_of(data: bytes, *, recover: bool, monkeypatch: pytest.MonkeyPatch) -> int:
    lines, checked = 0, 0

    def count(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    def crc(part: bytes, start: int = 0) -> int:
        nonlocal checked
        checked += len(part)
        return zlib.crc32(part, start)

    with monkeypatch.context() as patch:
        for module in list(sys.modules.values()):
            if getattr(module, "crc", None) is layout.crc and module is not layout:
                patch.setattr(module, "crc", crc)
        patch.setattr(layout, "crc", crc)
        before = sys.gettrace()
        sys.settrace(count)
        try:
            read(data, recover=recover)
        finally:
            sys.settrace(before)
    return lines + checked


def memory_of(data: bytes, *, recover: bool) -> int:
    tracemalloc.start()
    try:
        read(data, recover=recover)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("recover", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_work_is_linear_and_memory_bounded(family: str, recover: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of what is nested, enough that stretches are longer than what is cheap to go over again.
    few = 150 if "nested" in family else 50
    small, large = FAMILIES[family](few), FAMILIES[family](4 * few)
    little = work_of(small, recover=recover, monkeypatch=monkeypatch)
    much = work_of(large, recover=recover, monkeypatch=monkeypatch)
    growth = max(4, len(large) / len(small))
    assert much <= 1.5 * growth * little, f"{little} for {len(small)} bytes, {much} for {len(large)}"
    peak = memory_of(large, recover=recover)
    assert peak <= MOST_MEMORY * len(large) + ALLOWANCE, f"{peak} for {len(large)} bytes"
