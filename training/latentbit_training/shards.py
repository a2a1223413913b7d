"""Clips and pictures in WebDataset shards, with an index that finds each of them.

    latentbit-train shard DATA_FOLDER --out runs/shards
    latentbit-train shard LIST.txt --out runs/shards
    latentbit-train shard --index 'https://HOST/clips-{000..127}.tar' --out runs/remote

Shards hold the files as they are; `--max-side` makes pictures smaller first. DATA_FOLDER is any folder; LIST.txt has
the path or URL of a file in each line. `--index` indexes shards that are there already, made by anybody, and copies
nothing. Every file is opened once; those that cannot be decoded are named and left out.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import braceexpand
import fsspec

from .cache import IMAGES, VIDEOS, source_of
from .media import About, about, smaller
from .options import Parser

INDEX = "index.jsonl"
FORMAT = "latentbit.shards/1"


class Entry(NamedTuple):
    """One file in a shard."""

    shard: int
    offset: int
    length: int
    """Bytes."""
    kind: str
    """`images` or `videos`."""
    source: str
    """Its collection."""
    about: About


class Index:
    """All files of some shards."""

    def __init__(self, path: str) -> None:
        """Reads the index of a folder, or at a URL."""
        self.path = path.rstrip("/")
        with fsspec.open(f"{self.path}/{INDEX}", "rt") as file:
            head = json.loads(file.readline())
            if head.get("format") != FORMAT:
                raise ValueError(f"{path}/{INDEX} is not of the format {FORMAT}")
            rows = [json.loads(line) for line in file]
        # Names without a place are beside the index.
        self.shards = [name if "/" in name else f"{self.path}/{name}" for name in head["shards"]]
        self.entries = [Entry(shard, offset, length, kind, source, About(*found))
                        for shard, offset, length, kind, source, found in rows]
        if not self.entries:
            raise ValueError(f"{path} holds neither images nor videos")
        self._systems: dict[str, tuple[Any, str]] = {}

    def read(self, entry: Entry) -> bytes:
        """The bytes of a file."""
        url = self.shards[entry.shard]
        if url not in self._systems:
            self._systems[url] = fsspec.core.url_to_fs(url)
        system, place = self._systems[url]
        data: bytes = system.cat_file(place, start=entry.offset, end=entry.offset + entry.length)
        # A server that knows no ranges sends all of it.
        if len(data) > entry.length:
            data = data[entry.offset : entry.offset + entry.length]
        if len(data) != entry.length:
            raise OSError(f"{url}: {len(data)} bytes at {entry.offset}, expected {entry.length}")
        return data


def kind_of(name: str) -> str | None:
    """`images`, `videos`, or none of them."""
    suffix = f".{name.rsplit('.', 1)[-1].lower()}"
    return "images" if suffix in IMAGES else "videos" if suffix in VIDEOS else None


def listed(source: Path) -> Iterator[tuple[str, str]]:
    """Names and places of the files of a folder, or of a list."""
    if source.is_dir():
        for path in sorted(p for p in source.rglob("*") if kind_of(p.name)):
            yield str(path.relative_to(source)), str(path)
        return
    for line in source.read_text().splitlines():
        if line.strip():
            yield line.strip().rsplit("/", 1)[-1], line.strip()


class Writer:
    """Writes shards and their index."""

    def __init__(self, out: Path, shard_mb: float) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.out, self.limit = out, int(shard_mb * 1e6)
        self.names: list[str] = []
        self.entries: list[Entry] = []
        self._tar: tarfile.TarFile | None = None

    def add(self, name: str, data: bytes, found: About) -> None:
        """One file; its key in the shard is a number, its name is in the JSON beside it."""
        if self._tar is None or self._tar.offset >= self.limit:
            self.close()
            self.names.append(f"shard-{len(self.names):06}.tar")
            self._tar = tarfile.open(self.out / f"{self.names[-1]}.tmp", "w")  # noqa: SIM115 (until it is full)
        key, suffix = f"{len(self.entries):08}", name.rsplit(".", 1)[-1].lower()
        source = source_of(Path(name))
        self._put(self._tar, f"{key}.json", json.dumps({"file": name, "source": source, **found._asdict()}).encode())
        # Of what comes next: a header, and then the bytes.
        offset = self._tar.offset + tarfile.BLOCKSIZE
        self._put(self._tar, f"{key}.{suffix}", data)
        kind = kind_of(name)
        assert kind is not None
        self.entries.append(Entry(len(self.names) - 1, offset, len(data), kind, source, found))

    @staticmethod
    def _put(tar: tarfile.TarFile, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))

    def close(self) -> None:
        """Ends the shard; it gets its name when it is whole."""
        if self._tar is not None:
            self._tar.close()
            (self.out / f"{self.names[-1]}.tmp").rename(self.out / self.names[-1])
            self._tar = None


def write_index(out: Path, shards: list[str], entries: Iterable[Entry]) -> None:
    """Writes `index.jsonl`, whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    with open(out / f"{INDEX}.tmp", "w") as file:
        file.write(json.dumps({"format": FORMAT, "shards": shards}) + "\n")
        for entry in entries:
            file.write(json.dumps(entry) + "\n")
    (out / f"{INDEX}.tmp").rename(out / INDEX)


def told(name: str, error: Exception) -> None:
    """Names a file that is left out."""
    print(f"{name}: skipped: {error}")


def build(source: Path, out: Path, shard_mb: float = 256, max_side: int = 0) -> list[Entry]:
    """Writes shards of the files of a folder or a list."""
    writer = Writer(out, shard_mb)
    for name, place in listed(source):
        try:
            kind = kind_of(name)
            if kind is None:
                raise ValueError("neither an image nor a video by its name")
            with fsspec.open(place, "rb") as file:
                data = file.read()
            found = about(data, kind)
            if kind == "images" and max_side:
                name, data, found = smaller(name, data, found, max_side)
        except (OSError, ValueError) as error:
            told(name, error)
            continue
        writer.add(name, data, found)
    writer.close()
    write_index(out, writer.names, writer.entries)
    return writer.entries


def index(urls: list[str], out: Path) -> list[Entry]:
    """Indexes shards that are there already."""
    shards = [url for pattern in urls for url in braceexpand.braceexpand(pattern)]
    shards = [url if "/" in url else f"./{url}" for url in shards]
    entries: list[Entry] = []
    for number, url in enumerate(shards):
        with fsspec.open(url, "rb") as file, tarfile.open(fileobj=file, mode="r|") as tar:
            for member in tar:
                kind = kind_of(member.name)
                body = tar.extractfile(member) if kind else None
                if kind is None or body is None:
                    continue
                try:
                    found = about(body.read(), kind)
                except (OSError, ValueError) as error:
                    told(f"{url}: {member.name}", error)
                    continue
                source = source_of(Path(member.name))
                entries.append(Entry(number, member.offset_data, member.size, kind, source, found))
    write_index(out, shards, entries)
    return entries


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    p = Parser("shard", __doc__)
    p.add_argument("data", type=Path, nargs="?", help="folder of images and videos, or a list of paths and URLs")
    p.add_argument("--index", nargs="+", metavar="URL", default=[], help="shards to index, instead of making some")
    p.add_argument("--out", type=Path, required=True, help="folder for shards and index")
    p.add_argument("--shard-mb", type=float, default=256, help="size from which a new shard begins")
    p.add_argument("--max-side", type=int, default=0, help="largest short side of a picture, pixels; 0: as it is")
    args = p.parse_args(argv)
    if bool(args.data) == bool(args.index):
        p.error("give either a folder or list, or --index with shards")
    entries = index(args.index, args.out) if args.index else build(args.data, args.out, args.shard_mb, args.max_side)
    if not entries:
        raise ValueError(f"{args.data or ' '.join(args.index)}: no image or video that can be decoded")
    for kind in ("images", "videos"):
        own = [entry for entry in entries if entry.kind == kind]
        print(f"{kind}: {len(own)} files, {sum(entry.length for entry in own) / 1e9:.2f} GB")
    for source, count in sorted(Counter(entry.source for entry in entries).items()):
        print(f"  {source}: {count}")
