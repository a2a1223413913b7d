"""A tiny writer of `.lbit` files for the tests, from the text alone. Any field can be made wrong."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from collections.abc import Sequence
from typing import Any

MAGIC = b"\x8cLBIT\r\n\x1a"
NO_STREAM = 0xFFFF
KEY, LOST, TIMES, DEPTHS = 1, 2, 4, 8
TOKENS, PACKETS = 1, 2

Entry = tuple[int, ...]


def varint(value: int) -> bytes:
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])


def signed(value: int) -> bytes:
    return varint(2 * value if value >= 0 else -2 * value - 1)


def text(value: str) -> bytes:
    return varint(len(value.encode())) + value.encode()


def record(
    name: str, payload: bytes, stream: int = NO_STREAM, *, sequence: int = 0, version: int = 0, flags: int = 0
) -> bytes:
    header = struct.pack("<4s4sBBHIQ", b"\xa7LB\n", name.encode(), version, flags, stream, len(payload), sequence)
    return header + struct.pack("<I", zlib.crc32(header)) + payload + struct.pack("<I", zlib.crc32(payload))


def token_stream(**changes: Any) -> tuple[int, bytes]:
    """33x16 pixels, 3 of 18 bits, 2 latent frames in a full chunk: a grid of 2x2x5."""
    fields: dict[str, Any] = {
        "width": 33, "height": 16, "rate": 25, "rate_over": 1, "base": 1, "base_over": 25, "duration": 1, "aspect": 1,
        "aspect_over": 1, "frames": 2**64 - 1, "primaries": 1, "transfer": 13, "matrix": 0, "range": 2, "chroma": 4,
        "location": 0, "samples": 8, "bits": 3, "bundle_bits": 18, "k_t": 1, "k_h": 1, "k_w": 1, "s_t": 4, "s_h": 8,
        "s_w": 8, "name_bytes": None, "chunk": 2, "reserved": 0, "sha": bytes(range(32)), "name": b"tiny",
        "depth_step": b"",
    }  # fmt: skip
    assert changes.keys() <= fields.keys()
    fields |= changes
    name, depth_step = fields.pop("name"), fields.pop("depth_step")
    if fields["name_bytes"] is None:
        fields["name_bytes"] = len(name)
    return TOKENS, struct.pack("<9IQ16BHH32s", *fields.values()) + name + depth_step


def packet_stream(
    *, base: int = 1, codec: str = "A_OPUS", language: str = "en", title: str = "", private: bytes = b""
) -> tuple[int, bytes]:
    fixed = struct.pack("<IIBBHIHHQQ", base, 1000, 1, 1, 2, 48000, 0, 0, 6_500_000, 80_000_000)
    return PACKETS, fixed + text(codec) + text(language) + text(title) + varint(len(private)) + private


def header(
    *streams: tuple[int, bytes], major: int = 1, minor: int = 0, least: int = 0, count: int | None = None
) -> bytes:
    descriptions = b"".join(struct.pack("<IB3x", len(body), kind) + body for kind, body in streams)
    return struct.pack("<4H", major, minor, least, len(streams) if count is None else count) + descriptions


def pack(tokens: Sequence[int], bits: int) -> list[bytes]:
    """§5.3, bit by bit."""
    planes = []
    for j in range(bits):
        plane = bytearray(-(-len(tokens) // 8))
        for i, token in enumerate(tokens):
            plane[i // 8] |= (token >> j & 1) << i % 8
        planes.append(bytes(plane))
    return planes


def bits_to_bytes(bits: Sequence[int]) -> bytes:
    """Eight to a byte, the first lowest."""
    return sum(bit << i for i, bit in enumerate(bits)).to_bytes(-(-len(bits) // 8), "little")


def layers(tokens: Sequence[int], depths: Sequence[int], bits: int, step: int) -> list[bytes]:
    """§5.8: the packed layers."""
    result, here = [], list(range(len(tokens)))
    for first in range(0, bits, step):
        packed = bits_to_bytes([int(depths[i] > first) for i in here])
        here = [i for i in here if depths[i] > first]
        for plane in range(first, min(first + step, bits)):
            packed += bits_to_bytes([tokens[i] >> plane & 1 for i in here])
        result.append(packed)
    return result


def layer_lengths(stored: Sequence[bytes], coded: Sequence[bool]) -> bytes:
    """§5.8: what stands before the layers."""
    table, before = b"", 0
    for layer, is_coded in zip(stored, coded, strict=True):
        table += signed(2 * (len(layer) - before) + is_coded)
        before = len(layer)
    return table


class Writer:
    """Adds records one after the other, and counts what the end of a file needs."""

    def __init__(self, *streams: tuple[int, bytes], head: bytes | None = None) -> None:
        self.streams = streams or (token_stream(),)
        self.head = header(*self.streams) if head is None else head
        self.random = random.Random(1)
        self.data = MAGIC
        self.offset = 0  # of the last record
        self.frames = [0] * len(self.streams)
        self.records = [0] * len(self.streams)
        self.digests = [hashlib.sha256() for _ in self.streams]
        self.entries: list[Entry] = []
        self.index_place = (0, 0)
        self.tokens: list[list[int]] = []
        self.offsets: list[int] = []
        self.add(record("HEAD", self.head))

    def add(self, data: bytes) -> Writer:
        self.offset = len(self.data)
        self.offsets.append(self.offset)
        self.data += data
        return self

    def chunk(self, **changes: Any) -> Writer:
        """A full chunk of random tokens, a key chunk if it is the first; `stored` replaces the planes."""
        stream = changes.pop("stream", 0)
        number = changes.pop("number", self.records[stream])
        stored, durations = changes.pop("stored", None), changes.pop("durations", None)
        fields: dict[str, Any] = {
            "checksum": zlib.crc32(self.head), "first_frame": self.frames[stream], "start": self.frames[stream],
            "frames": None, "segment": 0, "latent_frames": 2, "flags": 0 if number else KEY, "bits": 3,
            "t": None, "h": 2, "w": 5, "coder": 0, "reserved": 0,
        }  # fmt: skip
        assert changes.keys() <= fields.keys()
        fields |= changes
        latent_frames, flags = fields["latent_frames"], fields["flags"]
        if fields["t"] is None:
            fields["t"] = latent_frames
        if fields["frames"] is None:
            fields["frames"] = 1 + 4 * (latent_frames - 1) if flags & KEY else 4 * latent_frames
        if flags & LOST and "bits" not in changes:
            fields["bits"] = 0
        bits, t, h, w = (fields[key] for key in ("bits", "t", "h", "w"))
        tokens = [self.random.randrange(1 << bits) for _ in range(t * h * w if stored is None else 0)]
        planes = pack(tokens, bits)
        payload = struct.pack("<IQqIIHBBHHHBB", *fields.values())
        if durations is not None:
            payload += b"".join(map(varint, durations))
        payload += b"".join(planes) if stored is None else stored
        self.add(record("CHNK", payload, stream, sequence=number))
        if not flags & LOST and stored is None:
            self.digests[stream].update(struct.pack("<BIII", bits, t, h, w) + b"".join(planes))
        size = len(self.data) - self.offset
        self.entries.append((
            stream, self.offset, size, fields["frames"], latent_frames, flags & KEY, bits, fields["segment"],
            fields["start"],
        ))  # fmt: skip
        if not flags & LOST:
            self.tokens.append(tokens)
        self.frames[stream], self.records[stream] = self.frames[stream] + fields["frames"], number + 1
        return self

    def packets(
        self, packets: Sequence[tuple[int, bytes]] = ((0, b"ab"), (20, b"")), *, stream: int = 1,
        number: int | None = None, version: int = 0, count: int | None = None, more: bytes = b"",
    ) -> Writer:  # fmt: skip
        """Packets of a time and data; those at odd times have a decoding time that is 7 earlier."""
        entries, before = b"", 0
        for time, data in packets:
            entries += signed(time - before)
            entries += varint(3) + signed(-7) if time & 1 else varint(1)
            entries += varint(20) + varint(len(data))
            before = time
            self.digests[stream].update(struct.pack("<Q", len(data)) + data)
        payload = varint(len(packets) if count is None else count) + entries
        payload += b"".join(data for _, data in packets) + more
        number = self.records[stream] if number is None else number
        self.records[stream] = number + 1
        return self.add(record("pack", payload, stream, sequence=number, version=version))

    def end(
        self, *, frames: list[int] | None = None, records: list[int] | None = None, digests: list[bytes] | None = None,
        count: int | None = None, more: bytes = b"",
    ) -> Writer:  # fmt: skip
        frames, records = frames or self.frames, records or self.records
        digests = digests or [digest.digest() for digest in self.digests]
        totals = b"".join(struct.pack("<QQ32s", *each) for each in zip(frames, records, digests, strict=True))
        return self.add(record("ENDS", struct.pack("<HH", len(frames) if count is None else count, 0) + totals + more))

    def index(self, entries: Sequence[Entry] | None = None, *, version: int = 0, more: bytes = b"") -> Writer:
        entries = self.entries if entries is None else entries
        payload, end = varint(len(entries)), 0
        before: dict[int, tuple[int, int]] = {}
        for stream, offset, size, frames, latent_frames, flags, bits, segment, start in entries:
            old_segment, old_start = before.get(stream, (0, 0))
            payload += b"".join(map(varint, (stream, offset - end, size, frames, latent_frames))) + bytes([flags, bits])
            payload += varint(segment - old_segment) + signed(start - old_start)
            end, before[stream] = offset + size, (segment, start)
        self.add(record("indx", payload + more, version=version))
        self.index_place = self.offset, len(self.data) - self.offset
        return self

    def tail(self, place: tuple[int, int] | None = None) -> Writer:
        return self.add(record("tail", struct.pack("<QI", *(place or self.index_place))))

    def metadata(self, *entries: tuple[str, str], stream: int = NO_STREAM, more: bytes = b"") -> Writer:
        payload = varint(len(entries)) + b"".join(text(key) + text(value) for key, value in entries)
        return self.add(record("meta", payload + more, stream))

    def chapters(self, *chapters: tuple[int, int, str]) -> Writer:
        payload = b"".join(varint(start) + varint(length) + text(title) for start, length, title in chapters)
        return self.add(record("chap", varint(len(chapters)) + payload))

    def header_copy(self) -> Writer:
        return self.add(record("head", self.head))


def rich() -> Writer:
    """A file with everything: two streams of tokens, one of packets, one of an unknown kind, and a lost chunk."""
    second = token_stream(width=8, height=8, frames=2, chunk=1, bits=2, s_t=1, s_h=8, s_w=4, bundle_bits=2, k_w=2)
    writer = Writer(token_stream(), packet_stream(private=b"\1\2"), (77, b"what"), second)
    writer.metadata(("title", "old"), ("encoder", "a\nb")).chapters((0, 5, "gone"))
    writer.packets().chunk().chunk(start=-2 + 9, flags=TIMES, durations=(1, 2, 3, 4, 0, 300, 2**32 - 1, 1))
    writer.chunk(stream=3, latent_frames=1, t=1, h=1, w=1, bits=2, start=-5, frames=1)
    writer.add(record("CHNK", b"anything", 2)).add(record("pack", b"", 2, sequence=9)).add(record("xtra", b"x", 99))
    writer.header_copy().packets([(41, b"q" * 300)]).chunk(flags=LOST, start=13).chunk(start=21)
    writer.metadata(("title", "new")).metadata(("title", "Ton"), stream=1).chapters((1, 2, "one"), (3, 4, "two"))
    writer.chunk(stream=3, latent_frames=1, t=1, h=1, w=1, bits=1, start=-5, frames=1, segment=2, flags=KEY)
    writer.chunk(start=30, flags=KEY, segment=7, latent_frames=1, frames=1)
    return writer.end().index().add(record("indy", b"")).tail()
