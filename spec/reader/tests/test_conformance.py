"""The conformance files, and what releases wrote, as this reader sees them and as the first one does: the JSON beside
each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lbit import read, summary
from scan import File

FOLDER = Path(__file__).parents[3] / "testdata"
FILES = sorted(
    path.relative_to(FOLDER).with_suffix("").as_posix()
    for pattern in ("conformance/*/*.lbit", "releases/*/*.lbit")
    for path in FOLDER.glob(pattern)
)

STREAM_KEYS = (
    *("width", "height", "bits", "frames", "frame_rate", "frame_duration", "pixel_aspect", "chunk_latent_frames"),
    "depth_step",
    *("range", "chroma", "chroma_location", "time_base", "number", "default", "forced", "channels", "sample_rate"),
    *("codec_delay", "seek_preroll", "codec", "language", "title", "private"),
)
CHUNK_KEYS = (
    *("stream", "number", "first_frame", "frames", "latent_frames", "key", "segment", "start", "durations", "bits"),
    *("grid", "sha256", "depths", "depths_sha256"),
)

def facts(data: bytes) -> dict[str, Any]:
    """What this reader finds, in the words of the first one as far as both say it."""
    strict, file = read(data).error, read(data, recover=True)
    result = summary(file)
    missing = result["missing"] + [
        {"stream": c.stream, "chunks": (c.number, c.number + 1), "frames": (c.first_frame, c.first_frame + c.frames)}
        for c in file.chunks
        if c.lost
    ]
    return {
        "strict": strict and {"kind": strict.kind},
        "error": how_it_ended(file),
        "streams": [
            [s["kind"], *map(s.get, STREAM_KEYS)]
            for s in result["streams"]
        ],
        "chunks": [
            [*(c[key] for key in CHUNK_KEYS), chunk.offset]
            for c, chunk in zip(result["chunks"], file.chunks, strict=True)
            if not c["lost"]
        ],
        # Without a header nothing more is said than that: the error.
        "lost": [[lost["offset"], lost["bytes"], lost["kind"]] for lost in result["lost"] if file.header],
        "missing": sorted([m["stream"], m["chunks"], m["frames"]] for m in missing if m["frames"]),
        "metadata": sorted([str(m["stream"]), m["key"], m["value"]] for m in result["metadata"]),
        "chapters": [[c["start"], c["start"] + c["length"], c["title"]] for c in result["chapters"]],
        "attachments": [list(a.values()) for a in result["attachments"]],
        "packets": [
            [stream, p.time, p.duration, p.key] for stream, packets in file.packets.items() for p in packets
        ],
        "totals": result["totals"] and [[t["frames"], t["records"], t["sha256"]] for t in result["totals"]],
    }


def how_it_ended(file: File) -> str | None:
    if file.error and (file.header is None or file.error.kind in ("unsupported", "limits")):
        return file.error.kind
    return "truncated" if file.totals is None else None


def facts_of_the_first(whole: dict[str, Any]) -> dict[str, Any]:
    """The same of its JSON."""
    found = whole["recover"]
    return {
        "strict": whole["strict"],
        "error": found["error"] and found["error"]["kind"],
        "streams": [
            ["tokens" if s["kind"] == "video" else s["kind"], *map(s.get, STREAM_KEYS)]
            for s in found["streams"]
        ],
        "chunks": [[c[key] for key in (*CHUNK_KEYS, "offset")] for c in found["chunks"]],
        "lost": [[lost["offset"], lost["bytes"], lost["kind"]] for lost in found["lost"]],
        "missing": sorted([m["stream"], m["chunks"], m["frames"]] for m in found["missing"]),
        # A later value of a key replaces an earlier one (§7.2).
        "metadata": sorted(
            [*key, value]
            for key, value in {
                (str(m["stream"]), key): value for m in found["metadata"] for key, value in m["entries"]
            }.items()
        ),
        "chapters": [[c["start"], c["end"], c["title"]] for c in found["chapters"]],
        # The word is there only if they are.
        "attachments": [
            [a[key] for key in ("kind", "name", "media_type", "description", "sha256")]
            for a in found.get("attachments", [])
        ],
        "packets": sorted(
            ([r["stream"], time, duration, key] for r in found["packets"] for time, _, duration, key in r["packets"]),
            key=lambda packet: int(packet[0]),
        ),
        "totals": found["totals"] and [[t["frames"], t["chunks"], t["digest"]] for t in found["totals"]],
    }


def test_there_are_files() -> None:
    assert {name.split("/")[0] for name in FILES} == {"conformance", "releases"}


def differences(data: bytes, theirs: dict[str, Any]) -> dict[str, Any]:
    """What the readers disagree on, first this one's view."""
    mine, others = json.loads(json.dumps(facts(data))), facts_of_the_first(theirs)
    return {key: (mine[key], others[key]) for key in others if mine[key] != others[key]}


@pytest.mark.parametrize("name", FILES)
def test_both_readers_agree(name: str) -> None:
    path = FOLDER / name
    theirs = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert not differences(path.with_suffix(".lbit").read_bytes(), theirs)
