"""Which files there are in folders and shards, and which chunks are in them: read once, and kept if that is wanted."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from ._file import File
from ._latentbit import BundleError, FormatError
from ._remote import Remote, Store, expand, is_address, opened

Sources = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
Cache = bool | str | os.PathLike[str] | None

SUFFIX = ".lbit"
INDEX_SUFFIX = ".lbit-index.npz"
INDEX_VERSION = 1

# What is kept of each chunk, and of each file.
CHUNK_FIELDS = ("first_frame", "frames", "latent_frames", "steps", "key", "segment", "bits")
FILE_FIELDS = ("offset", "length", "chunks", "width", "height", "patch_t", "stride_t")


@dataclasses.dataclass(frozen=True)
class Member:
    """A file: of its own, or a part of a shard."""

    path: str
    """The file on disk."""
    name: str
    """What it is called: its path in the folder or shard."""
    offset: int
    """Where it begins in the file on disk."""
    length: int
    """Bytes that it has."""

    def open(self, store: Store | None = None) -> File:
        """Opens it; what is remote through a copy in ``store``, if there is one."""
        path = store.fetch(self.path) if store is not None and is_address(self.path) else self.path
        return File(path, offset=self.offset, length=self.length)


def find(sources: Sources) -> list[str]:
    """The files and shards that are meant by paths, addresses, folders and patterns, in order.

    A folder means all ``.lbit`` and ``.tar`` files below it, but for hidden ones.
    """
    given = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    found: list[str] = []
    for source in given:
        if is_address(source):
            found.extend(expand(str(source)))
            continue
        path = Path(source)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix in (SUFFIX, ".tar") and not _is_hidden(p, path))
            if not inside:
                raise FileNotFoundError(f"{path}: expected files ending in {SUFFIX} or .tar in this folder, found none")
            found.extend(map(str, inside))
        elif path.exists():
            found.append(str(path))
        else:
            matches = sorted(glob.glob(str(source), recursive=True))
            if not matches:
                raise FileNotFoundError(f"{path}: there is no such file or folder, and no file matches it as a pattern")
            found.extend(matches)
    return found


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def members(path: str) -> Iterator[Member]:
    """The files that a file or shard holds; of a shard only headers are read."""
    remote = Remote(path) if is_address(path) else None
    if not path.endswith(".tar"):
        size = os.stat(path).st_size if remote is None else remote.size
        yield Member(path, PurePath(path).name, 0, size)
        return
    try:
        with tarfile.open(path if remote is None else None, "r:", opened(remote) if remote else None) as shard:
            for entry in shard:
                if entry.isfile() and entry.name.endswith(SUFFIX):
                    yield Member(path, entry.name, entry.offset_data, entry.size)
                # tarfile remembers every entry; a shard may have very many.
                shard.members = []  # type: ignore[attr-defined]
    except tarfile.TarError as error:
        raise FormatError(f"{path}: expected a tar that is not compressed: {error}") from error


class Catalog:
    """Files and their chunks as arrays, which are the same memory in all forked processes."""

    def __init__(self, parts: Sequence[dict[str, npt.NDArray[Any]]], paths: Sequence[str]):
        counts = [len(part["offset"]) for part in parts]
        self.paths = list(paths)
        """Files on disk."""
        self.path_of = np.repeat(np.arange(len(parts)), counts)
        """For each file the number of its path."""
        self.names = _joined(parts, "names")
        self.files = {name: _joined(parts, name) for name in FILE_FIELDS}
        """For each file its ``FILE_FIELDS``."""
        self.chunks = {name: _joined(parts, name) for name in CHUNK_FIELDS}
        """For each chunk of all files its ``CHUNK_FIELDS``."""
        self.first_chunk = np.concatenate([[0], np.cumsum(self.files["chunks"])]).astype(np.int64)
        """For each file the number of its first chunk among all, and the number of all."""
        self._check_bundles(_joined(parts, "bundle"))

    def __len__(self) -> int:
        return len(self.path_of)

    def member(self, number: int) -> Member:
        """A file by its number."""
        return Member(
            self.paths[self.path_of[number]],
            str(self.names[number]),
            int(self.files["offset"][number]),
            int(self.files["length"][number]),
        )

    def name(self, number: int) -> str:
        """A file's name for messages."""
        member = self.member(number)
        return member.path if member.path.endswith(SUFFIX) else f"{member.path}: {member.name}"

    def _check_bundles(self, bundles: npt.NDArray[Any]) -> None:
        other = np.flatnonzero(bundles != bundles[:1])
        if len(other):
            raise BundleError(
                f"{self.name(int(other[0]))} was made with the model {bundles[other[0]]}, but {self.name(0)} with "
                f"{bundles[0]}: their tokens mean different things; use files of one model"
            )


def catalog(sources: Sources, cache: Cache = None) -> Catalog:
    """Lists the files and chunks of ``sources``.

    With a ``cache``, what is known of each shard is kept: beside it (``True``), or in a folder. It is used as long as
    size and time of the shard are the same.
    """
    paths = find(sources)
    parts = [_listed(path, cache) for path in paths]
    if not sum(len(part["offset"]) for part in parts):
        raise FileNotFoundError(f"{paths[0]}: expected files ending in {SUFFIX} in these shards, found none")
    return Catalog(parts, paths)


def _listed(path: str, cache: Cache) -> dict[str, npt.NDArray[Any]]:
    # A file of its own has an index of its own.
    if not cache or not path.endswith(".tar"):
        return _scan(path)
    kept = _place(path, cache)
    if is_address(path):
        remote = Remote(path)
        size, changed = remote.size, zlib.crc32(remote.tag.encode())
    else:
        about = os.stat(path)
        size, changed = about.st_size, about.st_mtime_ns
    signature = np.array([INDEX_VERSION, size, changed], np.int64)
    known = _load(kept, signature)
    if known is None:
        known = _scan(path)
        _save(kept, {**known, "signature": signature})
    return known


def _scan(path: str) -> dict[str, npt.NDArray[Any]]:
    files: list[tuple[Any, ...]] = []
    names: list[str] = []
    bundles: list[str] = []
    tables: list[dict[str, npt.NDArray[Any]]] = []
    for member in members(path):
        try:
            file = member.open()
        except FormatError as error:
            raise FormatError(f"{member.path}: {member.name}: {error}") from error
        video = file.video
        sizes = (video.width, video.height, video.patch[0], video.strides[0])
        files.append((member.offset, member.length, len(file), *sizes))
        names.append(member.name)
        bundles.append(video.bundle_sha256)
        tables.append(file.table)
    columns = np.array(files, np.int64).reshape(len(files), len(FILE_FIELDS))
    out: dict[str, npt.NDArray[Any]] = {name: columns[:, at] for at, name in enumerate(FILE_FIELDS)}
    out["names"] = np.array(names, np.str_)
    out["bundle"] = np.array(bundles, np.str_)
    for name in CHUNK_FIELDS:
        out[name] = np.concatenate([table[name] for table in tables]) if tables else np.zeros(0, np.int64)
    return out


def _place(path: str, cache: Cache) -> Path:
    if cache is True:
        if is_address(path):
            raise ValueError(f"cache: nothing is written beside {path}; name a folder on this machine")
        return Path(path + INDEX_SUFFIX)
    whole = (path if is_address(path) else str(Path(path).resolve())).encode()
    return Path(str(cache)) / f"{PurePath(path).stem}-{hashlib.sha256(whole).hexdigest()[:16]}{INDEX_SUFFIX}"


def _load(kept: Path, signature: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]] | None:
    try:
        with np.load(kept, allow_pickle=False) as arrays:
            known = dict(arrays)
    except FileNotFoundError:
        return None
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile):
        # Whatever it is, it can be made again.
        return None
    found = known.pop("signature", None)
    return known if found is not None and np.array_equal(found, signature) else None


def _save(kept: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    # Under another name first: several processes may do this at once.
    handle, temporary = tempfile.mkstemp(dir=kept.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as out:
            np.savez(out, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, kept)
    except BaseException:
        os.unlink(temporary)
        raise


def _joined(parts: Sequence[dict[str, npt.NDArray[Any]]], name: str) -> npt.NDArray[Any]:
    return np.concatenate([part[name] for part in parts])
