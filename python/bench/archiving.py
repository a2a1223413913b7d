"""How fast clips become tokens: `latentbit archive` beside a PyTorch script with the same weights.

All compute in f32 on the same number of threads and take turns. Loading models is not counted.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from clips import Case
from torch_archive import decode

import latentbit

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OURS = "latentbit archive"
AGREEMENT = 99.9
"""Percent of bits that must be the same for two programs to have done the same work."""
Tokens = npt.NDArray[np.uint64]


class Program(Protocol):
    """Something that turns all clips of a case into tokens."""

    name: str

    def turn(self) -> float:
        """Does it once; gives the seconds that it took."""

    def end(self) -> None:
        """Ends its processes."""


@dataclass
class Command:
    """Our command, started anew each time; it tells itself how long it took with the model loaded."""

    name: str
    line: list[str]
    out: Path
    frames: int

    def turn(self) -> float:
        """Does it once."""
        if self.out.is_dir():
            shutil.rmtree(self.out)
        self.out.unlink(missing_ok=True)
        answer = subprocess.run(self.line, check=True, stdout=subprocess.PIPE)
        report = json.loads(answer.stdout)
        if report["frames"] != self.frames or report.get("failed"):
            raise SystemExit(f"{self.name}: expected {self.frames} frames and no clip that failed, found {report}")
        return float(report["seconds"])

    def end(self) -> None:
        """Has no process to end."""


class Script:
    """Processes of `torch_archive.py`, each with its part of the clips and of the threads."""

    def __init__(self, clips: Path, out: Path, case: Case, bundle: Path, threads: int, processes: int):
        self.name = f"PyTorch, {_count(processes, 'process', 'processes')} of {_count(threads // processes, 'thread')}"
        self.frames = case.all_frames
        each = str(max(1, threads // processes))
        words = [clips, out, "--bundle", bundle, "--size", case.size, "--threads", each, "--parts", processes]
        path = os.pathsep.join(str(ROOT / part) for part in ("training", "scripts/bench"))
        around = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": each}
        out.mkdir()
        self.processes = [
            subprocess.Popen(
                [sys.executable, str(HERE / "torch_archive.py"), *map(str, words), "--part", str(part)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=around,
            )
            for part in range(processes)
        ]
        self._answers()

    def _answers(self) -> list[str]:
        lines = []
        for process in self.processes:
            assert process.stdout
            line = process.stdout.readline().strip()
            if not line:
                raise SystemExit(f"{self.name}: it ended with code {process.wait()}")
            lines.append(line)
        return lines

    def turn(self) -> float:
        """Does it once."""
        started = time.perf_counter()
        for process in self.processes:
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()
        frames = sum(int(line) for line in self._answers())
        if frames != self.frames:
            raise SystemExit(f"{self.name}: expected {self.frames} frames, found {frames}")
        return time.perf_counter() - started

    def end(self) -> None:
        """Ends its processes."""
        for process in self.processes:
            assert process.stdin
            process.stdin.close()
            process.wait()


class Package:
    """`encode_batch` of the Python package in this process; ffmpeg decodes the clips of the next batch meanwhile."""

    name = "latentbit in Python, encode_batch"
    BATCH = 16

    def __init__(self, clips: Path, out: Path, case: Case, bundle: latentbit.Bundle, threads: int):
        self.paths = sorted(clips.iterdir())
        self.out, self.size = out, case.size
        # As the others do it: one group, and no cuts.
        self.encoder = latentbit.Encoder(bundle, group=0, scene_cuts=False, threads=threads)
        self.threads = threads
        out.mkdir()

    def turn(self) -> float:
        """Does it once."""
        started = time.perf_counter()
        batches = [self.paths[at : at + self.BATCH] for at in range(0, len(self.paths), self.BATCH)]
        with ThreadPoolExecutor(self.threads) as pool:
            coming = self._decode(pool, batches[0])
            for number, batch in enumerate(batches):
                videos = [pixels.result() for pixels in coming]
                coming = self._decode(pool, batches[number + 1]) if number + 1 < len(batches) else []
                for path, chunks in zip(batch, self.encoder.encode_batch(videos), strict=True):
                    np.save(self.out / f"{path.stem}.npy", np.concatenate([chunk.read()[0] for chunk in chunks]))
        return time.perf_counter() - started

    def _decode(self, pool: ThreadPoolExecutor, paths: list[Path]) -> list[Any]:
        return [pool.submit(decode, path, self.size) for path in paths]

    def end(self) -> None:
        """Has no process to end."""


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


@dataclass
class Figure:
    """What one program came to in one case."""

    case: str
    program: str
    seconds: list[float]
    clips_per_second: float
    frames_per_second: float
    ratio: float
    """Its seconds over those of `latentbit archive`."""
    equal_bits: float | None
    """Percent of the bits of `latentbit archive`, if it wrote arrays."""


def ours(folder: Path) -> dict[str, Tokens]:
    """The arrays in the shards of an archive, by the names of the clips."""
    sources, arrays = {}, {}
    for shard in sorted(folder.glob("*.tar")):
        with tarfile.open(shard) as members:
            for member in members:
                key, _, kind = member.name.partition(".")
                data = members.extractfile(member)
                assert data
                if kind == "json":
                    sources[key] = Path(json.load(data)["source"]).stem
                elif kind == "tokens.npy":
                    arrays[key] = np.load(io.BytesIO(data.read())).astype(np.uint64)
    return {sources[key]: tokens for key, tokens in arrays.items()}


def equal_bits(expected: dict[str, Tokens], folder: Path, bits: int) -> float:
    """Percent of the bits that are the same in the arrays of a folder."""
    same = total = 0
    for name, tokens in expected.items():
        found = np.load(folder / f"{name}.npy")
        if found.shape != tokens.shape:
            raise SystemExit(f"{name}: expected tokens {tokens.shape}, found {found.shape}")
        same += bits * tokens.size - int(np.bitwise_count(found ^ tokens).sum())
        total += bits * tokens.size
    return 100 * same / total


def measure(case: Case, made: tuple[Path, Path], folder: Path, args: Any) -> list[Figure]:
    """Lets all programs take turns on the clips of a case."""
    clips, whole = made
    common = ["--dtype", "f32", "--threads", str(args.threads), "--model", str(args.bundle), "--quiet", "--json"]
    # One group, as the script has it: what a random access point costs is no part of the comparison.
    common += ["--group", "0", "--no-scene-cuts", "-o"]
    out = folder / "archive"
    shards = ["--format", "webdataset", "--tokens", "npy"]
    programs: list[Program] = [
        Command(OURS, [str(args.latentbit), "archive", str(clips), *shards, *common, str(out)], out, case.all_frames)
    ]
    package = Package(clips, folder / "python", case, latentbit.Bundle(args.bundle, dtype="f32"), args.threads)
    programs.append(package)
    arrays: dict[str, Path] = {package.name: package.out}
    for processes in dict.fromkeys((1, args.threads)):
        there = folder / f"torch-{processes}"
        script = Script(clips, there, case, args.bundle, args.threads, processes)
        arrays[script.name] = there
        programs.append(script)
    long = folder / "whole.lbit"
    name = "latentbit encode, all clips as one"
    programs.append(
        Command(name, [str(args.latentbit), "encode", str(whole), *common, str(long)], long, case.all_frames)
    )
    seconds: dict[str, list[float]] = {program.name: [] for program in programs}
    try:
        for _ in range(args.rounds):
            for program in programs:
                seconds[program.name].append(program.turn())
                print(f"{case}: {program.name}: {seconds[program.name][-1]:.1f} s", file=sys.stderr, flush=True)
    finally:
        for program in programs:
            program.end()
    expected, fastest = ours(out), median(seconds[OURS])
    figures = []
    for program in programs:
        spent = median(seconds[program.name])
        made_by = arrays.get(program.name)
        agreed = equal_bits(expected, made_by, args.bits) if made_by else None
        figures.append(
            Figure(
                str(case), program.name, seconds[program.name], case.clips / spent, case.all_frames / spent,
                spent / fastest, agreed,
            )
        )
    return figures


def disagreeing(figures: list[Figure]) -> list[str]:
    """The programs that did other work than ours: what they came to is no comparison."""
    return [
        f"{found.case}: {found.program}: only {found.equal_bits:.3f} % of the bits are those of {OURS}"
        for found in figures
        if found.equal_bits is not None and found.equal_bits < AGREEMENT
    ]


def as_json(figures: list[Figure]) -> list[dict[str, Any]]:
    """What archive.json has of them."""
    return [asdict(figure) for figure in figures]
