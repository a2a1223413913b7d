"""Shards of MosaicML Streaming (MDS)."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ._records import Record


def write(records: Iterable[Record], folder: str | os.PathLike[str], **options: Any) -> int:
    """Writes records as MDS; ``options`` are those of ``streaming.MDSWriter``. Returns how many there are."""
    from streaming import MDSWriter

    rest = iter(records)
    first = next(rest, None)
    if first is None:
        raise ValueError("there is no record to write")
    columns = {name: _encoding(value) for name, value in first.items()}
    count = 0
    with MDSWriter(out=os.fspath(folder), columns=columns, **options) as writer:
        for record in itertools.chain([first], rest):
            if record.keys() != columns.keys():
                raise ValueError(
                    f"{record['key']}: expected the fields {sorted(columns)}, found {sorted(record)}; convert plain "
                    "and elastic files apart"
                )
            writer.write({name: _value(columns[name], value) for name, value in record.items()})
            count += 1
    return count


def _encoding(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"ndarray:{value.dtype}"
    for kind, encoding in ((bytes, "bytes"), (str, "str"), (bool, "json"), (int, "int"), (float, "float64")):
        if isinstance(value, kind):
            return encoding
    return "json"


def _value(encoding: str, value: Any) -> Any:
    return float(value) if encoding == "float64" else value


def read(folder: str | os.PathLike[str], **options: Any) -> Iterator[Mapping[str, Any]]:
    """The records of MDS, in order; ``options`` are those of ``streaming.StreamingDataset``."""
    from streaming import StreamingDataset

    dataset = StreamingDataset(local=os.fspath(folder), **{"shuffle": False, "batch_size": 1, **options})
    return (dataset[number] for number in range(len(dataset)))
