"""Writes the official Wan 2.1 VAE's architecture with seeded random weights.

As a bundle (254 MB), or, if the name has no extension, as a diffusers folder in f32 (508 MB).

    PYTHONPATH=training .venv/bin/python scripts/bench/wan.py target/bench/wan.safetensors
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from latentbit_training import bundle, official
from latentbit_training.config import VAE_PRESETS, BundleConfig
from latentbit_training.init import init_near_linear
from latentbit_training.vae import WanVae

NAME = "wan2.1-random"


def main() -> None:
    torch.manual_seed(1)
    config = VAE_PRESETS["wan21"]()
    vae = WanVae(config)
    # Weights that keep signals at their size, so that outputs can be compared.
    init_near_linear(vae)
    path = Path(sys.argv[1])
    partial = path.with_suffix(".partial")
    if not path.suffix:
        official.write_diffusers(partial, vae)
        partial.replace(path)
        return
    bundle.save(partial, BundleConfig(NAME, config), vae, None, "bf16")
    partial.replace(path)


if __name__ == "__main__":
    main()
