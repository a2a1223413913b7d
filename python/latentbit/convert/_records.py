"""A clip as a record that other libraries can hold, and a file made of such a record."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._catalog import Sources, catalog
from .._file import File
from .._latentbit import FormatError
from .._manifest import Columns, Manifest, Rows, key_of, rows_of
from .._video import Video
from .._writer import Writer

Record = dict[str, Any]
FORMS = ("tokens", "lbit")

KEY, LBIT, TOKENS, DEPTHS, ABOUT = "key", "lbit", "tokens", "depths", "about"
SCHEMA = "latentbit.record/1"
# What is known of a chunk besides its tokens.
CHUNK = ("steps", "key", "segment", "frames", "latent_frames", "start", "bits")


def records_of(
    sources: Sources, *, form: str = "tokens", columns: Columns = False, manifest: Manifest = None
) -> Iterator[Record]:
    """The clips of files and shards, each as a record.

    Its fields are ``key``, and with the form ``tokens``: ``tokens`` (steps, height, width; uint32, or uint64 above 32
    bits), ``depths`` of the same shape (only of elastic files), and ``about`` as JSON, which has what else makes a file
    of them; with the form ``lbit``: ``lbit``, the bytes of the file. ``columns`` are those of the manifest, as for
    ``latentbit.torch.TokenDataset``. A file that lost chunks raises an error: nothing is left out silently.
    """
    if form not in FORMS:
        raise ValueError(f"form: expected one of {', '.join(FORMS)}, found {form!r}")
    listed = catalog(sources)
    rows: Rows | None = None
    if columns or manifest is not None:
        given = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
        folders = [*(os.fspath(source).rstrip("/") for source in given)]
        folders += [path.rpartition("/")[0] or "." for path in listed.paths]
        rows = rows_of(manifest, folders, columns or True, {KEY, LBIT, TOKENS, DEPTHS, ABOUT})
        rows.check(listed.names)
    seen: set[str] = set()
    for number in range(len(listed)):
        member = listed.member(number)
        key = key_of(member.name)
        if key in seen:
            raise ValueError(f"{listed.name(number)}: another file has the key {key!r}, too; convert them one by one")
        seen.add(key)
        file = member.open()
        record: Record = {KEY: key, **(_tokens(file) if form == "tokens" else {LBIT: _bytes(member.path, member)})}
        if rows is not None:
            record.update(rows(member.name))
        yield record


def _bytes(path: str, member: Any) -> bytes:
    from .._remote import Remote, is_address

    if is_address(path):
        return Remote(path, member.offset, member.length).read_range(0, member.length)
    with open(path, "rb") as file:
        file.seek(member.offset)
        data = file.read(member.length)
    if len(data) != member.length:
        raise FormatError(f"{path}: it became shorter while it was read")
    return data


def _tokens(file: File) -> Record:
    chunks = list(file)
    about = {
        "schema": SCHEMA,
        "video": file.video.to_fields(),
        "metadata": file.metadata,
        "chunks": [
            [chunk.shape[0], chunk.key, chunk.segment, chunk.frames, chunk.latent_frames, chunk.start,
             chunk.bits_per_token]
            for chunk in chunks
        ],
    }
    both = [chunk.read() for chunk in chunks]
    tokens = np.concatenate([tokens for tokens, _ in both])
    record: Record = {TOKENS: tokens if file.video.bits > 32 else tokens.astype(np.uint32)}
    if file.video.depth_step is not None:
        record[DEPTHS] = np.concatenate([depths for _, depths in both])
    return {**record, ABOUT: json.dumps(about)}


def write_files(records: Iterable[Mapping[str, Any]], folder: str | os.PathLike[str]) -> int:
    """A file ``KEY.lbit`` of each record, and a ``manifest.jsonl`` of the other columns; returns how many."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    count = 0
    rows = []
    for record in records:
        key = str(record[KEY])
        if not key or key.startswith(".") or "/" in key or "\\" in key:
            raise ValueError(f"key: {key!r} cannot be the name of a file")
        path = place / f"{key}.lbit"
        if LBIT in record:
            data = bytes(record[LBIT])
            # Whether it is one is found out before it has the name of one.
            File(data)
            part = place / f".{key}.part"
            part.write_bytes(data)
            os.replace(part, path)
        else:
            _write(record, path)
        own = (LBIT, TOKENS, DEPTHS, ABOUT)
        rows.append({name: _plain(value) for name, value in record.items() if name not in own})
        count += 1
    (place / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return count


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _write(record: Mapping[str, Any], path: Path) -> None:
    about = json.loads(record[ABOUT])
    if about.get("schema") != SCHEMA:
        raise FormatError(f"{path}: expected a record of {SCHEMA}, found {about.get('schema')}")
    tokens = np.asarray(record[TOKENS])
    depths = record.get(DEPTHS)
    depths = None if depths is None else np.asarray(depths).astype(np.uint8)
    steps = sum(chunk[0] for chunk in about["chunks"])
    if tokens.ndim != 3 or len(tokens) != steps:
        raise FormatError(f"{path}: expected tokens of {steps} steps, found {tokens.shape}")
    at = 0
    with Writer(path, Video.from_fields(about["video"]), metadata=about["metadata"]) as writer:
        for chunk in about["chunks"]:
            fields = dict(zip(CHUNK, chunk, strict=True))
            count = fields.pop("steps")
            part = slice(at, at + count)
            writer.write(tokens[part], depths=None if depths is None else depths[part], **fields)
            at += count
