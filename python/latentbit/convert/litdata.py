"""Optimized data sets of LitData."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ._records import Record


def write(
    records: Iterable[Record], folder: str | os.PathLike[str], *, chunk_bytes: int | str = "64MB", **options: Any
) -> int:
    """Writes records for ``litdata.StreamingDataset``; ``options`` are those of LitData's ``BinaryWriter``.

    Returns how many there are.
    """
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(os.fspath(folder), chunk_bytes=chunk_bytes, **options)
    count = 0
    for record in records:
        writer.add_item(count, record)
        count += 1
    if not count:
        raise ValueError("there is no record to write")
    writer.done()
    writer.merge()
    return count


def read(folder: str | os.PathLike[str], **options: Any) -> Iterator[Mapping[str, Any]]:
    """The records, in order; ``options`` are those of ``litdata.StreamingDataset``."""
    from litdata import StreamingDataset

    dataset = StreamingDataset(os.fspath(folder), **options)
    return (dataset[number] for number in range(len(dataset)))
