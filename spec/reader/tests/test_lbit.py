"""The second reader, with files that the tests write, and with the example of the text."""

from __future__ import annotations

import hashlib
import json
import random
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layout import (
    Checksums,
    Fields,
    LbitError,
    Limits,
    TokenStream,
    crc,
    find_record,
    index_from_behind,
    parse_header,
    record_at,
)
from lbit import read, summary
from scan import File, Missing
from writer import (
    DEPTHS,
    KEY,
    LOST,
    MAGIC,
    TIMES,
    Writer,
    header,
    layer_lengths,
    layers,
    packet_stream,
    record,
    rich,
    signed,
    text,
    token_stream,
    varint,
)

READER = Path(__file__).parents[1]
SPEC = READER.parent / "lbit-1.md"


def fault(file: File) -> tuple[str, int, int | None] | None:
    return (file.error.kind, file.error.offset, file.error.chunk) if file.error else None


def example() -> bytes:
    """The hex dump of §12."""
    block = SPEC.read_text(encoding="utf-8").split("## 12. Example")[1].split("```")[1]
    data = b""
    for line in filter(None, block.splitlines()):
        offset, content = line.partition("#")[0].split(maxsplit=1)
        assert int(offset, 16) == len(data)
        data += bytes.fromhex(content)
    return data


# --- Whole files ---


def test_example_of_the_text() -> None:
    data = example()
    file = read(data)
    assert len(data) == 318
    assert file.error is None
    assert file.chunks[0].tokens == [5, 1, 2, 7, 0, 4, 3, 6, 1, 5]
    assert [plane.hex() for plane in file.chunks[0].planes] == ["4b03", "cc00", "a902"]
    result = summary(file)
    assert result["version"] == "1.0"
    assert result["streams"][0]["bundle"]["name"] == "tiny"
    assert result["chunks"][0]["sha256"] == hashlib.sha256(bytes.fromhex("4b03cc00a902")).hexdigest()
    assert result["totals"][0]["sha256"] == data[0x11A:0x13A].hex()


def test_everything() -> None:
    writer = rich()
    file = read(writer.data)
    assert file.error is None
    assert [chunk.tokens for chunk in file.chunks if not chunk.lost] == writer.tokens
    result = summary(file)
    assert json.loads(json.dumps(result)).keys() == result.keys()
    assert [s["kind"] for s in result["streams"]] == ["tokens", "packets", "unknown", "tokens"]
    assert result["streams"][1]["private"] == "0102"
    assert [(c["stream"], c["number"], c["first_frame"], c["frames"], c["lost"]) for c in result["chunks"]] == [
        (0, 0, 0, 5, False), (0, 1, 5, 8, False), (3, 0, 0, 1, False), (0, 2, 13, 8, True), (0, 3, 21, 8, False),
        (3, 1, 1, 1, False), (0, 4, 29, 1, False),
    ]  # fmt: skip
    assert result["chunks"][1]["durations"] == (1, 2, 3, 4, 0, 300, 2**32 - 1, 1)
    assert result["chunks"][2]["start"] == -5
    assert result["chunks"][3]["sha256"] is None
    assert result["metadata"] == [
        {"stream": None, "key": "encoder", "value": "a\nb"},
        {"stream": None, "key": "title", "value": "new"},
        {"stream": 1, "key": "title", "value": "Ton"},
    ]
    assert [c["title"] for c in result["chapters"]] == ["one", "two"]
    assert [(p.time, p.decoding_time, p.key, p.duration, p.data) for p in file.packets[1]] == [
        (0, 0, True, 20, b"ab"), (20, 20, True, 20, b""), (41, 34, True, 20, b"q" * 300),
    ]  # fmt: skip
    assert result["packets"] == [
        {"stream": 1, "records": 2, "packets": 3, "sha256": writer.digests[1].hexdigest()},
    ]
    assert result["index"] is True


def test_recovering_a_whole_file_changes_nothing() -> None:
    assert summary(read(rich().data, recover=True)) == summary(read(rich().data))


def test_index_from_behind() -> None:
    writer = rich()
    file = read(writer.data)
    assert file.header
    assert index_from_behind(Checksums(writer.data), file.header) == (*writer.index_place, file.index)
    assert index_from_behind(Checksums(writer.data[:-1]), file.header) is None


@pytest.mark.parametrize(
    "build",
    [
        lambda: Writer().end(),
        lambda: Writer().end().tail(),
        lambda: Writer().chunk().end().index(),  # The tail is cut off.
        lambda: Writer().chunk().chunk(flags=KEY, frames=1).chunk(flags=KEY).end(more=b"later"),
        lambda: Writer().chunk().end(digests=[bytes(32)]),
        lambda: Writer().chunk().chunk(frames=1).end().metadata(("late", "")),
        lambda: Writer().chunk().end().index(version=1).tail(),
        lambda: Writer(head=header(token_stream(), minor=9) + b"later").chunk().end(),
        lambda: Writer((1, token_stream()[1] + b"later")).chunk().end(),
        lambda: Writer(token_stream(frames=5)).chunk().end(),
        lambda: Writer().chunk(flags=LOST).chunk(first_frame=8, segment=3).end(),
        lambda: Writer().chunk().chunk(flags=LOST | KEY, frames=8).chunk().end().index().tail(),
        lambda: Writer().chunk().chunk(flags=LOST | TIMES, durations=[9] * 8).end(),
        lambda: sound(version=1).packets().end(),
        lambda: Writer().add(record("meta", b"?", version=7)).add(record("abcd", b"?", flags=9)).end(),
    ],
)
def test_legal(build: Callable[[], Writer]) -> None:
    assert read(build().data).error is None


# --- Broken rules: the fault is in the last record that was added ---


def sound(**changes: Any) -> Writer:
    return Writer(token_stream(), packet_stream()).packets(**changes)


BROKEN: list[tuple[str, Callable[[], Writer]]] = [
    # §2
    ("format", lambda: Writer().add(record("HEAD", header(token_stream())))),
    ("format", lambda: Writer().end().end()),
    ("format", lambda: Writer().end().chunk()),
    ("format", lambda: sound().end().packets()),
    ("format", lambda: Writer().index()),
    ("format", lambda: Writer().tail()),
    ("format", lambda: Writer().end().index().index()),
    ("format", lambda: Writer().end().tail().add(record("meta", b"\0"))),
    ("format", lambda: Writer().end().tail().add(b"\xa7")),
    # §3
    ("format", lambda: Writer().add(record("1abc", b""))),
    ("format", lambda: Writer().add(record("ab-c", b""))),
    ("format", lambda: Writer().add(record("abcd", b"??")[:-1] + b"?")),
    ("format", lambda: Writer().add(record("abcd", b"", 5).replace(b"\5\0", b"\6\0"))),
    ("unsupported", lambda: Writer().add(record("Abcd", b""))),
    ("unsupported", lambda: Writer().add(record("ENDS", b"", version=1))),
    ("unsupported", lambda: Writer().add(record("CHNK", b"", 0, flags=1))),
    ("format", lambda: Writer().add(record("CHNK", b"", 1))),
    ("format", lambda: sound().chunk(stream=1)),
    ("format", lambda: sound().packets(stream=0)),
    ("format", lambda: Writer().add(record("ENDS", b"", 0))),
    ("format", lambda: Writer().metadata(stream=1)),
    # §4.1 and §4.2
    ("unsupported", lambda: Writer(head=header(token_stream(), major=2))),
    ("unsupported", lambda: Writer(head=header(token_stream(), major=0))),
    ("unsupported", lambda: Writer(head=header(token_stream(), minor=2, least=2))),
    ("format", lambda: Writer(head=header(count=0))),
    ("format", lambda: Writer(head=header(token_stream(), count=2))),
    ("format", lambda: Writer(head=header((1, token_stream()[1][:-1])))),
    ("limits", lambda: Writer(head=header(*[(9, b"")] * 65))),
    # §4.3
    *(
        ("format", lambda changes=changes: Writer(token_stream(**changes)))
        for changes in (
            {"width": 0}, {"height": 0}, {"rate_over": 0}, {"base": 0}, {"base_over": 0}, {"aspect_over": 0},
            {"range": 3}, {"chroma": 5}, {"location": 7}, {"samples": 0}, {"samples": 17}, {"bits": 0}, {"bits": 19},
            {"bundle_bits": 65}, {"k_t": 0}, {"s_w": 0}, {"name": b""}, {"name": b"\xff"}, {"name": b"a\n"},
            {"name": b"\xc2\x85"}, {"chunk": 0},
        )
    ),
    ("limits", lambda: Writer(token_stream(width=16385))),
    ("limits", lambda: Writer(token_stream(chunk=1025))),
    # §4.4
    ("format", lambda: Writer(packet_stream(base=0))),
    ("format", lambda: Writer(packet_stream(codec=""))),
    ("format", lambda: Writer(packet_stream(codec="A" * 65))),
    ("format", lambda: Writer(packet_stream(codec="Ä"))),
    ("format", lambda: Writer(packet_stream(language="e\n"))),
    ("format", lambda: Writer(packet_stream(title="\x7f"))),
    ("format", lambda: Writer((2, packet_stream(private=b"12")[1][:-1]))),
    # §5
    ("format", lambda: Writer().chunk(checksum=1)),
    ("format", lambda: Writer().chunk(first_frame=1)),
    ("format", lambda: Writer().chunk(start=5).chunk(start=4)),
    ("format", lambda: Writer().chunk(frames=0)),
    ("format", lambda: Writer().chunk(frames=6)),
    ("format", lambda: Writer().chunk().chunk(frames=9)),
    ("format", lambda: Writer().chunk(segment=1).chunk(segment=0, flags=KEY)),
    ("format", lambda: Writer().chunk(latent_frames=0, frames=1)),
    ("format", lambda: Writer().chunk(latent_frames=3)),
    ("unsupported", lambda: Writer().chunk(flags=8)),
    ("format", lambda: Writer().chunk(bits=0)),
    ("format", lambda: Writer().chunk(bits=4)),
    ("format", lambda: Writer().chunk(t=1)),
    ("format", lambda: Writer().chunk(h=3)),
    ("unsupported", lambda: Writer().chunk(coder=3)),
    ("format", lambda: Writer().chunk(stored=bytes(8))),
    ("format", lambda: Writer().chunk(stored=bytes(10))),
    ("format", lambda: Writer().chunk(stored=bytes(8) + b"\x10")),
    ("format", lambda: Writer().chunk(flags=KEY | TIMES, durations=[1, 1, 1, 1, 2**32])),
    ("format", lambda: Writer().chunk(number=1)),
    ("format", lambda: Writer().chunk().chunk(number=0)),
    ("format", lambda: Writer().chunk(flags=0)),
    ("format", lambda: Writer().chunk().chunk(segment=1)),
    ("format", lambda: Writer().chunk(frames=4).chunk()),
    ("format", lambda: Writer().chunk(flags=LOST, bits=1)),
    ("format", lambda: Writer().chunk(flags=LOST, coder=1)),
    ("format", lambda: Writer().chunk(flags=LOST, frames=9)),
    ("format", lambda: Writer().chunk(flags=LOST, stored=b"\0")),
    ("limits", lambda: Writer(token_stream(width=5000, height=5000, s_h=1, s_w=1)).chunk(h=5000, w=5000, stored=b"")),
    # §7
    ("format", lambda: sound(count=0, packets=())),
    ("format", lambda: sound(count=3)),
    ("format", lambda: sound(count=2**63)),
    ("format", lambda: sound(more=b"\0")),
    ("format", lambda: sound(number=1)),
    ("format", lambda: sound().packets(number=0)),
    ("format", lambda: Writer().metadata(("", ""))),
    ("format", lambda: Writer().metadata(("k" * 256, ""))),
    ("format", lambda: Writer().metadata(("a\0", ""))),
    ("format", lambda: Writer().metadata(more=b"\0")),
    ("format", lambda: Writer().add(record("meta", b"\x81\0"))),
    ("format", lambda: Writer().add(record("meta", b"\1" + text("k") + b"\1\xff"))),
    ("format", lambda: Writer().chapters((0, 0, "\n"))),
    ("format", lambda: Writer().add(record("head", header(token_stream(width=34))))),
    # §8
    ("format", lambda: Writer().chunk().end(frames=[6])),
    ("format", lambda: Writer().chunk().end(records=[2])),
    ("format", lambda: Writer().chunk().end(digests=[b"?" * 32])),
    ("format", lambda: Writer().chunk().end(count=2)),
    ("format", lambda: sound().end(frames=[0, 1])),
    ("format", lambda: sound().end(records=[0, 0])),
    ("format", lambda: Writer(token_stream(frames=6)).chunk().end()),
    ("format", lambda: Writer().chunk().end().index([])),
    ("format", lambda: Writer().chunk().end().index(more=b"\0")),
    ("format", lambda: Writer().chunk().end().index().tail((1, 1))),
    ("format", lambda: Writer().chunk().end().index().tail((0, 0))),
    ("format", lambda: Writer().end().tail((8, 40))),
    # §9
    ("limits", lambda: Writer().add(record("meta", bytes(2**20 + 1)))),
    ("limits", lambda: sound().add(record("pack", bytes(2**24 + 1), 1))),
]


def test_the_stream_of_records_that_belong_to_none_is_ignored() -> None:
    """§3.1"""
    plain, numbered = Writer(), Writer()
    plain.add(record("chap", b"\0")).chunk().end()
    numbered.add(record("chap", b"\0", 0)).chunk().end()
    assert read(numbered.data).error is None
    assert read(numbered.data) == read(plain.data)


@pytest.mark.parametrize(("kind", "build"), BROKEN)
def test_broken_rule(kind: str, build: Callable[[], Writer]) -> None:
    writer = build()
    error = read(writer.data).error
    assert error
    assert (error.kind, error.offset) == (kind, writer.offset), error


@pytest.mark.parametrize("place", range(2, 9))
def test_index_entry_that_differs(place: int) -> None:
    writer = Writer().chunk().chunk()
    first, second = writer.entries
    wrong = (*second[:place], second[place] ^ 1, *second[place + 1 :])
    assert fault(read(writer.end().index([first, wrong]).data)) == ("format", writer.offset, None)


def test_fault_names_the_chunk() -> None:
    writer = Writer().chunk().chunk(h=3)
    assert fault(read(writer.data)) == ("format", writer.offset, 1)


def test_limits_can_be_changed() -> None:
    writer = Writer().chunk().chunk(flags=LOST).end()
    assert read(writer.data, limits=Limits(lost_frames=8)).error is None
    assert fault(read(writer.data, limits=Limits(lost_frames=7))) == ("limits", writer.offsets[2], 1)


@pytest.mark.parametrize(
    "limits", [Limits(tokens=19), Limits(chunk=8), Limits(chunk_frames=7), Limits(side=32), Limits(small_payload=9)]
)
def test_each_limit(limits: Limits) -> None:
    error = read(Writer().chunk().end().data, limits=limits).error
    assert error
    assert error.kind == "limits"


# --- Numbers and coders ---


@pytest.mark.parametrize(("value", "stored"), [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02")])
def test_varint(value: int, stored: str) -> None:
    assert varint(value).hex() == stored
    assert Fields(bytes.fromhex(stored)).varint() == value


@pytest.mark.parametrize("stored", ["", "80", "8000", "80808080808080808002", "ffffffffffffffffffff01"])
def test_bad_varint(stored: str) -> None:
    with pytest.raises(LbitError):
        Fields(bytes.fromhex(stored)).varint()


@pytest.mark.parametrize("value", [0, -1, 1, -2, 2**63 - 1, -(2**63)])
def test_signed_varint(value: int) -> None:
    assert Fields(signed(value)).signed() == value


def test_times_of_packets_wrap() -> None:
    writer = Writer(token_stream(), packet_stream())
    writer.add(record("pack", b"\2" + signed(2**63 - 1) + b"\0\0\0" + signed(1) + b"\0\0\0", 1))
    assert [packet.time for packet in read(writer.data).packets[1]] == [2**63 - 1, -(2**63)]


def test_checksum() -> None:
    assert crc(b"123456789") == 0xCBF43926
    assert crc(b"") == 0


ZSTD_ZEROS = bytes.fromhex("28b52ffd") + b"\x20\x28" + struct.pack("<I", 1 | 1 << 1 | 40 << 3)[:3] + b"\0"
"""A frame of 10 bytes with one block that repeats a byte: the content is 40 zeros (RFC 8878, 3.1.1)."""


def zstd_file(stored: bytes, saved: int | None = None) -> Writer:
    """One chunk of two planes with 320 tokens: one plane that zstd made, and one that is packed."""
    saved = 40 - len(stored) if saved is None else saved
    wide = token_stream(width=160 * 8)
    return Writer(wide).chunk(
        latent_frames=1, w=160, bits=2, coder=1, stored=varint(saved) + b"\0" + stored + b"\xff" * 40
    )


def test_zstd() -> None:
    file = read(zstd_file(ZSTD_ZEROS).data)
    assert fault(file) == ("truncated", len(zstd_file(ZSTD_ZEROS).data), None)
    assert [chunk.tokens for chunk in file.chunks] == [[2] * 320]
    assert summary(file)["chunks"][0]["coder"] == "zstd"


@pytest.mark.parametrize(
    ("stored", "saved"),
    [
        (ZSTD_ZEROS + b"\0", None),
        (ZSTD_ZEROS[:-1], None),
        (ZSTD_ZEROS, 31),
        (b"", 40),
        (ZSTD_ZEROS.replace(b"\x20\x28", b"\x20\x29"), None),  # declares another size
        (ZSTD_ZEROS.replace(b"\x20\x28", b"\x00\x28"), None),  # declares none
        (ZSTD_ZEROS.replace(b"\x20\x28", b"\x21\x01\x28"), None),  # needs a dictionary
        (ZSTD_ZEROS * 2, None),
        (b"\x50\x2a\x4d\x18\1\0\0\0x" + ZSTD_ZEROS, None),  # a skippable frame
        (ZSTD_ZEROS.replace(b"\x20\x28", b"\x20\x27").replace(b"\x43\1", b"\x3b\1"), None),  # 39 bytes
    ],
)
def test_bad_zstd(stored: bytes, saved: int | None) -> None:
    writer = zstd_file(stored, saved)
    assert fault(read(writer.data)) == ("format", writer.offset, 0)


def cm_vector() -> list[tuple[bytes, bytes]]:
    """The test vector of §6.2: the planes, packed and coded."""
    text = SPEC.read_text(encoding="utf-8").split("### 6.2 cm")[1].split("### 6.3")[0]
    rows = re.findall(r"\| \d \| `([0-9a-f]+)` \| `([0-9a-f]+)` \|", text)
    return [(bytes.fromhex(packed), bytes.fromhex(coded)) for packed, coded in rows]


def cm_file(planes: list[bytes]) -> Writer:
    saved = b"".join(varint(17 - len(plane)) for plane in planes)
    return Writer(token_stream(width=88, height=48)).chunk(h=6, w=11, coder=2, stored=saved + b"".join(planes))


@pytest.mark.parametrize("packed", [[], [0], [1], [0, 2], [0, 1, 2]])
def test_cm(packed: list[int]) -> None:
    planes = [row[0] if i in packed else row[1] for i, row in enumerate(cm_vector())]
    chunk = read(cm_file(planes).data).chunks[0]
    assert (chunk.planes, chunk.coder) == (tuple(row[0] for row in cm_vector()), "cm")


def test_bad_cm() -> None:
    planes = [row[1] for row in cm_vector()]
    for wrong in (planes[0] + b"\0", bytes(15) + b"\1"):  # A last byte of zero, and bytes that nobody asks for.
        writer = cm_file([wrong, *planes[1:]])
        assert fault(read(writer.data)) == ("format", writer.offset, 0)


# --- Truncation and damage ---


# --- Depths (§5.8, §6.3) ---


def elastic(stored: bytes, bits: int = 3, *, least: int = 1, **changes: Any) -> bytes:
    """One chunk of a picture with depths in steps of 2, of ten tokens of 3 bits if nothing else is said."""
    stream = token_stream(**{"depth_step": b"\x02"} | changes)
    head = header(stream, minor=1, least=least)
    writer = Writer(stream, head=head)
    writer.chunk(latent_frames=1, flags=KEY | DEPTHS, bits=bits, reserved=2, stored=stored)
    return writer.data


def test_example_of_layers() -> None:
    """The example of §5.8."""
    tokens, depths = [5, 1, 2, 7, 0, 4, 3, 6, 1, 5], [3, 0, 2, 3, 0, 3, 2, 3, 2, 3]
    packed = layers(tokens, depths, 3, 2)
    assert [layer.hex() for layer in packed] == ["ed03d536", "ad1f"]
    stored = layer_lengths(packed, [False, False]) + b"".join(packed)
    assert stored.hex() == "1007" + "ed03d536" + "ad1f"
    chunk = read(elastic(stored)).chunks[0]
    assert chunk.depths == tuple(depths)
    assert chunk.tokens == [5, 0, 2, 7, 0, 4, 3, 6, 1, 5]


def test_dropped_layers() -> None:
    packed = layers([5, 1, 2, 7, 0, 4, 3, 6, 1, 5], [3, 0, 2, 3, 0, 3, 2, 3, 2, 3], 3, 2)[:1]
    chunk = read(elastic(layer_lengths(packed, [False]) + packed[0], bits=2)).chunks[0]
    assert chunk.depths == (2, 0, 2, 2, 0, 2, 2, 2, 2, 2)
    assert chunk.tokens == [1, 0, 2, 3, 0, 0, 3, 2, 1, 1]


def test_vector_of_layers() -> None:
    """The test vector of §6.3."""
    rows = re.findall(r"\| \d \| `(\w+)` \| `(\w+)` \|", SPEC.read_text(encoding="utf-8").split("### 6.3 Layers")[1])
    packed, coded = ([bytes.fromhex(row[i]) for row in rows] for i in (0, 1))
    assert len(rows) == 2
    changes: dict[str, Any] = {"width": 11 * 8, "height": 6 * 8, "chunk": 2}
    stream = token_stream(depth_step=b"\x02", **changes)
    read_chunks = []
    for coder, layer_bytes in ((0, packed), (2, coded)):
        writer = Writer(stream, head=header(stream, minor=1, least=1))
        stored = layer_lengths(layer_bytes, [coder > 0] * 2) + b"".join(layer_bytes)
        writer.chunk(flags=KEY | DEPTHS, reserved=2, coder=coder, stored=stored, t=2, h=6, w=11)
        read_chunks.append(read(writer.data).chunks[0])
    plain, mixed = read_chunks
    assert plain.depths == mixed.depths
    assert plain.planes == mixed.planes
    expected = [
        {0: 3, 1: 2}.get((abs(x - 5) + 2 * abs(y - 3)) // 3 + time, 0)
        for time in range(2) for y in range(6) for x in range(11)
    ]  # fmt: skip
    assert list(plain.depths or ()) == expected


def test_a_step_that_may_be_ignored_is_none() -> None:
    stream = token_stream(depth_step=b"\x02")
    head = parse_header(header(stream, minor=9), Limits())
    assert isinstance(head.streams[0], TokenStream)
    assert head.streams[0].depth_step == 0


@pytest.mark.parametrize(
    "stored",
    [
        layer_lengths([b"12345"], [False]) + b"12345",  # one layer of two
        layer_lengths([b"\xed\x03\xd5\x36", b"\xad"], [False, False]) + b"\xed\x03\xd5\x36\xad",  # too short
        layer_lengths([b"\xed\x07\xd5\x36", b"\xad\x1f"], [False] * 2) + b"\xed\x07\xd5\x36\xad\x1f",  # spare bits
        layer_lengths([b"\0\0", b"1"], [False, False]) + b"\0\0" + b"1",  # of no token
        b"\x09\x00",  # shorter than nothing
        b"\x12\x07" + b"\xed\x03\xd5\x36\xad\x1f",  # coded, without a coder
    ],
)
def test_bad_layers(stored: bytes) -> None:
    file = read(elastic(stored))
    assert file.error is not None
    assert file.error.kind == "format"
    assert not file.chunks


def test_truncated_anywhere() -> None:
    writer = rich()
    whole = read(writer.data)
    after_end = writer.offsets[-3]
    for size in range(len(writer.data)):
        file = read(writer.data[:size])
        offset = max((o for o in (0, *writer.offsets, after_end) if o <= size), default=0)
        assert (fault(file) or ())[:2] == (() if size >= after_end else ("truncated", offset)), size
        assert file.chunks == whole.chunks[: len(file.chunks)]
        again = read(writer.data[:size], recover=True)
        assert (again.chunks, fault(again)) == (file.chunks, fault(file))


def test_every_byte_matters() -> None:
    writer = rich()
    whole = {(c.stream, c.number): c.planes for c in read(writer.data).chunks}
    for place in range(len(writer.data)):
        data = bytearray(writer.data)
        data[place] ^= 0x20
        assert read(bytes(data)).error, place
        file = read(bytes(data), recover=True)
        assert file.error
        assert {(c.stream, c.number): c.planes for c in file.chunks}.items() <= whole.items()
        assert sum(lost.bytes for lost in file.lost) < 400
        assert len(file.chunks) >= len(whole) - 1


def test_random_damage_raises_nothing() -> None:
    chance = random.Random(7)
    good = rich().data
    for _ in range(400):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            a = chance.randrange(len(data))
            b = min(len(data), a + chance.randrange(60))
            data[a:b] = chance.choice([b"", chance.randbytes(b - a), bytes(data[b : b + 90])])
        for recover in (False, True):
            json.dumps(summary(read(bytes(data), recover=recover), tokens=True))


def test_random_fields_with_right_checksums_raise_nothing() -> None:
    chance = random.Random(8)
    good = rich()
    ends = [*good.offsets[1:], len(good.data)]
    records = [(record_at(good.data, a), good.data[a + 28 : b - 4]) for a, b in zip(good.offsets, ends, strict=True)]
    for _ in range(400):
        data, which = MAGIC, chance.randrange(len(records))
        for i, (head, payload) in enumerate(records):
            changed = bytearray(payload)
            if i == which and payload:
                changed[chance.randrange(len(payload))] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
            data += record(head.type, bytes(changed), head.stream, sequence=head.sequence)
        for recover in (False, True):
            json.dumps(summary(read(data, recover=recover), tokens=True))


# --- Recovery (§10.2) ---


def five() -> Writer:
    """Offsets: 0 HEAD, 1 to 5 chunks of which 0 and 3 are key chunks, 6 copy of the header, 7 ENDS, 8 index, 9 tail."""
    writer = Writer().chunk().chunk().chunk().chunk(flags=KEY).chunk()
    return writer.header_copy().end().index().tail()


Fault = tuple[str, int, int | None] | None


def recovered(data: bytes) -> tuple[list[int], list[tuple[int, int, str]], list[Any], Fault]:
    """Numbers of chunks, lost stretches, missing chunks, and the first fault, which a strict reading finds, too."""
    file = read(data, recover=True)
    assert fault(file) == fault(read(data))
    return (
        [chunk.number for chunk in file.chunks],
        [(lost.offset, lost.bytes, lost.kind) for lost in file.lost],
        [(m.stream, m.chunks, m.frames) for m in file.missing],
        fault(file),
    )


def test_step_1_bad_record_header() -> None:
    writer = five()
    a, b = writer.offsets[2:4]
    data = writer.data[: a + 9] + b"?" + writer.data[a + 10 :]
    assert recovered(data) == ([0, 2, 3, 4], [(a, b - a, "format")], [(0, (1, 2), (5, 13))], ("format", a, None))


def test_step_1_bytes_between_records() -> None:
    writer = five()
    a = writer.offsets[2]
    data = writer.data[:a] + b"\xa7LB\n" * 20 + writer.data[a:]
    numbers, lost, missing, error = recovered(data)
    assert (numbers, lost, missing, error) == ([0, 1, 2, 3, 4], [(a, 80, "format")], [], ("format", a, None))


def test_step_2_bad_payload() -> None:
    writer = five()
    a, b = writer.offsets[2:4]
    data = writer.data[: a + 30] + b"?" + writer.data[a + 31 :]
    assert recovered(data) == ([0, 2, 3, 4], [(a, b - a, "format")], [(0, (1, 2), (5, 13))], ("format", a, 1))


def test_step_2_bytes_lost_in_a_payload() -> None:
    writer = five()
    a, b = writer.offsets[2:4]
    data = writer.data[: a + 30] + writer.data[a + 33 :]
    assert recovered(data) == ([0, 2, 3, 4], [(a, b - a - 3, "format")], [(0, (1, 2), (5, 13))], ("format", a, 1))


def test_step_2_bad_payload_at_the_end() -> None:
    writer = Writer().chunk().chunk()
    data, a = writer.data[:-1] + b"?", writer.offset
    assert recovered(data) == ([0], [(a, len(data) - a, "format")], [], ("format", a, 1))


def test_step_3_record_past_the_end() -> None:
    writer = Writer().chunk().chunk()
    a = writer.offset
    data = writer.data[: a + 28] + record("xabc", b"")
    assert recovered(data) == ([0], [(a, 28, "truncated")], [], ("truncated", a, 1))


def test_step_4_broken_rules() -> None:
    writer = Writer().chunk()
    writer.chunk(h=3)
    a = writer.offset
    writer.records[0], writer.frames[0] = 1, 5
    writer.chunk().chunk(number=1)
    b = writer.offset
    writer.records[0] = 3
    writer.metadata(("", ""))
    c = writer.offset
    numbers, lost, missing, error = recovered(writer.data)
    assert numbers == [0, 1]
    assert [offset for offset, _, _ in lost] == [a, b, c]
    assert (missing, error) == ([], ("format", a, 1))


def test_step_5_missing_chunks() -> None:
    writer = five()
    data = writer.data[: writer.offsets[2]] + writer.data[writer.offsets[4] :]
    place = writer.offsets[2]
    assert recovered(data) == ([0, 3, 4], [], [(0, (1, 3), (5, 21))], ("format", place, 3))
    data = writer.data[: writer.offsets[3]] + writer.data[writer.offsets[7] :]
    assert recovered(data) == ([0, 1], [], [(0, (2, 5), (13, 34))], ("format", writer.offsets[3], None))


def test_step_5_missing_chunks_that_do_not_fit() -> None:
    for first_frame in (1, 17):
        writer = Writer().chunk(number=2, first_frame=first_frame)
        stretch = (writer.offset, len(writer.data) - writer.offset, "format")
        assert recovered(writer.data) == ([], [stretch], [], ("format", writer.offset, 2))
    for first_frame in (2, 16):
        writer = Writer().chunk(number=2, first_frame=first_frame)
        assert recovered(writer.data)[2] == [(0, (0, 2), (0, first_frame))]
    for frames in (1, 9):
        assert read(Writer().chunk().end(frames=[5 + frames], records=[2]).data, recover=True).missing == [
            *([Missing(0, (1, 2), (5, 6))] if frames == 1 else [])
        ]


def test_step_5_packets() -> None:
    writer = sound().packets(number=4).end()
    assert recovered(writer.data) == ([], [], [(1, (1, 4), None)], ("format", writer.offsets[2], None))


def test_step_5_a_few_bytes_ask_for_many_frames() -> None:
    writer = Writer().chunk(number=2**40, first_frame=2**40)
    assert fault(read(writer.data)) == ("format", writer.offset, 2**40)
    assert fault(read(writer.data, recover=True)) == ("limits", writer.offset, 2**40)


def test_ancillary_records_may_follow_the_end_record() -> None:
    assert read(Writer().end().chapters().header_copy().data).error is None


def test_step_5_the_chunk_after_need_not_be_a_key_chunk() -> None:
    writer = Writer().chunk(frames=3).chunk(flags=KEY).chunk().end()
    data = writer.data[: writer.offsets[2]] + writer.data[writer.offsets[3] :]
    assert recovered(data)[0] == [0, 2]


@pytest.mark.parametrize("place", [0, 12, 50])
def test_step_6_magic_or_header_damaged(place: int) -> None:
    writer = five()
    data = writer.data[:place] + b"?" + writer.data[place + 1 :]
    stretch = (0, 8) if place == 0 else (8, writer.offsets[1] - 8)
    assert recovered(data) == ([0, 1, 2, 3, 4], [(*stretch, "format")], [], ("format", stretch[0], None))


def test_step_6_the_first_part_is_gone() -> None:
    writer = five()
    a = writer.offsets[3]
    data = writer.data[a + 3 :]
    assert recovered(data) == (
        [3, 4], [(0, writer.offsets[4] - a - 3, "format")], [(0, (0, 3), (0, 21))], ("format", 0, None),
    )  # fmt: skip


def test_step_6_no_header() -> None:
    data = Writer().chunk().data[9:]
    assert recovered(data) == ([], [(0, len(data), "format")], [], ("format", 0, None))
    assert recovered(b"") == ([], [], [], ("truncated", 0, None))


def test_a_chunk_of_another_file() -> None:
    other = Writer(token_stream(width=34)).chunk()
    writer = Writer().chunk().add(other.data[other.offset :]).chunk().end()
    numbers, lost, missing, _ = recovered(writer.data)
    assert (numbers, [o for o, _, _ in lost], missing) == ([0, 1], [writer.offsets[2]], [])


def test_index_after_damage_is_not_compared() -> None:
    writer = five()
    data = writer.data[: writer.offsets[1]] + b"?" + writer.data[writer.offsets[1] :]
    file = read(data, recover=True)
    assert (file.index, len(file.lost)) == (None, 1)


def test_search_needs_a_right_checksum() -> None:
    good = record("abcd", b"")
    assert find_record(b"\xa7LB\n" + good[:10] + good, 0) == 14
    assert find_record(good[:20], 0) == 20


def test_grid_with_patches() -> None:
    stream = parse_header(header(token_stream(k_h=3, k_w=2, k_t=2)), Limits()).streams[0]
    assert isinstance(stream, TokenStream)
    assert stream.grid(3) == (2, 1, 3)


# --- The command ---


def run(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, READER / "lbit.py", path, *options], capture_output=True, text=True, check=False
    )


def test_command(tmp_path: Path) -> None:
    path = tmp_path / "file.lbit"
    path.write_bytes(rich().data)
    done = run(path, "--tokens")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == json.loads(json.dumps(summary(read(rich().data), tokens=True)))
    assert re.fullmatch(r".*file\.lbit: 7 chunks, 32 frames, 3 packets\n", run(path).stdout)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (Writer().chunk().data, 4),
        (Writer().chunk().end(count=7).data, 3),
        (Writer().add(record("Abcd", b"")).data, 1),
        (b"", 4),
        (b"hello", 3),
    ],
)
def test_exit_codes(tmp_path: Path, data: bytes, code: int) -> None:
    path = tmp_path / "file.lbit"
    path.write_bytes(data)
    for options in (["--json"], ["--json", "--recover"]):
        done = run(path, *options)
        assert done.returncode == code
        assert json.loads(done.stdout)["error"]
        assert done.stderr


def test_no_such_file(tmp_path: Path) -> None:
    assert run(tmp_path / "none").returncode == 1


def test_checksums_of_stretches() -> None:
    chance = random.Random(3)
    data = chance.randbytes(20_000)
    sums = Checksums(data)
    for _ in range(300):
        start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        assert sums.of(start, end) == crc(data[start:end])
