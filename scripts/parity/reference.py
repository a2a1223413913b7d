"""Writes the outputs of diffusers for a synthetic clip, in f32 on the CPU.

    PYTHONPATH=training target/parity/venv/bin/python scripts/parity/reference.py target/parity/wan21/diffusers \\
        --frames 17 --size 128x128 --out target/parity/wan21/17-128x128

Writes clip.rgb (raw rgb24), latents.safetensors (key `latents`: the posterior's mean in the VAE's own scale, [1, C, T',
H', W']) and frames.safetensors (key `frames`: that latent decoded, within -1…1, [1, 3, T, H, W]).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from latentbit_training.data import to_unit
from safetensors.torch import save_file
from smooth_clip import smooth_clip

CLIP, LATENTS, FRAMES = "clip.rgb", "latents.safetensors", "frames.safetensors"


def size(text: str) -> tuple[int, int]:
    """Height and width of `64x96`, which is 64 rows of 96 pixels."""
    height, width = text.split("x")
    return int(height), int(width)


def load(folder: Path) -> Any:
    """The VAE of a diffusers folder; no weight may be missing or unknown."""
    model, report = AutoencoderKLWan.from_pretrained(
        folder, output_loading_info=True, low_cpu_mem_usage=False, torch_dtype=torch.float32
    )
    if any(report.values()):
        raise ValueError(f"{folder}: diffusers does not load these weights unchanged: {report}")
    return model.eval().requires_grad_(False)


@torch.no_grad()
def write(model: Any, frames: int, height: int, width: int, out: Path) -> None:
    """Writes the three files."""
    out.mkdir(parents=True, exist_ok=True)
    clip = smooth_clip(frames, height, width)
    latents = model.encode(to_unit(clip)[None]).latent_dist.mode()
    decoded = model.decode(latents).sample
    (out / CLIP).write_bytes(clip.tobytes())
    save_file({"latents": latents.contiguous()}, out / LATENTS)
    save_file({"frames": decoded.clamp(-1, 1).contiguous()}, out / FRAMES)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="diffusers folder of a VAE")
    parser.add_argument("--frames", type=int, default=17, help="1 + 4 n")
    parser.add_argument("--size", type=size, default=(128, 128), metavar="HxW", help="rows x columns")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    height, width = arguments.size
    write(load(arguments.folder), arguments.frames, height, width, arguments.out)


if __name__ == "__main__":
    main()
