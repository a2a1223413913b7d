"""Archives on many machines, with Ray Data: it plans, moves, retries and scales; what is here is what it calls.

Every output appears under its name only when it is complete, and its name follows from its input. So whatever Ray does
twice, and whatever is started again after an end half-way, makes the same files.
"""

from __future__ import annotations

import glob
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import ray.data

from ._catalog import SUFFIX, Cache, Member, Sources, catalog
from ._codec import Encoder, Rate
from ._file import File
from ._latentbit import Bundle, LatentBitError
from ._remote import is_address
from .webdataset import windows

Row = dict[str, Any]
Frames = str | Callable[[Row], Any]

# What is told of each clip; the same fields whether it was written, was there already, or failed.
FIELDS = ("key", "path", "bytes", "frames", "chunks", "width", "height", "bundle_sha256", "error")


def encode(
    ds: ray.data.Dataset,
    *,
    frames: Frames = "frames",
    key: str = "key",
    frame_rate: Rate = None,
    actors: int | tuple[int, int] = 1,
    num_cpus: float = 1,
    **encoder: Any,
) -> ray.data.Dataset:
    """A data set with the column ``lbit``, the bytes of a file, in place of frames; for ``write_shards``, say.

    Arguments as for ``archive``. Nothing is computed before it is read.
    """
    return _mapped(ds, None, frames, key, frame_rate, actors, num_cpus, encoder)


def archive(
    ds: ray.data.Dataset,
    output: str | os.PathLike[str],
    *,
    frames: Frames = "frames",
    key: str = "key",
    frame_rate: Rate = None,
    actors: int | tuple[int, int] = 1,
    num_cpus: float = 1,
    **encoder: Any,
) -> ray.data.Dataset:
    """Encode each row of ``ds`` into the file ``output/KEY.lbit``; gives a record of each clip.

    ``output`` is a folder that all machines share. ``key`` names the column of keys, relative paths without a suffix.
    ``frames`` names the column of frames (an array as ``latentbit.Encoder`` takes it), or is a function that gets a row
    and gives such arrays one after the other, so that a long video is in memory nowhere. ``actors`` hold a model each,
    so many or from so many to so many, and have ``num_cpus`` each; ``encoder`` are arguments of ``latentbit.Encoder``.

    A file that is there already and was made with this model is left as it is. What goes wrong with a clip is in the
    column ``error`` of its record, which is null for the others; the loss of a worker is Ray's to mend.
    """
    folder = Path(output).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return _mapped(ds, folder, frames, key, frame_rate, actors, num_cpus, encoder).materialize()


def read_tokens(
    sources: Sources,
    *,
    window: int | None = None,
    stride: int | None = None,
    target: str = "tokens",
    bits: int | None = None,
    factors: tuple[int, ...] | None = None,
    groups: bool = False,
    cache: Cache = None,
) -> ray.data.Dataset:
    """The windows of files and shards as rows, read by all workers; arguments as for ``latentbit.torch.TokenDataset``.

    The columns are the target, ``depths``, ``segment`` (in the file), ``first_frame`` and ``name``.
    """
    listed = catalog(sources, cache)
    if bits is None:
        there = listed.chunks["bits"]
        bits = int(there[there > 0].min())
    cut = windows(window, stride=stride, target=target, bits=bits, factors=factors, groups=groups)

    def read(row: Row) -> Iterator[Row]:
        file = Member(row["path"], row["name"], row["offset"], row["length"]).open()
        for sample in cut([{"__key__": row["name"], "lbit": file}]):
            del sample["__key__"]
            yield {**sample, "name": row["name"]}

    members = [listed.member(number) for number in range(len(listed))]
    rows = [
        {
            "path": m.path if is_address(m.path) else os.path.abspath(m.path), "name": m.name, "offset": m.offset,
            "length": m.length,
        }
        for m in members
    ]
    return ray.data.from_items(rows, override_num_blocks=len(rows)).flat_map(read)


def write_shards(ds: ray.data.Dataset, output: str | os.PathLike[str], *, samples: int = 1000) -> ray.data.Dataset:
    """Write rows with ``key`` and ``lbit`` into tars of ``samples`` each; gives path and number of samples of each.

    The other columns that JSON can hold go into ``KEY.json``. A shard is named by the hash of its keys, so one that is
    written twice is one. Rows with an ``error`` are left out.
    """
    folder = Path(output).absolute()
    folder.mkdir(parents=True, exist_ok=True)

    def write(batch: Any) -> dict[str, list[Any]]:
        # As Arrow has them: numpy would make numbers of columns that are all null.
        rows = [row for row in batch.to_pylist() if row.get("error") is None]
        rows.sort(key=lambda row: str(row["key"]))
        if not rows:
            return {"path": [], "samples": []}
        name = hashlib.sha256("\n".join(_checked(row["key"]) for row in rows).encode()).hexdigest()[:16]
        path = folder / f"shard-{name}.tar"
        _write_tar(path, rows)
        return {"path": [str(path)], "samples": [len(rows)]}

    return ds.map_batches(write, batch_size=samples, batch_format="pyarrow").materialize()


def _mapped(
    ds: ray.data.Dataset,
    folder: Path | None,
    frames: Frames,
    key: str,
    frame_rate: Rate,
    actors: int | tuple[int, int],
    num_cpus: float,
    encoder: dict[str, Any],
) -> ray.data.Dataset:
    least, most = (actors, actors) if isinstance(actors, int) else actors
    given = {"folder": folder, "frames": frames, "key": key, "frame_rate": frame_rate, "encoder": encoder}
    if isinstance(encoder.get("model"), Bundle):
        raise TypeError("model: give a path that all machines have, or none for the built-in one; each actor loads it")
    return ds.map(
        _Archiver,
        fn_constructor_kwargs=given,
        compute=ray.data.ActorPoolStrategy(min_size=least, max_size=most),
        num_cpus=num_cpus,
    )


class _Archiver:
    """An actor that holds a model."""

    def __init__(self, folder: Path | None, frames: Frames, key: str, frame_rate: Rate, encoder: dict[str, Any]):
        self._folder = folder
        self._frames = frames
        self._key = key
        self._frame_rate = frame_rate
        # As many threads as Ray gives the actor, unless the caller says otherwise.
        cores = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
        self._encoder = Encoder(**{"threads": max(1, int(cores)), **encoder})

    def __call__(self, row: Row) -> Row:
        record: Row = dict.fromkeys(FIELDS)
        record["key"] = str(row[self._key])
        rest = {name: value for name, value in row.items() if name not in (self._frames, self._key)}
        if self._folder is None:
            # Before it is known whether it fails, so that all rows have the same columns.
            record["lbit"] = None
            del record["path"]
        try:
            name = _checked(record["key"])
            if self._folder is None:
                out = io.BytesIO()
                self._encode(row, out)
                data = out.getvalue()
                record.update(self._about(File(data)), lbit=data)
            else:
                path = self._folder / f"{name}{SUFFIX}"
                record["path"] = str(path)
                if not self._is_done(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    self._remove_leftovers(path)
                    self._encode(row, path)
                record.update(self._about(File(path)))
        except Exception as error:  # Whatever a clip does to its reader, the others go on.
            record["error"] = f"{type(error).__name__}: {error}"
        return {**rest, **record}

    def _encode(self, row: Row, output: Any) -> None:
        frames = row[self._frames] if isinstance(self._frames, str) else self._frames(row)
        self._encoder.write(frames, output, frame_rate=self._frame_rate)

    def _remove_leftovers(self, path: Path) -> None:
        # Ray gives a clip to one worker at a time: what is there was begun by one that died.
        for part in path.parent.glob(f".{glob.escape(path.name)}-*.part"):
            part.unlink(missing_ok=True)

    def _is_done(self, path: Path) -> bool:
        try:
            video = File(path).video
        except (FileNotFoundError, LatentBitError):
            return False
        return video.bundle_sha256 == self._encoder.bundle.sha256

    def _about(self, file: File) -> Row:
        video = file.video
        return {
            "bytes": file.size,
            "frames": file.frame_count,
            "chunks": len(file),
            "width": video.width,
            "height": video.height,
            "bundle_sha256": video.bundle_sha256,
        }


def _checked(key: Any) -> str:
    """A key that names a file below a folder and nothing else."""
    path = PurePosixPath(str(key))
    if path.is_absolute() or ".." in path.parts or not path.name or "\n" in str(key) or "\0" in str(key):
        raise ValueError(f"key: expected a relative path without .., found {key!r}")
    return str(path)


def _write_tar(path: Path, rows: list[Row]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as out, tarfile.open(fileobj=out, mode="w") as shard:
            for row in rows:
                about = {name: _plain(value) for name, value in row.items() if name not in ("lbit", "error")}
                known = {name: value for name, value in about.items() if value is not None}
                _add(shard, f"{_checked(row['key'])}{SUFFIX}", row["lbit"])
                _add(shard, f"{_checked(row['key'])}.json", json.dumps(known, sort_keys=True).encode())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _add(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size = len(data)
    shard.addfile(about, io.BytesIO(data))


def _plain(value: Any) -> Any:
    """What JSON can hold of a value; none if it cannot."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, str | int | float | bool) else None
