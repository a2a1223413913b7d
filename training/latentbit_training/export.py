"""Joins a VAE, trained or official, and a trained tokenizer into one bundle.

    latentbit-train export --name latentbit-compact --vae runs/vae/vae.pt \\
        --tokenizer runs/tokenizer/tokenizer.pt --out models/default.safetensors
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from . import bundle
from .card import card
from .config import BundleConfig, TokenizerConfig, VaeConfig
from .options import Parser
from .tokenizer import Tokenizer
from .train_decoder import read_decoder
from .vae import WanVae
from .warm import VAE_HELP, read_part


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    p = Parser("export", __doc__)
    p.add_argument("--name", required=True)
    p.add_argument("--vae", type=Path, required=True, help=VAE_HELP)
    p.add_argument("--tokenizer", type=Path, help="tokenizer.pt of train_tokenizer, or a bundle")
    p.add_argument("--decoder", type=Path, help="decoder.pt of latentbit-train decoder, instead of the VAE's decoder")
    p.add_argument("--storage", choices=bundle.STORAGES, default="int8")
    p.add_argument("--out", type=Path, required=True, help="the bundle to write")
    p.add_argument("--card", type=Path, help="write a model card too, with the options and curves of the runs")
    args = p.parse_args(argv)

    vae_config, vae_state, past = read_part(args.vae, VaeConfig)
    pasts = {"vae": past}
    with torch.device("meta"):
        vae = WanVae(vae_config)
    vae.load_state_dict(vae_state, assign=True)
    if args.vae.suffix == ".safetensors" and bundle.is_bundle(args.vae):
        # Its decoder may be a copy that was fine-tuned, and is still.
        pasts |= {label: past for label, past in bundle.config_of(args.vae).training.items() if label == "decoder"}
    tokenizer = None
    if args.tokenizer:
        tokenizer_config, tokenizer_state, pasts["tokenizer"] = read_part(args.tokenizer, TokenizerConfig)
        if tokenizer_config.latent_channels != vae_config.latent_channels:
            p.error(f"the tokenizer is for a latent of {tokenizer_config.latent_channels} channels, the VAE's has "
                    f"{vae_config.latent_channels}")
        tokenizer = Tokenizer(tokenizer_config)
        tokenizer.load_state_dict(tokenizer_state)
    if args.decoder:
        decoder, pasts["decoder"] = read_decoder(args.decoder, vae, tokenizer.state_dict() if tokenizer else None)
        decoder.put_into(vae)
    # Of official weights no past is known.
    training = {label: {**past, "minutes": round(past["minutes"], 1)} for label, past in pasts.items() if past}
    config = BundleConfig(args.name, vae.config, tokenizer.config if tokenizer else None, training)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    bundle.save(args.out, config, vae, tokenizer, args.storage)
    digest = hashlib.sha256(args.out.read_bytes()).hexdigest()
    if args.card:
        # A part of a run is in its folder; official weights and bundles have none.
        parts = {"vae": args.vae, "tokenizer": args.tokenizer, "decoder": args.decoder}
        runs = {name: path.parent for name, path in parts.items() if path and path.suffix == ".pt"}
        args.card.parent.mkdir(parents=True, exist_ok=True)
        args.card.write_text(card(config, args.out, digest, runs))
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB, sha256 {digest}")
