"""Compares reading tokens for training: `.lbit` and shards of them with npz, npy, Parquet and WebDataset of npy.

The same tokens lie in all of them, of clips that are cut out of a video and encoded with the built-in model; or, with
`--lbit`, of the files of a folder. A sample is a window of latent frames as a tensor of int64. Reading at random opens
what it needs each time, as a data set does that is larger than memory; files are in the system's cache.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import webdataset as wds
from torch.utils.data import DataLoader, Dataset, IterableDataset

import latentbit
from latentbit.torch import TokenDataset

Tokens = npt.NDArray[np.uint64]
ROOT = Path(__file__).resolve().parents[2]
CODERS = ("cm", "zstd", "raw")


class Clips(Dataset[torch.Tensor]):
    """Windows of clips that a function reads; what a data set without an index of its own looks like."""

    def __init__(self, paths: list[Path], steps: list[int], window: int, read: Callable[[Path, int, int], Tokens]):
        counts = [count // window for count in steps]
        self.places = [(path, at * window) for path, count in zip(paths, counts, strict=True) for at in range(count)]
        self.window = window
        self.read = read

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> torch.Tensor:
        path, first = self.places[index]
        # A copy, as what is mapped is not to be written to.
        return torch.from_numpy(np.array(self.read(path, first, first + self.window)).view(np.int64))


class InOrder(IterableDataset[Any]):
    """A part of a data set for each worker, in order."""

    def __init__(self, dataset: Dataset[Any]):
        self.dataset = dataset

    def __iter__(self) -> Iterator[Any]:
        worker = torch.utils.data.get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        for index in np.array_split(np.arange(len(self.dataset)), workers)[number]:  # type: ignore[arg-type]
            yield self.dataset[int(index)]


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


def frames_of(video: Path, size: int, count: int, first: int) -> npt.NDArray[np.uint8]:
    """A square cut out of a video, in a place that depends on `first`."""
    crop = f"scale=-2:{2 * size},crop={size}:{size}:mod({37 * first}\\,iw-{size}):mod({23 * first}\\,ih-{size})"
    line = ["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", str(video), "-vf", f"{crop},trim=start_frame={first}"]
    line += ["-frames:v", str(count), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    data = subprocess.run(line, check=True, stdout=subprocess.PIPE).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, size, size, 3)


def make_clips(folder: Path, args: argparse.Namespace) -> None:
    """Encodes clips into a folder."""
    video = args.video
    if video is None:
        video = folder / "source.mp4"
        subprocess.run([sys.executable, ROOT / "scripts/demo/make_clip.py", video], check=True)
    encoder = latentbit.Encoder()
    for number in range(args.clips):
        frames = frames_of(video, args.size, args.frames, 5 * number)
        encoder.write(frames, folder / f"{number:04}.lbit", frame_rate=25)


def lay_out(source: Path, folder: Path) -> tuple[dict[str, Path], list[int]]:
    """The tokens of all clips in all forms, and the steps of each clip."""
    places = {name: folder / name for name in [*CODERS, "npz", "npy", "parquet"]}
    for place in places.values():
        place.mkdir()
    places.update({f"{coder} in tar": folder / f"{coder}.tar" for coder in CODERS}, wds=folder / "npy.tar")
    steps = []
    with tarfile.open(places["wds"], "w") as shard:
        for path in sorted(source.glob("*.lbit")):
            file = latentbit.open(path)
            tokens = file.read_tokens(wide=True).view(np.uint64)
            steps.append(len(tokens))
            for coder in CODERS:
                with latentbit.Writer(places[coder] / path.name, file.video, coder=coder) as writer:
                    for chunk in file:
                        writer.write(chunk)
            np.savez_compressed(places["npz"] / f"{path.stem}.npz", tokens=tokens)
            np.save(places["npy"] / f"{path.stem}.npy", tokens)
            write_parquet(places["parquet"] / f"{path.stem}.parquet", tokens)
            add(shard, f"{path.stem}.npy", (places["npy"] / f"{path.stem}.npy").read_bytes())
    for coder in CODERS:
        with tarfile.open(places[f"{coder} in tar"], "w") as shard:
            for path in sorted(places[coder].iterdir()):
                add(shard, path.name, path.read_bytes())
    return places, steps


def size_of(place: Path) -> int:
    """Bytes of a file, or of those in a folder."""
    return place.stat().st_size if place.is_file() else sum(path.stat().st_size for path in place.iterdir())


def rate(make: Callable[[int], Any], workers: int, seconds: float) -> float:
    """Samples per second, over as many passes as fit; what it takes to start workers is not counted."""
    count, started, spent = 0, 0.0, 0.0
    while spent < seconds:
        loader = make(workers)
        samples = iter(loader)
        next(samples)
        started = time.perf_counter()
        for _ in samples:
            count += 1
        spent += time.perf_counter() - started
        if not count:
            raise SystemExit("reading: there are too few samples to measure; take more clips, or longer ones")
    return count / spent


def loaders(name: str, place: Path, steps: list[int], window: int) -> dict[str, Callable[[int], Any]]:
    """What reads a form in order and, if it can, at random."""
    if name == "wds":

        def windows(samples: Any) -> Iterator[torch.Tensor]:
            for sample in samples:
                values = sample["npy"]
                for at in range(0, len(values) - window + 1, window):
                    yield torch.from_numpy(values[at : at + window].view(np.int64))

        def read(workers: int) -> Any:
            # One shard for each worker, which is the same one here.
            urls = [str(place)] * max(1, workers)
            pipeline = wds.WebDataset(urls, shardshuffle=False).decode().compose(windows)
            return DataLoader(pipeline, batch_size=None, num_workers=workers)

        return {"in order": read}
    if name in CODERS or name.endswith("in tar"):
        dataset: Dataset[Any] = TokenDataset(place, window=window, transform=lambda sample: sample["tokens"])
    else:
        read_part = {"npz": read_npz, "npy": read_npy, "parquet": read_parquet}[name]
        dataset = Clips(sorted(place.iterdir()), steps, window, read_part)

    def at_random(workers: int) -> Any:
        return DataLoader(dataset, batch_size=None, shuffle=True, num_workers=workers)

    def in_order(workers: int) -> Any:
        return DataLoader(InOrder(dataset), batch_size=None, num_workers=workers)

    return {"in order": in_order, "at random": at_random}


def check(places: dict[str, Path], steps: list[int], window: int) -> None:
    """All forms hold the same samples."""
    expected = None
    for name, place in places.items():
        found = torch.stack(list(loaders(name, place, steps, window)["in order"](0)))
        if expected is not None and not torch.equal(found, expected):
            raise SystemExit(f"reading: {name} does not hold the same samples")
        expected = found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lbit", type=Path, help="folder of .lbit files whose tokens are taken")
    parser.add_argument("--video", type=Path, help="video that clips are cut out of; that of `make demo` by default")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--frames", type=int, default=250, help="of a clip")
    parser.add_argument("--size", type=int, default=128, help="side of a frame in pixels")
    parser.add_argument("--window", type=int, default=8, help="latent frames of a sample")
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement, at least")
    parser.add_argument("--json", type=Path, help="write the figures there")
    args = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as scratch:
        made = args.lbit
        if made is None:
            made = Path(scratch) / "made"
            made.mkdir()
            make_clips(made, args)
        laid = Path(scratch) / "laid"
        laid.mkdir()
        places, steps = lay_out(made, laid)
        check(places, steps, args.window)
        video = latentbit.open(min(made.glob("*.lbit"))).video
        print(f"{len(steps)} clips, {sum(steps)} steps, {video.width}x{video.height}, {video.bits} bits per token")
        print(f"a sample is {args.window} latent frames; samples per second")
        print()
        print("| form | bytes | order, 1 worker | order, 2 workers | random, 1 worker | random, 2 workers |")
        print("|---|---|---|---|---|---|")
        figures = []
        for name, place in places.items():
            figure: dict[str, Any] = {"form": name, "bytes": size_of(place)}
            readers = loaders(name, place, steps, args.window)
            for order in ("in order", "at random"):
                for workers in (1, 2):
                    make = readers.get(order)
                    figure[f"{order}, {workers}"] = rate(make, workers, args.seconds) if make else None
            figures.append(figure)
            cells = [f"{value:,.0f}" if isinstance(value, float) else "-" for value in list(figure.values())[2:]]
            print(f"| {name} | {figure['bytes']:,} | {' | '.join(cells)} |", flush=True)
        if args.json:
            args.json.write_text(json.dumps({"schema": "latentbit.bench-archive/1", "figures": figures}, indent=2))


if __name__ == "__main__":
    main()
