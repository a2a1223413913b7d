"""Checks the packed command on a GPU and compares it with PyTorch: `scripts/gpu/verify`.

    scripts/gpu/verify                              # all parts, for nine minutes; run it again to continue
    scripts/gpu/verify --part correctness
    scripts/gpu/verify --part wan --minutes 9 --markdown docs/gpu.md
    scripts/gpu/verify --report                     # only print the results so far
    scripts/gpu/verify --rehearse                   # every step on the CPU with tiny sizes: proves this script

Exit codes: 0 all done and correct; 1 a correctness check failed; 2 usage error; 3 correct so far, but steps are left:
run it again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import document
import torch

from . import tables
from .about import describe
from .cases import cases
from .context import Context
from .correctness import run_checks
from .deadline import Deadline
from .measure import measure
from .paths import ROOT, built
from .results import Results

PARTS = ("correctness", "shipped", "wan")
WRONG, LEFT = 1, 3


def arguments(argv: list[str] | None) -> argparse.Namespace:
    p = argparse.ArgumentParser(prog="verify", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    p.add_argument("--minutes", type=float, default=9, help="minutes of this call")
    p.add_argument("--built", type=Path, help="folder or .tar.xz that scripts/gpu/bundle made")
    p.add_argument("--device", default="cuda", help="cuda or cuda:N")
    p.add_argument("--results", type=Path, help="file that calls continue from; default runs/gpu-verify/results.json")
    p.add_argument("--markdown", type=Path, help="document to write the report to, between its marks")
    p.add_argument("--again", nargs="*", metavar="WORD", help="repeat failed steps and those that match any word")
    p.add_argument("--report", action="store_true", help="run nothing")
    p.add_argument("--rehearse", action="store_true", help="on the CPU, with tiny sizes")
    return p.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    folder = ROOT / "runs" / ("gpu-rehearsal" if options.rehearse else "gpu-verify")
    store = (options.results or folder / "results.json").resolve()
    if options.markdown:
        document.check(options.markdown)
    if options.rehearse:
        options.device = "cpu"
        torch.set_num_threads(1)
    results = Results.read(store)
    if not options.report:
        if not options.rehearse and not torch.cuda.is_available():
            print("verify: PyTorch sees no GPU here; --rehearse runs every step on the CPU", file=sys.stderr)
            return 2
        programs = built(options.built)
        if options.again is not None:
            results.forget(options.again)
        results.left = []
        results.about = describe(options.device, programs)
        context = Context(programs, options.device, options.rehearse, Deadline(60 * options.minutes), folder / "work",
                          results, store)
        print(tables.about(results) + "\n", flush=True)
        run(context, options.part)
        context.save()
    for head, body in tables.everything(results, options.rehearse):
        print(f"\n{head}\n\n{body}")
    if options.markdown:
        document.write(options.markdown, tables.markdown(results, options.rehearse))
    return ending(results)


def run(context: Context, parts: list[str]) -> None:
    """The parts in their order."""
    if "correctness" in parts:
        run_checks(context)
    for part, chosen in cases(context.rehearse).items():
        if part in parts:
            measure(context, chosen)


def ending(results: Results) -> int:
    """Returns the exit code, and prints its meaning."""
    if wrong := results.wrong:
        print(f"\nverify: not correct: {', '.join(wrong)}")
        return WRONG
    if results.left:
        print(f"\nverify: correct so far; {len(results.left)} steps are left: run it again")
        return LEFT
    failed = tables.failures(results)
    print("\nverify: done" + (f", but {len(failed)} runs failed: --again repeats them" if failed else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
