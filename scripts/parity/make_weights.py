"""Writes seeded random weights of a Wan VAE twice: as an official checkpoint and as a diffusers folder.

    PYTHONPATH=training .venv/bin/python scripts/parity/make_weights.py target/parity/wan21 --vae wan21
    PYTHONPATH=training .venv/bin/python scripts/parity/make_weights.py target/parity/small --vae wan22 --base-dim 16

The official weights cannot be part of this repository; these have their names, shapes and sizes (0.5 GB for Wan 2.1,
2.8 GB for Wan 2.2, each twice). Without --base-dim the sizes are the official ones. Needs no diffusers.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import torch
from latentbit_training import official
from latentbit_training.config import VaeConfig, wan, wan21, wan22
from latentbit_training.vae import WanVae

VAES = {"wan21": wan21, "wan22": wan22}
CHECKPOINTS = {"wan21": "Wan2.1_VAE.pth", "wan22": "Wan2.2_VAE.pth"}
FOLDER = "diffusers"


def reduced(name: str, base: int | None) -> VaeConfig:
    """The configuration with another number of base channels; the decoder's keep their ratio to the encoder's."""
    config = VAES[name]()
    if base is None:
        return config
    full, full_decoder = config.stages[0].channels, config.stages[0].channels_up
    return replace(config, stages=wan(base, round(base * full_decoder / full)).stages)


@torch.no_grad()
def random_weights(config: VaeConfig, seed: int) -> WanVae:
    """A VAE in which every weight matters and signals keep about their size.

    Branches have half the size of what they are added to; the last convolution is small, so that hardly any pixel
    is beyond -1…1, where clamping would hide errors.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        vae = WanVae(config)
    vae = vae.to_empty(device="cpu").eval().requires_grad_(False)
    for name, value in vae.state_dict().items():
        if name.endswith("gamma"):
            value.uniform_(0.6, 1.4, generator=generator)
        elif name.endswith("bias"):
            value.normal_(0, 0.1, generator=generator)
        else:
            value.normal_(0, _gain(name) / math.sqrt(value[0].numel()), generator=generator)
    return vae


def _gain(name: str) -> float:
    if name == "decoder.head.2.weight":
        return 0.5
    return 0.7 if name.endswith(("residual.6.weight", "proj.weight")) else 1.2


def write(out: Path, name: str, vae: WanVae) -> None:
    """Writes both layouts, atomically: `run.py` uses existing ones."""
    out.mkdir(parents=True, exist_ok=True)
    partial = out / "partial.pth"
    official.write_checkpoint(partial, vae)
    official.write_diffusers(out / FOLDER, vae)
    partial.replace(out / CHECKPOINTS[name])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for the two files")
    parser.add_argument("--vae", choices=sorted(VAES), required=True)
    parser.add_argument("--base-dim", type=int, help="channels of the first stage, instead of the official ones")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    vae = random_weights(reduced(arguments.vae, arguments.base_dim), arguments.seed)
    write(arguments.out, arguments.vae, vae)
    print(f"{arguments.out}: {sum(p.numel() for p in vae.parameters()) / 1e6:.1f} M weights")


if __name__ == "__main__":
    main()
