"""Joins a trained VAE and a trained tokenizer into one bundle.

    python -m latentbit_training.export --name latentbit-compact --vae runs/vae/vae.pt \\
        --tokenizer runs/tokenizer/tokenizer.pt --out models/default.safetensors
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import torch

from . import bundle
from .config import BundleConfig
from .tokenizer import Tokenizer
from .vae import WanVae
from .warm import past_of


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--name", required=True)
    p.add_argument("--vae", type=Path, required=True)
    p.add_argument("--tokenizer", type=Path)
    p.add_argument("--storage", choices=["int8", "bf16", "f32"], default="int8")
    p.add_argument("--out", type=Path, required=True)
    args = p.parse_args(argv)

    parts = {label: torch.load(path, map_location="cpu", weights_only=False)
             for label, path in (("vae", args.vae), ("tokenizer", args.tokenizer)) if path}
    pasts = {label: past_of(part) for label, part in parts.items()}
    training = {label: {**past, "minutes": round(past["minutes"], 1)} for label, past in pasts.items()}
    vae = WanVae(parts["vae"]["config"])
    vae.load_state_dict(parts["vae"]["state"])
    tokenizer = None
    if part := parts.get("tokenizer"):
        tokenizer = Tokenizer(part["config"])
        tokenizer.load_state_dict(part["state"])
    config = BundleConfig(args.name, vae.config, tokenizer.config if tokenizer else None, training)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    bundle.save(args.out, config, vae, tokenizer, args.storage)
    digest = hashlib.sha256(args.out.read_bytes()).hexdigest()
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB, sha256 {digest}")


if __name__ == "__main__":
    main()
