"""Compares the speed of LatentBit and PyTorch with the same weights on the same clips: `make bench`.

    .venv/bin/python scripts/bench/run.py                               # all of it, about 20 minutes on two cores
    .venv/bin/python scripts/bench/run.py --quick                       # a small part
    .venv/bin/python scripts/bench/run.py --only encode 256x256 bf16    # cases that match all words
    .venv/bin/python scripts/bench/run.py --only operators              # single operators
    .venv/bin/python scripts/bench/run.py --markdown docs/performance.md
    target/parity/venv/bin/python scripts/bench/run.py --wan            # the official VAE against diffusers
    ... --wan --slow --once --frames 1 --only bf16 128x128              # bf16 on a CPU without instructions for it
    ... --wan --slow --once --frames 1 --only bf16 480x832 --give-up 1800   # but at most half an hour per run of a peer

Each case has its own processes, ours and the peers', which take turns and never compute at the same time. The result
is printed and written to target/bench/cpu.json; target/bench/runs.json has every single run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import clip
import document
import machine
import operators
from agreement import agreement
from build import build
from cases import COMPILE, EAGER, PEERS, Case, large_vae, official_vae, select, shorter, whole_models
from report import Results
from table import bound
from turns import FailedError, Program, in_turn

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).resolve().parent
WORK = ROOT / "target" / "bench"
RUNS = WORK / "runs.json"
LARGE = WORK / "wan2.1-random.safetensors"
OFFICIAL = WORK / "wan21-diffusers"
OPERATORS = "operators"
"""The word that selects only them."""
WARMUPS = {EAGER: 1, COMPILE: 2}
ONCE = {EAGER: 0, COMPILE: 1}
"""With `--once`: if runs take minutes, only compiling takes as long."""


class Bench:
    """The programs and files of a run."""

    def __init__(self, ours: Path, options: argparse.Namespace) -> None:
        self.ours, self.threads, self.rounds, self.video = ours.resolve(), options.threads, options.rounds, options.clip
        self.once, self.give_up = options.once, options.give_up
        self.inputs: dict[tuple[Path, str, str], Path] = {}
        # OpenMP's own default is every core.
        self.environment = os.environ | {
            "PYTHONPATH": str(ROOT / "training"), "OMP_NUM_THREADS": str(self.threads),
            "TORCHINDUCTOR_CACHE_DIR": str(WORK / "inductor"),
        }

    def options(self, case: Case, source: Path) -> list[str]:
        size = f"{case.clip.width}x{case.clip.height}"
        return [
            "--bundle", str(case.bundle), "--task", case.task, "--input", str(source), "--size", size,
            "--frames", str(case.clip.frames), "--threads", str(self.threads), "--json",
        ]

    def source(self, case: Case) -> Path:
        """The input of a case: frames, or for a decoder our encoder's output for them."""
        encoder = {"decode": "encode", "vae-decode": "vae-encode"}.get(case.task)
        key = (case.bundle if encoder else Path(), encoder or "", str(case.clip))
        if key not in self.inputs:
            path = WORK / "-".join([*([case.bundle.stem, encoder] if encoder else ["clip"]), str(case.clip)])
            if encoder:
                needed = Case(case.bundle, encoder, case.clip, "f32")
                command = [str(self.ours), *self.options(needed, self.source(needed)), "--output", str(path)]
                subprocess.run([*command, "--warmup", "0", "--repeats", "1"], check=True, stdout=subprocess.DEVNULL)
            else:
                clip.write(path, case.clip.width, case.clip.height, case.clip.frames, self.video)
            self.inputs[key] = path
        return self.inputs[key]

    def program(self, case: Case, implementation: str) -> Program:
        """Our program or a peer's."""
        options = self.options(case, self.source(case))
        repeats, warmups = (1, ONCE) if self.once else (case.repeats, WARMUPS)
        options += ["--dtype", case.dtype, "--repeats", str(repeats), "--turns"]
        options += ["--warmup", str(warmups.get(implementation, 1)), "--output", str(WORK / implementation)]
        if implementation == "latentbit":
            command = [str(self.ours), *options]
        else:
            mode = implementation.removeprefix("torch-")
            command = [sys.executable, str(SCRIPTS / "peer.py"), "--mode", mode, *options]
            command += ["--give-up", str(self.give_up)] if self.give_up else []
        return Program(command, WORK / f"{implementation}.log", self.environment)

    def measure(self, case: Case, results: Results) -> None:
        """Measures a case and prints the result."""
        start = time.monotonic()
        say(f"{case.label}: ", end="")
        try:
            programs = [self.program(case, name) for name in ("latentbit", *case.peers)]
            in_turn(programs, self.rounds)
            written = (WORK / "latentbit").read_bytes()
            agreements = [
                None if peer.unfinished else agreement(case.task, written, (WORK / name).read_bytes())
                for name, peer in zip(case.peers, programs[1:], strict=True)
            ]
        except (FailedError, subprocess.CalledProcessError, ValueError) as error:
            say(f"failed\n{error}")
            results.failures.append(f"{case.label}: {error}")
            return
        ours, *peers = (program.summary() for program in programs)
        rows = results.add(case.clip.size, ours, peers)
        for peer, far in zip(peers, agreements, strict=True):
            if far is not None:
                results.agree(peer, far)
        ratios = ", ".join(f"{bound('> ', row)}{row['ratio']:.2f} of {row['peer']}" for row in rows)
        say(f"{ours['fps']:.2f} frames/s, {ratios} ({time.monotonic() - start:.0f} s)")


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)


def gemm(threads: int) -> list[dict[str, Any]]:
    """The rate of PyTorch's product of large matrices."""
    command = [sys.executable, str(SCRIPTS / "gemm.py"), str(threads)]
    rates: list[dict[str, Any]] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return rates


def wan(path: Path, environment: dict[str, str]) -> None:
    """Makes a model with the official VAE's architecture, unless it is there."""
    if not path.exists():
        say("making random weights of the full-size VAE")
        subprocess.run([sys.executable, str(SCRIPTS / "wan.py"), str(path)], check=True, env=environment)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "default.safetensors")
    parser.add_argument("--clip", type=Path, help="a video to measure on, instead of the generated pattern")
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--rounds", type=int, default=3, help="turns of every program")
    parser.add_argument("--frames", type=int, help="limit for the frames of every clip")
    parser.add_argument("--slow", action="store_true", help="include bf16 on a CPU without instructions for it")
    parser.add_argument("--once", action="store_true", help="one run of each program, eager PyTorch without warm-up")
    parser.add_argument(
        "--give-up", type=float, metavar="SECONDS",
        help="stop a peer's run that takes longer; its figures are then bounds",
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="cases that match all words")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS)
    parser.add_argument("--wan", action="store_true", help="only the official VAE, against that of diffusers")
    parser.add_argument("--quick", action="store_true", help="only 128x128, one round, eager PyTorch")
    parser.add_argument("--list", action="store_true", help="print the labels of the cases and measure nothing")
    parser.add_argument("--last", action="store_true", help="measure nothing; report the last measurements")
    parser.add_argument("--ours", type=Path, help="a build of codec/benches/model to use; skips the operators")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE",
        help=f"write the report there; if the file exists, between {document.BEGIN} and {document.END}",
    )
    return parser.parse_args()


def measure(options: argparse.Namespace, cases: list[Case], with_operators: bool) -> Results:
    """Measures everything; results are written as they come, so that an interrupted run is useful too."""
    about = machine.describe()
    if machine.load() > 1:
        say(f"bench: this machine is busy (load {machine.load():.1f}); the figures will be noisy")
    WORK.mkdir(parents=True, exist_ok=True)
    programs = {"model": options.ours} if options.ours else build()
    bench = Bench(programs["model"], options)
    for model in (LARGE, OFFICIAL):
        if any(case.bundle == model for case in cases):
            wan(model, bench.environment)
    results = Results(about, options.threads)
    if with_operators:
        say("operators")
        results.gemm = gemm(options.threads)
        seconds = 0.1 if options.quick else 0.5
        results.operators = operators.measure(programs["operators"], options.threads, seconds, bench.environment)
        save(results)
    for case in cases:
        bench.measure(case, results)
        save(results)
    return results


def save(results: Results) -> None:
    (WORK / "cpu.json").write_text(json.dumps(results.as_json(), indent=1) + "\n")
    RUNS.write_text(json.dumps(results.everything(), indent=1) + "\n")


def main() -> None:
    options = arguments()
    cases = [*whole_models(options.bundle.resolve()), *large_vae(LARGE)]
    if options.wan:
        cases = list(official_vae(OFFICIAL))
    if options.quick:
        cases = [case for case in cases if case.clip.size == "128x128" and case.bundle != LARGE]
        options.peers, options.rounds = [EAGER], 1
    cases = select(cases, options.only, tuple(options.peers))
    if options.once:
        options.rounds = 1
    if options.frames:
        cases = shorter(cases, options.frames)
    if not options.slow and not machine.has_bf16() and any(case.dtype == "bf16" for case in cases):
        say("bench: skipping bf16: this CPU has no instructions for it (--slow measures it)")
        cases = [case for case in cases if case.dtype != "bf16"]
    with_operators = not options.ours and not options.wan and options.only in ([], [OPERATORS])
    if options.list:
        print("\n".join([*([OPERATORS] if with_operators else []), *(case.label for case in cases)]))
        return
    if not cases and not with_operators:
        raise SystemExit("bench: no case matches all of these words; --list shows the cases")
    for name in ("ours", "clip", "markdown"):
        if path := getattr(options, name):
            setattr(options, name, path.resolve())
    if options.markdown:
        document.check(options.markdown)

    os.chdir(ROOT)
    results = Results(**json.loads(RUNS.read_text())) if options.last else measure(options, cases, with_operators)
    report = results.as_markdown()
    print(report)
    if options.markdown:
        document.write(options.markdown, report)
    if results.failures:
        raise SystemExit(f"bench: {len(results.failures)} cases failed")


if __name__ == "__main__":
    main()
