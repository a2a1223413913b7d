"""Writes testdata/wan: small VAEs in the official layouts, and the outputs of diffusers for a clip.

    PYTHONPATH=training target/parity/venv/bin/python scripts/parity/fixtures.py testdata/wan
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from latentbit_training import official
from latentbit_training.vae import WanVae
from make_weights import CHECKPOINTS, FOLDER, random_weights, reduced
from reference import load, write

BASE = 4
FRAMES, HEIGHT, WIDTH = 9, 32, 48
SEED = 7


def halved(vae: WanVae) -> WanVae:
    """Weights rounded to f16 and stored so, to keep the fixtures small."""
    return vae.half()


def main() -> None:
    """Command line."""
    out = Path(sys.argv[1])
    for name in CHECKPOINTS:
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        vae = halved(random_weights(reduced(name, BASE), SEED))
        official.write_checkpoint(folder / CHECKPOINTS[name], vae)
        official.write_diffusers(folder / FOLDER, vae)
        torch.set_num_threads(1)
        write(load(folder / FOLDER), FRAMES, HEIGHT, WIDTH, folder)


if __name__ == "__main__":
    main()
