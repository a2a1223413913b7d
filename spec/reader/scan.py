"""Reads the records of an `.lbit` file in their order. Numbers after § are sections of `lbit-1.md`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from layout import (
    CODERS,
    DEPTHS,
    KEY,
    LOST,
    MAGIC,
    NO_STREAM,
    TIMES,
    Attachment,
    Chapter,
    Checksums,
    Chunk,
    Entry,
    Fields,
    Header,
    Kind,
    LbitError,
    Limits,
    Packet,
    PacketStream,
    Record,
    TokenStream,
    Totals,
    UnknownStream,
    ceil_div,
    crc,
    find_record,
    index_from_behind,
    is_record,
    parse_header,
    parse_index,
    payload_of,
    record_at,
    require,
    unpack_layers,
    unpack_planes,
    wrap,
)

OF_A_STREAM = ("CHNK", "pack")  # §3.2
BEFORE_ENDS = ("CHNK", "ENDS", "pack")  # §2, rule 3 and the picture above it


@dataclass(frozen=True)
class Lost:
    """A stretch that was passed over (§10.2)."""

    offset: int
    bytes: int
    kind: Kind


@dataclass(frozen=True)
class Missing:
    """Chunks that are not there (§10.2, step 5), or records of packets, which have no frames."""

    stream: int
    chunks: tuple[int, int]
    frames: tuple[int, int] | None


@dataclass
class File:
    """What was read, up to the first fault or, in a recovering reading, in spite of faults."""

    header: Header | None = None
    chunks: list[Chunk] = field(default_factory=list)
    packets: dict[int, list[Packet]] = field(default_factory=dict)
    packet_records: dict[int, int] = field(default_factory=dict)
    metadata: dict[int | None, dict[str, str]] = field(default_factory=dict)
    chapters: list[Chapter] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    totals: list[Totals] | None = None
    index: list[Entry] | None = None
    lost: list[Lost] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    error: LbitError | None = None


class Stop(Exception):
    """Reading ends here; the fault is in the file."""


@dataclass
class Track:
    """What is known of a stream before its next chunk or record of packets."""

    records: int = 0
    frames: int = 0
    start: int = -(1 << 63)
    segment: int = -1
    ended_group: bool = True  # Rule 3 of §5.4 asks for a key chunk.
    after_lost: bool = False  # Rule 3 asks nothing of the next chunk.
    comparable: bool = True  # Nothing is missing from the digest.
    digest: Any = field(default_factory=hashlib.sha256)


class Scan:
    """Reads a file from the front (§2), strictly or going on after faults (§10.2)."""

    def __init__(self, data: bytes, limits: Limits, recover: bool) -> None:
        self.data, self.limits, self.recover = data, limits, recover
        self.sums = Checksums(data)
        self.metadata_bytes = self.metadata_entries = self.attached_bytes = 0
        self.file = File()
        self.header: Header
        self.tracks: list[Track] = []
        self.head_seen = False
        self.index_record: Record | None = None
        self.tail_seen = False
        self.lost_frames = 0

    def run(self) -> File:
        try:
            position = self.find_header()
            while position < len(self.data):
                position = self.step(position)
            self.compare_index_from_behind()
            if self.file.totals is None:
                self.fault(LbitError("truncated", "the input ends before ENDS"), len(self.data))
        except Stop:
            pass
        return self.file

    def fault(self, error: LbitError, offset: int, record: Record | None = None) -> None:
        """Notes a fault, if it is the first or ends any reading, and stops unless it is one to go on after."""
        fatal = error.kind in ("unsupported", "limits")
        if self.file.error is None or fatal:
            error.offset = offset
            error.chunk = record.sequence if record and record.type == "CHNK" else None
            self.file.error = error
        if not self.recover or fatal:
            raise Stop

    def find_header(self) -> int:
        """Finds the header, where it should be or anywhere (§10.2, step 6); returns where to begin."""
        offset, record = 0, None
        whole_magic = self.data[:8] == MAGIC
        try:
            require(self.data[:8] == MAGIC[: len(self.data)], "not an .lbit file")
            require(whole_magic, "the input ends in the magic", "truncated")
            offset = len(MAGIC)
            record = record_at(self.data, offset)
            require(record.type == "HEAD", "the first record is not HEAD")
            self.check_known(record)
            self.set_header(parse_header(payload_of(self.sums, record), self.limits))
            return offset
        except LbitError as error:
            self.fault(error, offset, record)
        position = 0
        while (position := find_record(self.data, position)) < len(self.data):
            record = record_at(self.data, position)
            try:
                require(record.type in ("HEAD", "head") and record.known, "not a header")
                self.check_known(record)
                self.set_header(parse_header(payload_of(self.sums, record), self.limits))
                return len(MAGIC) if whole_magic else 0
            except LbitError as error:
                if error.kind in ("unsupported", "limits"):
                    self.fault(error, position, record)
            position += 1
        if self.data and self.file.error:
            self.file.lost.append(Lost(0, len(self.data), self.file.error.kind))
        raise Stop

    def set_header(self, header: Header) -> None:
        self.header = self.file.header = header
        self.tracks = [Track() for _ in header.streams]
        packets = [i for i, stream in enumerate(header.streams) if isinstance(stream, PacketStream)]
        self.file.packets = {i: [] for i in packets}
        self.file.packet_records = dict.fromkeys(packets, 0)

    def step(self, position: int) -> int:
        """Reads the record at a position; returns where to go on."""
        record = None
        search_from: int | None = position + 1
        go_on = len(self.data)
        try:
            if self.tail_seen:
                search_from = None
                raise LbitError("format", "something follows the tail")
            record = record_at(self.data, position)
            search_from = record.payload.start
            self.check_known(record)
            if record.end > len(self.data) and self.file.totals is not None:
                self.check_place(record)
            payload = payload_of(self.sums, record)
            search_from, go_on = None, record.end
            self.take(record, payload)
        except LbitError as error:
            if error.kind == "truncated" and self.file.totals is not None:
                return len(self.data)  # §10.1: no fault
            self.fault(error, position, record)
            if record and record.end <= len(self.data):
                if record.end == len(self.data) or is_record(self.data, record.end):  # §10.2, step 2
                    search_from, go_on = None, record.end
            if search_from is not None:
                go_on = find_record(self.data, search_from)
            self.file.lost.append(Lost(position, go_on - position, error.kind))
        return go_on

    def check_known(self, record: Record) -> None:
        """§3.2 and §9: faults that end any reading."""
        require(record.known or not record.critical, f"cannot read this record of type {record.type}", "unsupported")
        most = self.limits.payload(record.type)
        if record.known and most is not None:
            require(record.length <= most, f"the record of type {record.type} is too long", "limits")

    def check_place(self, record: Record) -> None:
        """§2 and the column "stream" of §3.2."""
        if not record.known:
            return
        name, ended = record.type, self.file.totals is not None
        if self.is_of_unknown_kind(record):  # §4.1
            return
        require(name != "HEAD" or not self.head_seen, "a second HEAD")
        require(name not in BEFORE_ENDS or not ended, f"{name} after ENDS")
        require(name not in ("indx", "tail") or ended, f"{name} before ENDS")
        require(name != "indx" or self.index_record is None, "a second index")
        if name in OF_A_STREAM or name == "meta" and record.stream != NO_STREAM:
            require(record.stream < len(self.tracks), f"{name} is of no stream")

    def is_of_unknown_kind(self, record: Record) -> bool:
        streams = self.header.streams
        stream = streams[record.stream] if record.stream < len(streams) else None
        return record.type in OF_A_STREAM and isinstance(stream, UnknownStream)

    def take(self, record: Record, payload: bytes) -> None:
        """Reads a record whose checksums are right."""
        self.check_place(record)
        stream = self.header.streams[record.stream] if record.stream < len(self.tracks) else None
        if not record.known:
            if record.type == "pack" and isinstance(stream, PacketStream):
                self.skip_packets(record)
            if record.type == "indx":
                self.index_record = record
        elif isinstance(stream, UnknownStream):  # §4.1
            return
        elif record.type == "HEAD":
            require(payload == self.header.payload, "HEAD differs from the header that was found")
            self.head_seen = True
        elif record.type == "CHNK":
            if not isinstance(stream, TokenStream):
                raise LbitError("format", "a chunk in a stream of packets")
            self.take_chunk(record, stream, payload)
        elif record.type == "pack":
            require(isinstance(stream, PacketStream), "packets in a stream of tokens")
            self.take_packets(record, payload)
        elif record.type == "meta":
            self.take_metadata(record, Fields(payload))
        elif record.type == "chap":
            self.take_chapters(Fields(payload))
        elif record.type == "atch":
            self.take_attachment(Fields(payload))
        elif record.type == "head":
            require(crc(payload) == self.header.checksum, "a copy of the header differs")
        elif record.type == "ENDS":
            self.take_end(record, Fields(payload))
        elif record.type == "indx":
            self.take_index(record, payload)
        elif record.type == "tail":
            self.take_tail(Fields(payload))

    def gap(self, stream: int, number: int, first_frame: int) -> Missing | None:
        """What is missing before a number (§10.2, step 5). In a strict reading nothing may be."""
        track, description = self.tracks[stream], self.header.streams[stream]
        count, frames = number - track.records, first_frame - track.frames
        require(count >= 0, f"number {number} where {track.records} is due")
        require(count == 0 or self.recover, f"number {number} where {track.records} is due")
        most = description.chunk_frames if isinstance(description, TokenStream) else 0
        require(min(count, count * most) <= frames <= count * most, "the number of the first frame does not fit")
        if count == 0:
            return None
        frame_range = (track.frames, first_frame) if most else None
        return Missing(stream, (track.records, number), frame_range)

    def note_missing(self, missing: Missing | None, record: Record) -> None:
        if missing is None:
            return
        track = self.tracks[missing.stream]
        if missing.frames:
            self.count_lost(missing.frames[1] - missing.frames[0])
            track.frames = missing.frames[1]
        track.records = missing.chunks[1]
        track.after_lost, track.comparable = True, False
        self.file.missing.append(missing)
        self.fault(LbitError("format", "chunks or packets are missing"), record.offset, record)

    def count_lost(self, frames: int) -> None:
        """§9, the last limit."""
        self.lost_frames += frames
        require(self.lost_frames <= self.limits.lost_frames, "too many frames are lost", "limits")

    def take_chunk(self, record: Record, stream: TokenStream, payload: bytes) -> None:
        """§5.1, with the rules of §5.4."""
        track, fields = self.tracks[record.stream], Fields(payload)
        checksum, first_frame, start = fields.uint(4), fields.uint(8), wrap(fields.uint(8))
        frames, segment = fields.uints(2, 4)
        latent_frames, flags, bits = fields.uint(2), fields.uint(1), fields.uint(1)
        t, h, w = fields.uints(3, 2)
        coder, step = fields.uints(2, 1)
        require(checksum == self.header.checksum, "the chunk is from another file")
        known = KEY | LOST | TIMES | (DEPTHS if stream.depth_step else 0)
        require(flags & ~known == 0, f"flags {flags:#x}", "unsupported")
        require(coder < len(CODERS), f"coder {coder}", "unsupported")
        key, lost = bool(flags & KEY), bool(flags & LOST)
        missing = self.gap(record.stream, record.sequence, first_frame)
        require(start >= track.start, "the chunk is shown before the one before it")
        require(segment >= track.segment, "the segment is lower than that of the chunk before")
        require(1 <= latent_frames <= stream.chunk_latent_frames, f"{latent_frames} latent frames")
        s_t = stream.strides[0]
        holds = 1 + s_t * (latent_frames - 1) if key and not lost else s_t * latent_frames  # §5.6, §5.4
        require(1 <= frames <= holds, f"{frames} frames in a chunk for {holds}")
        if not (lost or track.after_lost or missing):
            require(key or not (track.ended_group or segment != track.segment), "a key chunk is due")
        require((bits == 0 and coder == 0) if lost else 1 <= bits <= stream.bits, f"{bits} bits per token")
        grid = (t, h, w)
        require(grid == stream.grid(latent_frames), f"a wrong grid {grid}")
        require(t * h * w <= self.limits.tokens, "too many tokens", "limits")
        require(bits * ceil_div(t * h * w, 8) <= self.limits.chunk, "the planes are too large", "limits")
        durations = None
        if flags & TIMES:
            durations = tuple(fields.varint() for _ in range(frames))
            require(max(durations) < 1 << 32, "a duration is 2^32 or more")
        depths = None
        if flags & DEPTHS:
            require(not lost, "a lost chunk with depths")
            require(step == stream.depth_step, "another step of depths than in the header")
            planes, depths = unpack_layers(fields, CODERS[coder], bits, step, grid)
        else:
            planes = unpack_planes(fields, CODERS[coder], bits, grid)

        self.note_missing(missing, record)
        if lost:
            self.count_lost(frames)
        else:
            header = bits.to_bytes(1, "little") + b"".join(side.to_bytes(4, "little") for side in grid)
            track.digest.update(header + bytes(depths or ()) + b"".join(planes))  # §8.1
        self.file.chunks.append(Chunk(
            record.stream, record.sequence, record.offset, record.end - record.offset, first_frame, frames,
            latent_frames, key and not lost, lost, segment, start, durations, CODERS[coder], grid, planes,
            depths,
        ))  # fmt: skip
        track.records, track.frames = record.sequence + 1, first_frame + frames
        track.start, track.segment = start, segment
        track.ended_group, track.after_lost = frames < holds, lost

    def skip_packets(self, record: Record) -> None:
        """A record of packets of a later version: it counts (§8.1), but its packets are not known."""
        self.note_missing(self.gap(record.stream, record.sequence, 0), record)
        self.tracks[record.stream].records += 1
        self.tracks[record.stream].comparable = False

    def take_packets(self, record: Record, payload: bytes) -> None:
        """§7.1."""
        missing = self.gap(record.stream, record.sequence, 0)
        fields = Fields(payload)
        count = fields.varint()
        require(1 <= count <= fields.left(), f"{count} packets")
        require(count <= self.limits.packet_count, "too many packets in a record", "limits")
        entries: list[tuple[int, int, bool, int, int]] = []
        time = 0
        for _ in range(count):
            time = wrap(time + fields.signed())
            flags = fields.varint()
            decoding_time = wrap(time + fields.signed()) if flags & 2 else time
            entries.append((time, decoding_time, bool(flags & 1), fields.varint(), fields.varint()))
        packets = [Packet(*entry[:4], fields.take(entry[4])) for entry in entries]
        fields.end()
        self.note_missing(missing, record)
        track = self.tracks[record.stream]
        track.records += 1
        for packet in packets:
            track.digest.update(len(packet.data).to_bytes(8, "little") + packet.data)  # §8.1
        self.file.packets[record.stream] += packets
        self.file.packet_records[record.stream] += 1

    def note(self, length: int) -> None:
        """§9: the payloads of metadata and chapters, all together."""
        self.metadata_bytes += length
        require(self.metadata_bytes <= self.limits.metadata_bytes, "too much metadata", "limits")

    def note_entry(self) -> None:
        """§9: keys, values, chapters and attachments, all together."""
        self.metadata_entries += 1
        require(self.metadata_entries <= self.limits.metadata_entries, "too many metadata entries", "limits")

    def take_metadata(self, record: Record, fields: Fields) -> None:
        """§7.2."""
        self.note(fields.left())
        entries: list[tuple[str, str]] = []
        for _ in range(fields.varint()):
            self.note_entry()
            key = fields.text()
            require(1 <= len(key.encode()) <= 255, "a key is not of 1 to 255 bytes")
            entries.append((key, fields.text(control=True)))
        fields.end()
        self.file.metadata.setdefault(None if record.stream == NO_STREAM else record.stream, {}).update(entries)

    def take_chapters(self, fields: Fields) -> None:
        """§7.3; titles have no control characters (§11)."""
        self.note(fields.left())
        chapters: list[Chapter] = []
        for _ in range(fields.varint()):
            self.note_entry()
            start, length = fields.varint(), fields.varint()
            require(start + length < 1 << 63, "a chapter ends at 2^63 nanoseconds or later")
            chapters.append(Chapter(start, length, fields.text()))
        fields.end()
        self.file.chapters = chapters

    def take_attachment(self, fields: Fields) -> None:
        """§7.5."""
        self.note_entry()
        self.attached_bytes += fields.left()
        require(self.attached_bytes <= self.limits.attachments, "too many bytes of attachments", "limits")
        kind = fields.uint(1)
        fields.take(3)
        name, media_type, description = fields.text(), fields.text(), fields.text()
        data = fields.take(fields.left())
        self.file.attachments.append(Attachment(kind, name, media_type, description, data))

    def take_end(self, record: Record, fields: Fields) -> None:
        """§8.1."""
        require(fields.uint(2) == len(self.tracks), "ENDS has another number of streams")
        fields.take(2)
        totals: list[Totals] = []
        for _ in self.tracks:
            frames, records, digest = fields.uint(8), fields.uint(8), fields.take(32)
            totals.append(Totals(frames, records, digest if any(digest) else None))
        gaps: list[Missing] = []
        wrong: list[int] = []
        for number, (total, stream, track) in enumerate(zip(totals, self.header.streams, self.tracks, strict=True)):
            if isinstance(stream, UnknownStream):
                continue
            missing = self.gap(number, total.records, total.frames)
            if missing:
                gaps.append(missing)
            elif track.comparable and total.digest and total.digest != track.digest.digest():
                wrong.append(number)
            if isinstance(stream, TokenStream) and stream.frames is not None:
                require(total.frames == stream.frames, f"stream {number} has another number of frames than HEAD says")
        self.file.totals = totals
        for missing in gaps:
            self.note_missing(missing, record)
        for number in wrong:  # §10.2, step 7: the end record counts all the same.
            self.fault(LbitError("format", f"the digest of stream {number} is wrong"), record.offset, record)
            self.file.lost.append(Lost(record.offset, 0, "format"))

    def take_index(self, record: Record, payload: bytes) -> None:
        """§8.2: the index agrees with the chunks. After damage there is nothing to compare."""
        self.index_record = record
        entries = parse_index(payload, self.header)
        known = [
            replace(entry, key=entry.key and entry.bits > 0)  # §5.4: KEY has no meaning in a lost chunk
            for entry in entries
            if not isinstance(self.header.streams[entry.stream], UnknownStream)
        ]
        chunks = [
            Entry(c.stream, c.offset, c.length, c.frames, c.latent_frames, c.key, len(c.planes), c.segment, c.start)
            for c in self.file.chunks
        ]
        if self.file.error is None:
            require(known == chunks, "the index differs from the chunks")
            self.file.index = entries

    def take_tail(self, fields: Fields) -> None:
        """§8.3, read from the front."""
        place = fields.uint(8), fields.uint(4)
        fields.end()
        if self.file.error is None:
            record = self.index_record
            require(place == ((record.offset, record.end - record.offset) if record else (0, 0)), "the tail is wrong")
        self.tail_seen = True

    def compare_index_from_behind(self) -> None:
        """§8.3: a reader that seeks finds the same index."""
        record = self.index_record
        if self.file.error is None and self.tail_seen and record and record.known:
            behind = index_from_behind(self.sums, self.header)
            assert behind == (record.offset, record.end - record.offset, self.file.index)


def read(data: bytes, *, recover: bool = False, limits: Limits | None = None) -> File:
    """Reads a file: strictly, to the first fault, or going on after faults. The first fault is in the result."""
    return Scan(data, limits or Limits(), recover).run()
