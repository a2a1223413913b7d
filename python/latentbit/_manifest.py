"""What a manifest says of clips: captions, labels, and whatever else there is a column for."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ._catalog import SUFFIX
from ._remote import Remote, file_system, is_address, retried

Manifest = str | os.PathLike[str] | Mapping[str, Mapping[str, Any]] | None
Columns = bool | Sequence[str]

NAME = "manifest.parquet"
# Of these a row of a manifest speaks to ``archive``, and a sample has better ones.
KEY = "key"


class Rows:
    """The rows of manifests by the keys of clips."""

    def __init__(self, rows: Mapping[str, Mapping[str, Any]], columns: Columns, place: str, taken: Iterable[str]):
        there = list(dict.fromkeys(name for row in rows.values() for name in row))
        reserved = set(taken)
        if columns is True:
            names = [name for name in there if name not in reserved]
        else:
            names = list(columns or ())
            missing = [name for name in names if name not in there]
            if missing:
                raise ValueError(f"columns: {place} has {', '.join(there)}, and no {', '.join(missing)}")
            clash = [name for name in names if name in reserved]
            if clash:
                raise ValueError(f"columns: a sample has its own {', '.join(clash)}; leave that out")
        self.columns = names
        """The columns that each sample has."""
        self._rows = {key: tuple(_value(row.get(name)) for name in names) for key, row in rows.items()}
        self._place = place

    def check(self, names: Iterable[str]) -> None:
        """Raises a ``ValueError`` if there are files without a row."""
        missing = [name for name in names if key_of(name) not in self._rows]
        if missing:
            raise ValueError(
                f"columns: {self._place} has no row for {len(missing)} files, {missing[0]} for one; its column {KEY!r} "
                f"must hold their names without {SUFFIX}"
            )

    def __call__(self, name: str) -> dict[str, Any]:
        """What is said of the file of this name."""
        return dict(zip(self.columns, self._rows[key_of(name)], strict=True))


def _value(value: Any) -> Any:
    # Batches are made of strings, and not of nothing.
    return "" if value is None else value


def key_of(name: str) -> str:
    """The key of a clip by the name of its file, wherever that is."""
    return PurePosixPath(name).name.removesuffix(SUFFIX)


def rows_of(manifest: Manifest, folders: Iterable[str], columns: Columns, taken: Iterable[str]) -> Rows:
    """Reads a manifest: a table, a mapping from keys to rows, or the manifests that archives have."""
    if isinstance(manifest, Mapping):
        return Rows(manifest, columns, "the manifest", taken)
    if manifest is not None:
        paths = [os.fspath(manifest)]
    else:
        paths = [path for path in (f"{folder}/{NAME}" for folder in dict.fromkeys(folders)) if _is_there(path)]
        if not paths:
            raise FileNotFoundError(
                f"columns: there is no {NAME} beside these files; name a table with manifest= (.parquet, .csv, .tsv, "
                ".jsonl), or give a mapping from keys to rows"
            )
    wanted = None if columns is True or not columns else [KEY, *columns]
    rows: dict[str, Mapping[str, Any]] = {}
    for path in paths:
        for row in read_table(path, wanted):
            if KEY not in row:
                raise ValueError(f"{path}: expected a column {KEY!r}, found {', '.join(row)}")
            rows[str(row[KEY])] = {name: value for name, value in row.items() if name != KEY}
    return Rows(rows, columns, ", ".join(paths), taken)


def _is_there(path: str) -> bool:
    if not is_address(path):
        return Path(path).is_file()
    system, there = file_system(path)
    return bool(retried(lambda: system.isfile(there), path))


def read_table(path: str, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The rows of a table; of these columns at least, if they are named and it has them."""
    suffix = PurePosixPath(path).suffix.lower()
    if is_address(path):
        remote = Remote(path)
        data: Any = io.BytesIO(remote.read_range(0, remote.size))
    else:
        data = io.BytesIO(Path(path).read_bytes())
    if suffix == ".parquet":
        try:
            import pyarrow.parquet as parquet
        except ImportError as error:
            raise ImportError(f"{path}: Parquet needs pyarrow: pip install pyarrow") from error
        there = parquet.read_schema(data).names
        # If one is missing, the message lists those that there are.
        chosen = list(columns) if columns is not None and set(columns) <= set(there) else None
        found: list[dict[str, Any]] = parquet.read_table(data, columns=chosen).to_pylist()
        return found
    if suffix in (".csv", ".tsv"):
        lines = io.TextIOWrapper(data, "utf-8-sig", newline="")
        return list(csv.DictReader(lines, delimiter="\t" if suffix == ".tsv" else ","))
    if suffix in (".jsonl", ".ndjson"):
        return [json.loads(line) for line in data if line.strip()]
    raise ValueError(f"{path}: expected a table that ends in .parquet, .csv, .tsv or .jsonl")
