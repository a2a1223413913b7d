"""Groups of Zarr: one for each clip, with the arrays ``tokens`` and ``depths``, and the rest as attributes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ._records import ABOUT, KEY, LBIT, Record

STEPS = 4


def write(records: Iterable[Record], store: str | os.PathLike[str], **options: Any) -> int:
    """Writes records of the form ``tokens``; ``options`` are those of ``zarr.open_group``. Returns how many there are.

    A chunk of an array holds 4 steps, so a part of a clip is read without the rest.
    """
    import zarr

    root = zarr.open_group(os.fspath(store), mode="w", **options)
    count = 0
    for record in records:
        if LBIT in record:
            raise ValueError('form: Zarr holds arrays; take records of the form "tokens"')
        group = root.create_group(str(record[KEY]))
        for name, value in record.items():
            if isinstance(value, np.ndarray):
                steps = max(1, min(STEPS, len(value)))
                array = group.create_array(name, shape=value.shape, dtype=value.dtype, chunks=(steps, *value.shape[1:]))
                array[:] = value
            elif name != KEY:
                group.attrs[name] = value
        count += 1
    return count


def read(store: str | os.PathLike[str], **options: Any) -> Iterator[Mapping[str, Any]]:
    """The records, by key; ``options`` are those of ``zarr.open_group``."""
    import zarr

    root = zarr.open_group(os.fspath(store), mode="r", **options)
    for key, group in sorted(root.groups()):
        attributes = dict(group.attrs)
        if ABOUT not in attributes:
            raise ValueError(f"{store}: {key} has no {ABOUT!r}, so no file can be made of it")
        yield {KEY: key, **attributes, **{name: array[:] for name, array in group.arrays()}}
