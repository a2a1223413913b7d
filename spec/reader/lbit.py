"""A second reader of `.lbit` files, written from `spec/lbit-1.md` alone. Numbers after § are sections of that text.

    python3 lbit.py FILE [--json] [--recover] [--tokens]

`--recover` goes on after faults (§10.2); what is unsupported or over a limit ends it all the same. `--tokens` implies
`--json`. Exit codes: 0 the file is whole, 3 damaged, 4 truncated, 1 anything else (unsupported, limits, no such file).
They follow from `error`.

With `--json` the summary is one object. Keys are always there; what does not apply is null or empty. Ranges are
`[first, last + 1]`, ratios `[numerator, denominator]`, sides `[t, h, w]`. The sections tell what a value means.

    version     "1.0", or null if no header could be read
    streams     in order of the header, each one of (§4.3, §4.4)
                {kind: "tokens", width, height, frame_rate, time_base, frame_duration, pixel_aspect,
                 frames (null: unknown), primaries, transfer, matrix, range, chroma, chroma_location, sample_bits,
                 bits (D'), chunk_latent_frames, depth_step (0: plain),
                 bundle: {name, sha256, bits (D), patch, strides}}
                {kind: "packets", time_base, purpose, default, forced, channels, sample_rate, sample_bits, codec_delay,
                 seek_preroll, codec, language, title, private (hexadecimal)}
                {kind: "unknown", number}
    chunks      in order of the file (§5): {stream, number, first_frame, frames, latent_frames, key (false if lost),
                lost, segment, start (in ticks), durations (a list, or null without TIMES), bits, coder ("raw", "zstd"
                or "cm"), grid, sha256 (of the packed planes, one after the other, with zeros for absent bits; null if
                lost), depths (the sum of all; null without DEPTHS), depths_sha256 (of the depths, a byte each)};
                with --tokens also tokens (a list; of a lost chunk an empty one)
    packets     of each stream of packets, in order (§7.1): {stream, records, packets, sha256 (of each packet's length
                as u64 and its data)}; without records of a version that is not known
    metadata    [{stream (null: the file), key, value}] (§7.2): the file's first, then by stream, then by key
    chapters    [{start, length (both in nanoseconds), title}] (§7.3)
    attachments of each, in order (§7.5): {kind, name, media_type, description, sha256}
    totals      of each stream (§8.1): {frames, records, sha256 (null: not computed)}; null if no ENDS was accepted
    index       whether there is an index and it agrees with the chunks (§8.2); false after any fault
    lost        stretches that were passed over, as they were met: [{offset, bytes, kind ("format" or "truncated")}]
    missing     [{stream, chunks: [a, b], frames: [a, b]}] (§10.2, step 5), as they were noticed; for a stream of
                packets, chunks counts records and frames is null
    error       the first fault, or the one that ended a recovering reading: {kind (§10.1), offset (of the record, or
                where one should begin), chunk (the sequence of the record if that is a CHNK, else null)}; else null
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from layout import Chunk, LbitError, Limits, PacketStream, Stream, UnknownStream
from scan import File, read

__all__ = ["File", "LbitError", "Limits", "main", "read", "summary"]


def summary_of_stream(stream: Stream) -> dict[str, Any]:
    if isinstance(stream, UnknownStream):
        return {"kind": "unknown", "number": stream.number}
    if isinstance(stream, PacketStream):
        return {
            "kind": "packets",
            "time_base": stream.time_base,
            "purpose": stream.purpose,
            "default": bool(stream.flags & 1),
            "forced": bool(stream.flags & 2),
            "channels": stream.channels,
            "sample_rate": stream.sample_rate,
            "sample_bits": stream.sample_bits,
            "codec_delay": stream.codec_delay,
            "seek_preroll": stream.seek_preroll,
            "codec": stream.codec,
            "language": stream.language,
            "title": stream.title,
            "private": stream.private.hex(),
        }
    primaries, transfer, matrix, sample_range = stream.color
    return {
        "kind": "tokens",
        "width": stream.width,
        "height": stream.height,
        "frame_rate": stream.frame_rate,
        "time_base": stream.time_base,
        "frame_duration": stream.frame_duration,
        "pixel_aspect": stream.pixel_aspect,
        "frames": stream.frames,
        "primaries": primaries,
        "transfer": transfer,
        "matrix": matrix,
        "range": sample_range,
        "chroma": stream.chroma,
        "chroma_location": stream.chroma_location,
        "sample_bits": stream.sample_bits,
        "bits": stream.bits,
        "chunk_latent_frames": stream.chunk_latent_frames,
        "depth_step": stream.depth_step,
        "bundle": {
            "name": stream.bundle_name,
            "sha256": stream.bundle_sha256.hex(),
            "bits": stream.bundle_bits,
            "patch": stream.patch,
            "strides": stream.strides,
        },
    }


def summary_of_chunk(chunk: Chunk, tokens: bool) -> dict[str, Any]:
    result = {
        "stream": chunk.stream,
        "number": chunk.number,
        "first_frame": chunk.first_frame,
        "frames": chunk.frames,
        "latent_frames": chunk.latent_frames,
        "key": chunk.key,
        "lost": chunk.lost,
        "segment": chunk.segment,
        "start": chunk.start,
        "durations": chunk.durations,
        "bits": len(chunk.planes),
        "coder": chunk.coder,
        "grid": chunk.grid,
        "sha256": None if chunk.lost else hashlib.sha256(b"".join(chunk.planes)).hexdigest(),
        "depths": None if chunk.depths is None else sum(chunk.depths),
        "depths_sha256": None if chunk.depths is None else hashlib.sha256(bytes(chunk.depths)).hexdigest(),
    }
    return result | {"tokens": chunk.tokens} if tokens else result


def summary_of_packets(stream: int, file: File) -> dict[str, Any]:
    digest = hashlib.sha256()
    for packet in file.packets[stream]:
        digest.update(len(packet.data).to_bytes(8, "little") + packet.data)
    return {
        "stream": stream,
        "records": file.packet_records[stream],
        "packets": len(file.packets[stream]),
        "sha256": digest.hexdigest(),
    }


def summary(file: File, *, tokens: bool = False) -> dict[str, Any]:
    """What the docstring of this module tells, for `json.dumps`."""
    header, error = file.header, file.error
    return {
        "version": f"{header.major}.{header.minor}" if header else None,
        "streams": [summary_of_stream(stream) for stream in header.streams] if header else [],
        "chunks": [summary_of_chunk(chunk, tokens) for chunk in file.chunks],
        "packets": [summary_of_packets(stream, file) for stream in file.packets],
        "metadata": [
            {"stream": stream, "key": key, "value": value}
            for stream, entries in sorted(file.metadata.items(), key=lambda item: -1 if item[0] is None else item[0])
            for key, value in sorted(entries.items())
        ],
        "chapters": [{"start": c.start, "length": c.length, "title": c.title} for c in file.chapters],
        "attachments": [
            {
                "kind": a.kind,
                "name": a.name,
                "media_type": a.media_type,
                "description": a.description,
                "sha256": hashlib.sha256(a.data).hexdigest(),
            }
            for a in file.attachments
        ],
        "totals": None if file.totals is None else [
            {"frames": t.frames, "records": t.records, "sha256": t.digest.hex() if t.digest else None}
            for t in file.totals
        ],
        "index": file.index is not None,
        "lost": [{"offset": lost.offset, "bytes": lost.bytes, "kind": lost.kind} for lost in file.lost],
        "missing": [{"stream": m.stream, "chunks": m.chunks, "frames": m.frames} for m in file.missing],
        "error": error and {"kind": error.kind, "offset": error.offset, "chunk": error.chunk},
    }  # fmt: skip


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Read an .lbit file, by the text of the format alone.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")
    parser.add_argument("--recover", action="store_true", help="go on after faults")
    parser.add_argument("--tokens", action="store_true", help="print the tokens, too; implies --json")
    options = parser.parse_args()
    try:
        data = options.file.read_bytes()
    except OSError as error:
        print(f"lbit.py: {error}", file=sys.stderr)
        return 1
    file = read(data, recover=options.recover)
    if options.json or options.tokens:
        print(json.dumps(summary(file, tokens=options.tokens), indent=1))
    else:
        frames = sum(chunk.frames for chunk in file.chunks)
        packets = sum(map(len, file.packets.values()))
        print(f"{options.file}: {len(file.chunks)} chunks, {frames} frames, {packets} packets")
    if file.error is None:
        return 0
    place = f"byte {file.error.offset}" + ("" if file.error.chunk is None else f", chunk {file.error.chunk}")
    print(f"lbit.py: {options.file}: {file.error.kind}: {place}: {file.error}", file=sys.stderr)
    return {"format": 3, "truncated": 4}.get(file.error.kind, 1)


if __name__ == "__main__":
    sys.exit(main())
