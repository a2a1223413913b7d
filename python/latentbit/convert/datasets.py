"""Data sets of Hugging Face ``datasets``, with a feature that opens files as they are asked for."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, List, Value
from datasets.features.features import register_feature

from .._file import File
from ._records import LBIT, TOKENS, Record

__all__ = ["LatentBit", "read", "write"]


@dataclass
class LatentBit:
    """A feature whose values are ``latentbit.File``s: of bytes in the data set, or of paths.

    Tokens are read when a file is asked for them. ``decode=False`` gives ``{"bytes": ..., "path": ...}`` instead, and
    so does ``datasets`` where this module was not imported, once the column is cast to that.
    """

    decode: bool = True
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "latentbit.File"
    pa_type: ClassVar[Any] = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    _type: str = field(default="LatentBit", init=False, repr=False)

    def __call__(self) -> Any:
        """The type in Arrow."""
        return self.pa_type

    def encode_example(self, value: Any) -> dict[str, Any]:
        """A path, bytes or such a dict, as Arrow holds it."""
        if isinstance(value, str | os.PathLike):
            return {"bytes": None, "path": os.fspath(value)}
        if isinstance(value, bytes | bytearray | memoryview):
            return {"bytes": bytes(value), "path": None}
        if isinstance(value, Mapping) and (value.get("bytes") is not None or value.get("path") is not None):
            return {"bytes": value.get("bytes"), "path": value.get("path")}
        raise TypeError(f"LatentBit: expected a path or the bytes of a file, found {type(value).__name__}")

    def decode_example(self, value: Mapping[str, Any], token_per_repo_id: Any = None) -> Any:
        """The file."""
        if not self.decode:
            return value
        if value["bytes"] is not None:
            return File(value["bytes"])
        return File(value["path"])

    def cast_storage(self, storage: Any) -> Any:
        """Columns of strings are paths, columns of binaries are bytes."""
        none = pa.nulls(len(storage))
        if pa.types.is_string(storage.type) or pa.types.is_large_string(storage.type):
            parts = [none.cast(pa.binary()), storage.cast(pa.string())]
        elif pa.types.is_binary(storage.type) or pa.types.is_large_binary(storage.type):
            parts = [storage.cast(pa.binary()), none.cast(pa.string())]
        else:
            return storage.cast(self.pa_type)
        return pa.StructArray.from_arrays(parts, ["bytes", "path"], mask=storage.is_null())

    def embed_storage(self, storage: Any, token_per_repo_id: Any = None, local_files: bool = True, **_: Any) -> Any:
        """The same with the bytes of files that were only named, for data sets that leave this machine."""
        rows = []
        for value in storage.to_pylist():
            if local_files and value is not None and value["bytes"] is None:
                value = {"bytes": Path(value["path"]).read_bytes(), "path": Path(value["path"]).name}
            rows.append(value)
        return pa.array(rows, self.pa_type)

    def flatten(self) -> Any:
        """The two columns, where it is not decoded."""
        return self if self.decode else {"bytes": Value("binary"), "path": Value("string")}


with warnings.catch_warnings():
    # It is called experimental there.
    warnings.simplefilter("ignore")
    register_feature(LatentBit, "LatentBit")


def write(records: Iterable[Record], folder: str | os.PathLike[str], **options: Any) -> int:
    """Saves records as a data set, for ``datasets.load_from_disk``; ``options`` are those of ``save_to_disk``.

    Files (the form ``lbit``) become a column ``lbit`` of the feature ``LatentBit``; tokens are lists of lists of
    numbers, which need nothing of ours. Returns how many there are.
    """
    held = list(records)
    if not held:
        raise ValueError("there is no record to write")
    columns: dict[str, Any] = {}
    for name, value in held[0].items():
        if name == LBIT:
            columns[name] = LatentBit()
        elif isinstance(value, np.ndarray):
            columns[name] = List(List(List(Value(str(value.dtype)))))
    rows = [
        {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in record.items()}
        for record in held
    ]
    plain = Dataset.from_list([{name: row[name] for name in row if name not in columns} for row in rows])
    features = Features({**plain.features, **columns})
    whole = Dataset.from_dict({name: [row[name] for row in rows] for name in features}, features=features)
    whole.save_to_disk(os.fspath(folder), **options)
    return len(held)


def read(folder: str | os.PathLike[str], **_: Any) -> Iterator[Mapping[str, Any]]:
    """The records of a data set that was saved."""
    from datasets import load_from_disk

    dataset = load_from_disk(os.fspath(folder))
    if LBIT in dataset.features:
        dataset = dataset.cast_column(LBIT, LatentBit(decode=False))
    for row in dataset:
        if LBIT in row:
            held = row[LBIT]
            row[LBIT] = held["bytes"] if held["bytes"] is not None else Path(held["path"]).read_bytes()
        if TOKENS in row:
            row[TOKENS] = np.array(row[TOKENS], np.uint64)
        yield row
