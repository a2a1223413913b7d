"""Compares our VAE with that of diffusers, with the same random weights in both layouts.

    make parity                                                    # all of it, with the built command
    make parity PARITY="--vae wan21 --base-dim 16 --ours torch"    # its options

Weights and references are made once, in target/parity; remove them after changing the scripts that make them. Prints
a table of max |a - b| / max |b| and fails above 1e-4. Decoding starts from the reference latent, so that encoder errors
do not add to the decoder's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import torch
from errors import Row, table, verdict
from implementations import Command, Ours, Recipe, compared
from make_weights import CHECKPOINTS, FOLDER, VAES, random_weights, reduced
from make_weights import write as write_weights
from reference import CLIP, FRAMES, LATENTS, size
from reference import load as load_reference
from reference import write as write_reference

WORK = Path("target/parity")
FRAME_COUNTS = (1, 5, 9, 17, 33)
SIZES = ((64, 96), (128, 128))
LAYOUTS = ("checkpoint", FOLDER)
SEED = 1


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def weights(name: str, base: int | None) -> Path:
    """The folder with both layouts, made if missing."""
    folder = WORK / f"{name}-{base or 'full'}"
    if not (folder / CHECKPOINTS[name]).exists():
        say(f"{folder}: making random weights")
        write_weights(folder, name, random_weights(reduced(name, base), SEED))
    return folder


def references(folder: Path, cases: list[tuple[int, int, int]]) -> None:
    """Makes the missing outputs of diffusers, keeping its model in memory no longer than needed."""
    absent = [case for case in cases if not (place(folder, case) / FRAMES).exists()]
    if not absent:
        return
    model = load_reference(folder / FOLDER)
    for frames, height, width in absent:
        say(f"{folder.name}: reference, {frames} frames of {height}x{width}")
        write_reference(model, frames, height, width, place(folder, (frames, height, width)))


def place(folder: Path, case: tuple[int, int, int]) -> Path:
    """The folder with a clip's files."""
    frames, height, width = case
    return folder / f"{frames}-{height}x{width}"


def measure(ours: Ours, name: str, folder: Path, layout: str, case: tuple[int, int, int]) -> Row:
    """One clip with the weights of one layout."""
    frames, height, width = case
    model = folder / (CHECKPOINTS[name] if layout == "checkpoint" else FOLDER)
    reference = place(folder, case)
    out = reference / "ours"
    out.mkdir(exist_ok=True)
    for file in (LATENTS, FRAMES):
        (out / file).unlink(missing_ok=True)
    ours.encode(model, reference / CLIP, height, width, out / LATENTS)
    ours.decode(model, reference / LATENTS, out / FRAMES)
    encode = compared(out / LATENTS, reference / LATENTS, "latents", ours)
    decode = compared(out / FRAMES, reference / FRAMES, "frames", ours)
    row = Row(folder.name, layout, frames, height, width, encode, decode)
    say(f"{row.model}, {layout}, {frames} frames of {height}x{width}: {encode:.1e} of latents, {decode:.1e} of frames")
    return row


def parser() -> argparse.ArgumentParser:
    """Command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--vae", nargs="+", choices=sorted(VAES), default=sorted(VAES))
    p.add_argument("--base-dim", type=int, help="channels of the first stage, instead of the official ones")
    p.add_argument("--frames", type=int, nargs="+", default=FRAME_COUNTS, metavar="N", help="1 + 4 n")
    p.add_argument("--sizes", type=size, nargs="+", default=SIZES, metavar="HxW", help="rows x columns")
    p.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=LAYOUTS)
    p.add_argument("--ours", choices=["latentbit", "torch"], default="latentbit",
                   help="the implementation: the built command or the training recipe's VAE")
    p.add_argument("--latentbit", type=Path, default=Path("target/release/latentbit"))
    p.add_argument("--options", default="--dtype f32", help="further options of the command, as one word")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="PyTorch's threads")
    return p


def main(argv: list[str] | None = None) -> int:
    """Compares, and returns the exit status."""
    arguments = parser().parse_args(argv)
    torch.set_num_threads(arguments.threads)
    ours: Ours = Recipe() if arguments.ours == "torch" else Command(arguments.latentbit, arguments.options.split())
    cases = [(frames, *pixels) for pixels in arguments.sizes for frames in arguments.frames]
    rows: list[Row] = []
    for name in arguments.vae:
        folder = weights(name, arguments.base_dim)
        references(folder, cases)
        for layout in arguments.layouts:
            try:
                rows += [measure(ours, name, folder, layout, case) for case in cases]
            except (OSError, subprocess.CalledProcessError) as error:
                say(f"parity: {error}")
                return 1
    print(f"{table(rows)}\n\n{verdict(rows)}")
    return int(any(row.failed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
