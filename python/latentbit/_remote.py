"""Files behind addresses such as ``s3://bucket/clip.lbit``, by fsspec."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

TRIES = 5
# Seconds before the second try; each later one waits twice as long.
PAUSE = 0.2
# What a shard's headers are read in: one request for many small files.
BLOCK = 1 << 18


def is_address(source: Any) -> bool:
    """Whether it is an address, and no path."""
    return isinstance(source, str) and "://" in source


def _fsspec() -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise ImportError("addresses need fsspec: pip install 'latentbit[remote]'") from error
    return fsspec


def file_system(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path there."""
    system, path = _fsspec().core.url_to_fs(address)
    return system, path


def expand(address: str) -> list[str]:
    """The addresses that a pattern or a folder means, in order; itself if it is that of a file."""
    system, path = file_system(address)
    scheme = address.split("://")[0]

    def whole(found: str) -> str:
        return found if is_address(found) else f"{scheme}://{found.removeprefix(f'{scheme}://')}"

    if any(letter in path for letter in "*?["):
        matches = sorted(retried(lambda: system.glob(path), address))
    elif not path.endswith((".lbit", ".tar")) and retried(lambda: system.isdir(path), address):
        inside = sorted(retried(lambda: system.find(path), address))
        matches = [found for found in inside if found.endswith((".lbit", ".tar"))]
    else:
        return [address]
    if not matches:
        raise FileNotFoundError(f"{address}: there is no file that is meant by it")
    return [whole(found) for found in matches]


def retried(work: Callable[[], T], what: str) -> T:
    """The result of what may fail for a moment. What is not there stays so, and is not tried again."""
    pause = PAUSE
    for attempt in range(TRIES):
        try:
            return work()
        except (FileNotFoundError, PermissionError, NotImplementedError, IsADirectoryError):
            raise
        except (OSError, TimeoutError) as error:
            if attempt + 1 == TRIES:
                raise OSError(f"{what}: {TRIES} tries failed; the last one: {error}") from error
            time.sleep(pause)
            pause *= 2
    raise AssertionError("the last try returns or raises")


class Remote:
    """A file behind an address, or a part of it, that is read in ranges. It can be pickled."""

    def __init__(self, address: str, offset: int | None = None, length: int | None = None):
        self.name = address if offset is None else f"{address} from byte {offset}"
        """What messages call it."""
        self._address = address
        self._base = offset or 0
        self._system: Any = None
        self._path = ""
        about = retried(lambda: self._opened().info(self._path), address)
        whole = about.get("size")
        if whole is None:
            raise OSError(f"{address}: its size is not told, so no part of it can be read; download it first")
        self.size: int = int(whole) - self._base if length is None else length
        """Bytes."""
        if not 0 <= self._base <= self._base + self.size <= int(whole):
            raise ValueError(f"{self.name}: expected a part within its {whole} bytes, found {length} bytes")
        self.tag = str(about.get("ETag") or about.get("etag") or about.get("mtime") or about.get("created") or "")
        """What changes when the file does, if that is told."""

    def _opened(self) -> Any:
        if self._system is None:
            self._system, self._path = file_system(self._address)
        return self._system

    def read_range(self, offset: int, length: int) -> bytes:
        """Exactly these bytes."""
        start = self._base + offset

        def read() -> bytes:
            data = bytes(self._opened().cat_file(self._path, start=start, end=start + length))
            if len(data) != length:
                raise OSError(f"expected {length} bytes at {start}, found {len(data)}")
            return data

        return retried(read, self._address)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_system": None}


class Seekable(io.RawIOBase):
    """The same as a file object, for what reads tars."""

    def __init__(self, remote: Remote):
        self._remote = remote
        self._at = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Moves the position."""
        self._at = max(0, offset + (0, self._at, self._remote.size)[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Reads as much as there is room for."""
        count = min(len(buffer), max(0, self._remote.size - self._at))
        if count:
            buffer[:count] = self._remote.read_range(self._at, count)
            self._at += count
        return count


def opened(remote: Remote) -> io.BufferedReader:
    """A file object over it, with a buffer."""
    return io.BufferedReader(Seekable(remote), BLOCK)


class Store:
    """Copies of remote files in a folder, the last ones that were used, up to a number of bytes.

    Processes may share it: a copy appears under its name when it is whole, and a file that another process has open
    stays readable when it is removed.
    """

    def __init__(self, folder: str | os.PathLike[str], most: int):
        self.folder = Path(folder)
        self.most = most

    def fetch(self, address: str) -> Path:
        """The copy of a file, made if there is none."""
        remote = Remote(address)
        digest = hashlib.sha256(f"{address}\n{remote.size}\n{remote.tag}".encode()).hexdigest()[:24]
        copy = self.folder / f"{digest}-{address.rsplit('/', 1)[-1]}"
        try:
            os.utime(copy)
        except FileNotFoundError:
            self._make(copy, remote)
        return copy

    def _make(self, copy: Path, remote: Remote) -> None:
        if remote.size > self.most:
            raise ValueError(
                f"{remote.name}: it has {remote.size} bytes, and copies may take {self.most} in all; raise copies_size"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_room(remote.size)
        handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as out:
                at = 0
                while at < remote.size:
                    count = min(remote.size - at, 1 << 24)
                    out.write(remote.read_range(at, count))
                    at += count
            os.replace(temporary, copy)
        except BaseException:
            os.unlink(temporary)
            raise

    def _make_room(self, needed: int) -> None:
        copies = []
        for path in self.folder.iterdir():
            # Another process may have removed it just now.
            with suppress(FileNotFoundError):
                about = path.stat()
                copies.append((about.st_mtime_ns, about.st_size, path))
        copies.sort()
        held = sum(size for _, size, _ in copies)
        for _, size, path in copies:
            if held + needed <= self.most:
                return
            if path.suffix != ".part":
                path.unlink(missing_ok=True)
                held -= size
