"""The same tokens in all forms that training reads them from."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

import latentbit

Tokens = npt.NDArray[np.uint64]
CODERS = ("cm", "zstd", "raw")
WEBDATASET = "WebDataset of npy"
OURS = {coder: f".lbit, {coder}" for coder in CODERS}
SHARDS = {coder: f"shard of .lbit, {coder}" for coder in CODERS}


def read_npz(path: Path, first: int, end: int) -> Tokens:
    """Of an archive that is compressed, so all of it is unpacked."""
    with np.load(path) as arrays:
        return arrays["tokens"][first:end]


def read_npy(path: Path, first: int, end: int) -> Tokens:
    """Of a mapped file."""
    return np.load(path, mmap_mode="r")[first:end]


def read_parquet(path: Path, first: int, end: int) -> Tokens:
    """Of a file with a row for each step."""
    file = pq.ParquetFile(path)
    shape = json.loads(file.schema_arrow.metadata[b"shape"])
    rows = file.read(columns=["tokens"]).slice(first, end - first).column("tokens")
    flat = rows.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(end - first, *shape)


READERS = {"npz": read_npz, "npy, mapped": read_npy, "Parquet": read_parquet}
"""What reads steps of a clip, for forms that have no data set of their own."""


def write_parquet(path: Path, tokens: Tokens) -> None:
    """Compressed with zstd, in row groups of some steps."""
    flat = pa.FixedSizeListArray.from_arrays(pa.array(tokens.reshape(-1)), tokens[0].size)
    schema = pa.schema([("tokens", flat.type)], metadata={"shape": json.dumps(tokens.shape[1:])})
    pq.write_table(pa.table([flat], schema=schema), path, compression="zstd", row_group_size=32)


def add(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    """Adds a member to a tar."""
    about = tarfile.TarInfo(name)
    about.size = len(data)
    shard.addfile(about, io.BytesIO(data))


def lay_out(sources: list[Path], copies: int, folder: Path) -> tuple[dict[str, Path], list[int]]:
    """The tokens of `.lbit` files, so many times each, in all forms; and the steps of each clip."""
    places = {name: folder / f"form-{number}" for number, name in enumerate([*OURS.values(), *READERS])}
    for place in places.values():
        place.mkdir()
    places |= {name: folder / f"{coder}.tar" for coder, name in SHARDS.items()}
    places[WEBDATASET] = folder / "npy.tar"
    steps = []
    with tarfile.open(places[WEBDATASET], "w") as shard:
        for number, path in enumerate(path for path in sources for _ in range(copies)):
            file, name = latentbit.open(path), f"{number:06}"
            tokens = file.read_tokens(wide=True).view(np.uint64)
            steps.append(len(tokens))
            for coder, form in OURS.items():
                with latentbit.Writer(places[form] / f"{name}.lbit", file.video, coder=coder) as writer:
                    for chunk in file:
                        writer.write(chunk)
            np.savez_compressed(places["npz"] / f"{name}.npz", tokens=tokens)
            array = places["npy, mapped"] / f"{name}.npy"
            np.save(array, tokens)
            write_parquet(places["Parquet"] / f"{name}.parquet", tokens)
            add(shard, f"{name}.npy", array.read_bytes())
    for coder, form in SHARDS.items():
        with tarfile.open(places[form], "w") as shard:
            for path in sorted(places[OURS[coder]].iterdir()):
                add(shard, path.name, path.read_bytes())
    return places, steps


def size_of(place: Path) -> int:
    """Bytes of a file, or of those in a folder."""
    return place.stat().st_size if place.is_file() else sum(path.stat().st_size for path in place.iterdir())
