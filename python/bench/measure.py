"""Measures archiving beside PyTorch and reading beside other forms: `make bench-archive`.

    make bench-archive                                              # all of it, about 5 minutes on two cores
    make bench-archive BENCH="--quick"                              # whether it works, in a minute
    make bench-archive BENCH="--only reading"
    make bench-archive BENCH="--markdown docs/datasets.md"          # and renew the tables of the document

What is measured is printed and written to target/bench/archive.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import archiving
import clips
import document
import forms
import machine
import reading
import tables
import torch
from clips import Case

import latentbit

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "target" / "bench" / "archive.json"
SHORT = Case(clips=64, frames=17, size=64)
LONG = Case(clips=16, frames=65, size=128)
QUICK = Case(clips=3, frames=33, size=64)
COPIES = 8
"""Of each clip, so that there are more files to read than a pass holds open."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("archiving", "reading"))
    parser.add_argument("--quick", action="store_true", help="few clips, one round: whether it works")
    parser.add_argument("--data", type=Path, help="a video that clips are cut out of, instead of a pattern")
    parser.add_argument("--bundle", type=Path, default=ROOT / "models" / "default.safetensors")
    parser.add_argument("--latentbit", type=Path, default=ROOT / "target" / "release" / "latentbit")
    parser.add_argument("--threads", type=int, default=machine.cores())
    parser.add_argument("--rounds", type=int, default=2, help="turns that every program gets")
    parser.add_argument("--window", type=int, default=8, help="latent frames of a sample")
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement of reading")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="renew the tables there, between the marks")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seconds = 1, min(args.seconds, 0.5)
    return args


def read(sources: list[Path], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Lays tokens out in all forms and reads them."""
    places, steps = forms.lay_out(sources, COPIES, folder)
    reading.check(places, steps, args.window)
    video = latentbit.open(sources[0]).video
    return {
        "clips": len(steps), "steps": sum(steps), "bits": video.bits, "size": f"{video.width}x{video.height}",
        "window": args.window, "figures": reading.measure(places, steps, args.window, args.seconds),
    }


def main() -> None:
    """Measures, prints and writes."""
    args = arguments()
    if args.markdown:
        document.check(args.markdown)
    if machine.load() > 1:
        print(f"something else keeps this machine busy (load {machine.load():.1f})", file=sys.stderr)
    about = machine.describe() | {"threads": args.threads}
    torch.set_num_threads(1)
    model = latentbit.Bundle(args.bundle, dtype="f32")
    args.bits = model.bits
    archived: list[archiving.Figure] = []
    found: dict[str, Any] | None = None
    with tempfile.TemporaryDirectory() as scratch:
        cases = [QUICK] if args.quick else [SHORT, LONG]
        for number, case in enumerate(cases):
            folder = Path(scratch) / str(number)
            made = clips.make(case, folder, args.data)
            if args.only != "reading":
                archived += archiving.measure(case, made, folder, args)
        if args.only != "archiving":
            # The longest clips are the last ones made.
            tokens, laid = folder / "tokens", folder / "laid"
            laid.mkdir()
            line = [str(args.latentbit), "archive", str(made[0]), "--quiet", "--model", str(args.bundle), "--json"]
            archiving.Command("latentbit archive", [*line, "-o", str(tokens)], tokens, case.all_frames).turn()
            found = read(sorted(tokens.glob("*.lbit")), laid, args)
    text = tables.report(about, args.rounds, archived, found)
    print(text)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "schema": "latentbit.bench-archive/2", "machine": about, "archiving": archiving.as_json(archived),
        "reading": found,
    }
    OUT.write_text(json.dumps(content, indent=2) + "\n")
    if wrong := archiving.disagreeing(archived):
        raise SystemExit("\n".join(wrong))
    if args.markdown:
        document.write(args.markdown, text)


if __name__ == "__main__":
    main()
