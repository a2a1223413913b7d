"""The parts of `.lbit` files: numbers, records, headers, planes, index. Numbers after § are sections of `lbit-1.md`."""

from __future__ import annotations

import unicodedata
import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import cm
import zstd_frame

MAGIC = bytes.fromhex("8c4c4249540d0a1a")  # §2
SYNC = bytes.fromhex("a74c420a")  # §3.1
HEADER_BYTES, CHECKSUM_BYTES = 28, 4  # §3.1
NO_STREAM = 0xFFFF  # §3.1
KEY, LOST, TIMES, DEPTHS = 1, 2, 4, 8  # §5.1
CODERS = ("raw", "zstd", "cm")  # §6
KNOWN = ("HEAD", "CHNK", "ENDS", "pack", "meta", "chap", "atch", "head", "indx", "tail")  # §3.2

Kind = Literal["format", "truncated", "unsupported", "limits"]
Ratio = tuple[int, int]
Sides = tuple[int, int, int]


class LbitError(ValueError):
    """A fault, of a class of §10.1. Offset is that of the record; chunk its number, if it is a chunk."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.offset = 0
        self.chunk: int | None = None


def require(condition: bool, message: str, kind: Kind = "format") -> None:
    """Raises a fault unless the condition holds."""
    if not condition:
        raise LbitError(kind, message)


@dataclass(frozen=True)
class Limits:
    """§9: what a reader takes at most."""

    side: int = 16384
    small_payload: int = 1 << 20
    streams: int = 64
    chunk: int = 64 << 20
    chunk_frames: int = 4096
    tokens: int = 1 << 22
    packets: int = 16 << 20
    packet_count: int = 1 << 16
    metadata_entries: int = 1 << 16
    metadata_bytes: int = 16 << 20
    attachments: int = 64 << 20
    index: int = 16 << 20
    lost_frames: int = 1 << 18

    def payload(self, record_type: str) -> int | None:
        """The longest payload of a known type."""
        longer = {
            "CHNK": self.chunk, "pack": self.packets, "atch": self.attachments, "indx": self.index, "tail": None,
        }  # fmt: skip
        return longer.get(record_type, self.small_payload)


class Fields:
    """Takes the fields of a payload, one after the other (§1.1)."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def left(self) -> int:
        return len(self.data) - self.position

    def take(self, count: int) -> bytes:
        require(count <= self.left(), "a field reaches past the end")
        self.position += count
        return self.data[self.position - count : self.position]

    def uint(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def uints(self, count: int, size: int) -> list[int]:
        return [self.uint(size) for _ in range(count)]

    def ratio(self, least_numerator: int) -> Ratio:
        numerator, denominator = self.uints(2, 4)
        require(numerator >= least_numerator and denominator >= 1, "a ratio has a zero")
        return numerator, denominator

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.uint(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            require(shift < 70, "a varint has more than ten bytes")
        require(value < 1 << 64, "a varint is 2^64 or more")
        require(byte > 0 or shift == 0, "a varint is longer than it needs to be")
        return value

    def signed(self) -> int:
        value = self.varint()
        return -(value + 1 >> 1) if value & 1 else value >> 1

    def string(self, size: int, *, control: bool = False) -> str:
        try:
            text = self.take(size).decode("utf-8")
        except UnicodeDecodeError as error:
            raise LbitError("format", "a text is not UTF-8") from error
        require(control or all(unicodedata.category(c) != "Cc" for c in text), "a text has control characters")
        return text

    def text(self, *, control: bool = False) -> str:
        return self.string(self.varint(), control=control)

    def end(self) -> None:
        require(self.left() == 0, "something follows the last field")


def crc(data: bytes, before: int = 0) -> int:
    """§3.3: zlib's CRC-32 is CRC-32/ISO-HDLC. That of what came before the data, if anything did, is `before`."""
    return zlib.crc32(data, before)


def _times(a: int, b: int) -> int:
    """The product of two polynomials modulo that of the CRC, both reflected: bit 31 is the coefficient of x^0."""
    product = 0
    while a:
        if a >> 31:
            product ^= b
        a = a << 1 & 0xFFFF_FFFF
        b = b >> 1 ^ 0xEDB8_8320 if b & 1 else b >> 1
    return product


class Checksums:
    """Checksums of any stretches of some bytes, at a bounded cost for each (§9.1): that of a stretch follows from those
    of the bytes before its start and before its end."""

    BLOCK = 256

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.blocks = [0]  # of all bytes before each block, as far as they were asked for
        self.powers = [1 << 30]  # x to the power of 1, 2, 4, 8, ...

    def before(self, end: int) -> int:
        while len(self.blocks) <= end // self.BLOCK:
            at = (len(self.blocks) - 1) * self.BLOCK
            self.blocks.append(crc(self.data[at : at + self.BLOCK], self.blocks[-1]))
        whole = end // self.BLOCK
        return crc(self.data[whole * self.BLOCK : end], self.blocks[whole])

    def of(self, start: int, end: int) -> int:
        if end - start <= 2 * self.BLOCK:
            return crc(self.data[start:end])
        shift, bits, number = 1 << 31, 8 * (end - start), 0
        while bits:
            if len(self.powers) == number:
                self.powers.append(_times(self.powers[-1], self.powers[-1]))
            if bits & 1:
                shift = _times(shift, self.powers[number])
            bits, number = bits >> 1, number + 1
        return self.before(end) ^ _times(shift, self.before(start))


def wrap(value: int) -> int:
    """A sum of times modulo 2^64, as a signed number (§1.1)."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def ceil_div(a: int, b: int) -> int:
    """The quotient, rounded up."""
    return -(-a // b)


# --- Header (§4) ---


@dataclass(frozen=True)
class TokenStream:
    """§4.3."""

    width: int
    height: int
    frame_rate: Ratio
    time_base: Ratio
    frame_duration: int
    pixel_aspect: Ratio
    frames: int | None
    color: tuple[int, int, int, int]
    chroma: int
    chroma_location: int
    sample_bits: int
    bits: int
    bundle_bits: int
    patch: Sides
    strides: Sides
    chunk_latent_frames: int
    bundle_sha256: bytes
    bundle_name: str
    depth_step: int  # 0: a plain stream

    @property
    def chunk_frames(self) -> int:
        """The most frames that a chunk of this stream, or a missing one, may have (§10.2)."""
        return self.strides[0] * self.chunk_latent_frames

    def grid(self, latent_frames: int) -> Sides:
        """§5.2."""
        (k_t, k_h, k_w), (_, s_h, s_w) = self.patch, self.strides
        return ceil_div(latent_frames, k_t), ceil_div(self.height, s_h * k_h), ceil_div(self.width, s_w * k_w)


@dataclass(frozen=True)
class PacketStream:
    """§4.4."""

    time_base: Ratio
    purpose: int
    flags: int
    channels: int
    sample_rate: int
    sample_bits: int
    codec_delay: int
    seek_preroll: int
    codec: str
    language: str
    title: str
    private: bytes


@dataclass(frozen=True)
class UnknownStream:
    """A kind of a later version; its records are skipped (§4.1)."""

    number: int


Stream = TokenStream | PacketStream | UnknownStream


@dataclass(frozen=True)
class Header:
    """§4.1, with the payload and its checksum, which chunks (§5.1) and copies (§7.4) repeat."""

    major: int
    minor: int
    streams: tuple[Stream, ...]
    payload: bytes
    checksum: int


def triple(values: list[int]) -> Sides:
    """Three sides, each 1 or more (§4.3)."""
    require(min(values) >= 1, "a patch or stride is 0")
    return values[0], values[1], values[2]


def parse_tokens(fields: Fields, limits: Limits, least_minor: int) -> TokenStream:
    """§4.3."""
    width, height = fields.uints(2, 4)
    require(width >= 1 and height >= 1, "a frame without pixels")
    require(max(width, height) <= limits.side, "a frame is too large", "limits")
    frame_rate, time_base = fields.ratio(0), fields.ratio(1)
    frame_duration = fields.uint(4)
    pixel_aspect = fields.ratio(0)
    frames = fields.uint(8)
    primaries, transfer, matrix, sample_range, chroma, location, sample_bits, bits, bundle_bits = fields.uints(9, 1)
    require(sample_range <= 2 and chroma <= 4 and location <= 6, "an unknown range, chroma sampling or location")
    require(1 <= sample_bits <= 16, "bits per sample are not 1 to 16")
    require(1 <= bits <= bundle_bits <= 64, "bits per token are not 1 to 64, or more than the bundle's")
    patch, strides = triple(fields.uints(3, 1)), triple(fields.uints(3, 1))
    name_bytes = fields.uint(1)
    require(name_bytes >= 1, "the bundle has no name")
    chunk_latent_frames = fields.uint(2)
    require(chunk_latent_frames >= 1, "a full chunk has no latent frames")
    require(strides[0] * chunk_latent_frames <= limits.chunk_frames, "a full chunk has too many frames", "limits")
    fields.take(2)
    sha256, name = fields.take(32), fields.string(name_bytes)
    depth_step = fields.uint(1) if least_minor >= 1 and fields.left() else 0
    require(depth_step <= 64, "the step of depths is above 64")
    stream = TokenStream(
        width, height, frame_rate, time_base, frame_duration, pixel_aspect, None if frames == 2**64 - 1 else frames,
        (primaries, transfer, matrix, sample_range), chroma, location, sample_bits, bits, bundle_bits, patch, strides,
        chunk_latent_frames, sha256, name, depth_step,
    )  # fmt: skip
    require(max(stream.grid(chunk_latent_frames)) < 1 << 16, "a side of the grid is 2^16 or more")
    return stream


def parse_packets_stream(fields: Fields) -> PacketStream:
    """§4.4."""
    time_base = fields.ratio(1)
    purpose, flags = fields.uints(2, 1)
    channels, sample_rate, sample_bits = fields.uint(2), fields.uint(4), fields.uint(2)
    fields.take(2)
    codec_delay, seek_preroll = fields.uints(2, 8)
    codec, language, title = fields.text(), fields.text(), fields.text()
    require(1 <= len(codec) <= 64 and all("!" <= c <= "~" for c in codec), "the codec is not 1 to 64 ASCII characters")
    private = fields.take(fields.varint())
    return PacketStream(
        time_base, purpose, flags, channels, sample_rate, sample_bits, codec_delay, seek_preroll,
        codec, language, title, private,
    )  # fmt: skip


def parse_header(payload: bytes, limits: Limits) -> Header:
    """§4.1 and §4.2."""
    fields = Fields(payload)
    major = fields.uint(2)
    require(major == 1, f"major version {major}", "unsupported")
    minor, least, count = fields.uints(3, 2)
    require(least <= minor, f"least minor version {least} of a file of minor version {minor}")
    require(least <= 1, f"needs a reader of minor version {least}", "unsupported")
    require(1 <= count <= 65534, f"{count} streams")
    require(count <= limits.streams, f"{count} streams", "limits")
    streams: list[Stream] = []
    for _ in range(count):
        size, kind = fields.uint(4), fields.uint(1)
        fields.take(3)
        body = Fields(fields.take(size))
        if kind == 1:
            streams.append(parse_tokens(body, limits, least))
        elif kind == 2:
            streams.append(parse_packets_stream(body))
        else:
            streams.append(UnknownStream(kind))
    return Header(major, minor, tuple(streams), payload, crc(payload))


# --- What a file holds ---


@dataclass(frozen=True)
class Chunk:
    """§5."""

    stream: int
    number: int
    offset: int
    length: int
    first_frame: int
    frames: int
    latent_frames: int
    key: bool
    lost: bool
    segment: int
    start: int
    durations: tuple[int, ...] | None
    coder: str
    grid: Sides
    planes: tuple[bytes, ...]
    depths: tuple[int, ...] | None  # of each token, if the chunk has the flag DEPTHS

    @cached_property
    def tokens(self) -> list[int]:
        """§5.3. The planes become strings of digits, one a token; plane 0 is the last binary digit of the number."""
        t, h, w = self.grid
        count = t * h * w
        digits = [format(int.from_bytes(plane, "little"), f"0{count}b")[::-1] for plane in reversed(self.planes)]
        return [int("".join(column), 2) for column in zip(*digits, strict=True)]


@dataclass(frozen=True)
class Packet:
    """§7.1."""

    time: int
    decoding_time: int
    key: bool
    duration: int
    data: bytes


@dataclass(frozen=True)
class Chapter:
    """§7.3."""

    start: int
    length: int
    title: str


@dataclass(frozen=True)
class Attachment:
    """§7.5."""

    kind: int
    name: str
    media_type: str
    description: str
    data: bytes


@dataclass(frozen=True)
class Totals:
    """§8.1."""

    frames: int
    records: int
    digest: bytes | None


@dataclass(frozen=True)
class Entry:
    """§8.2; offset is that of the chunk's record."""

    stream: int
    offset: int
    length: int
    frames: int
    latent_frames: int
    key: bool
    bits: int
    segment: int
    start: int


# --- Records (§3) ---


@dataclass(frozen=True)
class Record:
    """§3.1: the header of a record."""

    offset: int
    type: str
    version: int
    flags: int
    stream: int
    length: int
    sequence: int

    @property
    def payload(self) -> slice:
        return slice(self.offset + HEADER_BYTES, self.offset + HEADER_BYTES + self.length)

    @property
    def end(self) -> int:
        return self.offset + HEADER_BYTES + self.length + CHECKSUM_BYTES

    @property
    def critical(self) -> bool:
        return self.type[0].isupper()

    @property
    def known(self) -> bool:
        return self.type in KNOWN and self.version == 0 and self.flags == 0


def record_at(data: bytes, offset: int) -> Record:
    """The header of the record at an offset, with the right checksum."""
    header = data[offset : offset + HEADER_BYTES]
    require(header[:4] == SYNC[: len(header)], "no sync word")
    require(len(header) == HEADER_BYTES, "the input ends in a record header", "truncated")
    fields = Fields(header[4:])
    name = fields.take(4)
    version, flags, stream, length = fields.uint(1), fields.uint(1), fields.uint(2), fields.uint(4)
    sequence, checksum = fields.uint(8), fields.uint(4)
    require(checksum == crc(header[:24]), "the checksum of a record header is wrong")
    require(name.isalnum() and name[:1].isalpha(), "the type of a record is not of letters and digits")
    return Record(offset, name.decode("ascii"), version, flags, stream, length, sequence)


def payload_of(sums: Checksums, record: Record) -> bytes:
    """The payload, with the right checksum."""
    data, payload = sums.data, record.payload
    require(record.end <= len(data), "the input ends in a record", "truncated")
    stored = int.from_bytes(data[record.end - CHECKSUM_BYTES : record.end], "little")
    require(sums.of(payload.start, payload.stop) == stored, "the checksum of a payload is wrong")
    return data[payload]


def is_record(data: bytes, offset: int) -> bool:
    """Whether a right record header stands there."""
    try:
        record_at(data, offset)
    except LbitError:
        return False
    return True


def find_record(data: bytes, offset: int) -> int:
    """Where the next right record header stands, or the end of the input (§10.2, step 1)."""
    while (offset := data.find(SYNC, offset)) >= 0:
        if is_record(data, offset):
            return offset
        offset += 1
    return len(data)


# --- Planes (§5.3, §6) ---


def unpack_planes(fields: Fields, coder: str, bits: int, grid: Sides) -> tuple[bytes, ...]:
    """The end of §5.1, and §5.3: the packed planes."""
    tokens = grid[0] * grid[1] * grid[2]
    size = ceil_div(tokens, 8)
    saved = [0] * bits if coder == "raw" else [fields.varint() for _ in range(bits)]
    require(all(s < size for s in saved), "a coder saved a whole plane")
    stored = [fields.take(size - s) for s in saved]
    fields.end()
    mixer = cm.Decoder(*grid) if coder == "cm" and any(saved) else None
    planes: list[bytes] = []
    for s, plane in zip(saved, stored, strict=True):
        try:
            if mixer:  # It learns from planes that are stored as they are, too.
                plane = mixer.plane(plane if s > 0 else None, plane)
            elif s > 0:
                plane = zstd_frame.decompress(plane, max_size=size)
        except (cm.CmError, zstd_frame.ZstdError) as error:
            raise LbitError("format", f"plane {len(planes)}: {error}") from error
        require(len(plane) == size, "a plane has a wrong size")
        planes.append(plane)
        require(tokens % 8 == 0 or plane[-1] >> tokens % 8 == 0, "bits after the last token are not zero")
    return tuple(planes)


# --- Layers (§5.8, §6.3) ---


class _Bits:
    """Takes bits of packed sequences, each of which ends on a whole byte (§5.8)."""

    def __init__(self, data: bytes) -> None:
        self.fields = Fields(data)

    def take(self, count: int) -> list[int]:
        number = int.from_bytes(self.fields.take(ceil_div(count, 8)), "little")
        require(number >> count == 0, "bits after the last token are not zero")
        return [number >> i & 1 for i in range(count)]


def unpack_layer(packed: bytes, tokens: int, planes: int) -> list[list[int]]:
    """A packed layer about so many tokens: whether each has it, then the bits of each plane."""
    bits = _Bits(packed)
    has = bits.take(tokens)
    result = [has, *(bits.take(sum(has)) for _ in range(planes))]
    bits.fields.end()
    return result


def unpack_layers(
    fields: Fields, coder: str, bits: int, step: int, grid: Sides
) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    """The end of a payload with depths: the planes packed as in §5.3, and the depths."""
    count = grid[0] * grid[1] * grid[2]
    lengths, coded, length = [], [], 0
    for _ in range(ceil_div(bits, step)):
        entry = fields.signed()
        length += entry >> 1
        require(entry & 1 <= length < 1 << 32, "the length of a layer")
        require(not entry & 1 or coder != "raw", "a coded layer without a coder")
        lengths.append(length)
        coded.append(entry & 1 == 1)
    stored = [fields.take(length) for length in lengths]
    fields.end()
    mixer = cm.LayerDecoder(*grid)
    tokens, values, depths = list(range(count)), [0] * count, [0] * count
    for number, (data, is_coded) in enumerate(zip(stored, coded, strict=True)):
        first = number * step
        planes = min(step, bits - first)
        require(bool(tokens) or not is_coded, "a coded layer about no token")
        try:
            if is_coded and coder == "cm":
                layer = mixer.read(tokens, planes, data, None)
            else:
                if is_coded:
                    data = zstd_frame.decompress(data, max_size=ceil_div(len(tokens), 8) * (planes + 1))
                layer = unpack_layer(data, len(tokens), planes)
                if coder == "cm":  # It learns from layers that are stored as they are, too.
                    mixer.read(tokens, planes, None, layer)
        except (cm.CmError, zstd_frame.ZstdError) as error:
            raise LbitError("format", f"layer {number}: {error}") from error
        tokens = [token for token, has in zip(tokens, layer[0], strict=True) if has]
        for i, token in enumerate(tokens):
            depths[token] = first + planes
            for plane in range(planes):
                values[token] |= layer[plane + 1][i] << first + plane
    packed = (sum((value >> j & 1) << i for i, value in enumerate(values)) for j in range(bits))
    return tuple(plane.to_bytes(ceil_div(count, 8), "little") for plane in packed), tuple(depths)


# --- Index (§8.2) ---


def parse_index(payload: bytes, header: Header) -> list[Entry]:
    """§8.2."""
    fields = Fields(payload)
    entries: list[Entry] = []
    end = 0
    before: dict[int, tuple[int, int]] = {}
    for _ in range(fields.varint()):
        stream = fields.varint()
        require(stream < len(header.streams), "an entry of the index is of no stream")
        offset, length = end + fields.varint(), fields.varint()
        end = offset + length
        frames, latent_frames = fields.varint(), fields.varint()
        flags, bits = fields.uints(2, 1)
        segment, start = before.get(stream, (0, 0))
        segment, start = segment + fields.varint(), wrap(start + fields.signed())
        before[stream] = segment, start
        entries.append(
            Entry(stream, offset, length, frames, latent_frames, bool(flags & KEY), bits, segment, start)
        )
    fields.end()
    return entries


def index_from_behind(sums: Checksums, header: Header) -> tuple[int, int, list[Entry]] | None:
    """§8.3: offset, length and entries of the index that the tail at the end of the file points to."""
    data = sums.data
    try:
        tail = record_at(data, max(0, len(data) - HEADER_BYTES - 12 - CHECKSUM_BYTES))
        require(tail.type == "tail" and tail.known and tail.length == 12, "no tail")
        fields = Fields(payload_of(sums, tail))
        offset, length = fields.uint(8), fields.uint(4)
        record = record_at(data, offset)
        require(record.type == "indx" and record.known and record.end - offset == length, "no index")
        return offset, length, parse_index(payload_of(sums, record), header)
    except LbitError:
        return None
