"""Weights and operations of each part of a bundle, or of presets.

    latentbit-train cost models/default.safetensors
    latentbit-train cost --vae wan21 --tokenizer small

GFLOP are two for each multiplication and addition, per frame, as PyTorch's own counter finds them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from . import bundle
from .config import TOKENIZER_PRESETS, VAE_PRESETS, vae_config
from .options import Parser
from .tokenizer import Tokenizer, patchify, split_chunks
from .vae import WanVae


@dataclass(frozen=True)
class Part:
    """One of the networks."""

    name: str
    weights: int
    gflop_per_frame: float


def _count(run: Callable[[], Tensor], frames: int) -> tuple[Tensor, float]:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        result = run()
    return result, counter.get_total_flops() / frames / 1e9


def _weights(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def costs(vae: WanVae, tokenizer: Tokenizer | None, size: int = 128, frames: int = 29) -> list[Part]:
    """What each part has and does, for clips of `frames` frames (1 + 4 n) of side `size`."""
    latent, encode = _count(lambda: vae.encode(torch.zeros(1, 3, frames, size, size)), frames)
    _, decode = _count(lambda: vae.decode(latent), frames)
    parts = [Part("VAE encoder", _weights(vae.encoder, vae.conv1), encode),
             Part("VAE decoder", _weights(vae.decoder, vae.conv2), decode)]
    if tokenizer is not None:
        length = tokenizer.config.chunk_latent_frames
        chunks = split_chunks(latent[:, :, : latent.shape[2] // length * length], length)
        held = frames * chunks.shape[0] * length / latent.shape[2]
        x, grid = patchify(chunks, tokenizer.config.patch)
        encoder, decoder = tokenizer.encoder, tokenizer.decoder
        code, encode = _count(lambda: encoder(x, grid), 1)
        _, decode = _count(lambda: decoder(code, grid), 1)
        parts += [Part("ViT encoder", _weights(encoder), encode / held),
                  Part("ViT decoder", _weights(decoder), decode / held)]
    return [*parts, Part("all", sum(p.weights for p in parts), sum(p.gflop_per_frame for p in parts))]


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    p = Parser("cost", __doc__)
    p.add_argument("bundle", type=Path, nargs="?")
    p.add_argument("--vae", choices=sorted(VAE_PRESETS), default="compact")
    p.add_argument("--config", type=Path, help="JSON file of a VAE's configuration, instead of a preset")
    p.add_argument("--tokenizer", choices=sorted(TOKENIZER_PRESETS))
    p.add_argument("--size", type=int, default=128, help="side of the frames, pixels")
    p.add_argument("--frames", type=int, default=29, help="frames of the clip, 1 + 4 n")
    args = p.parse_args(argv)
    if args.bundle:
        _, vae, tokenizer = bundle.load(args.bundle)
    else:
        config = vae_config(json.loads(args.config.read_text())) if args.config else VAE_PRESETS[args.vae]()
        vae = WanVae(config)
        tokenizer = Tokenizer(TOKENIZER_PRESETS[args.tokenizer]()) if args.tokenizer else None
    print(f"| part | weights | GFLOP per {args.size}x{args.size} frame |\n|---|---|---|")
    for part in costs(vae, tokenizer, args.size, args.frames):
        print(f"| {part.name} | {part.weights / 1e6:.2f} M | {part.gflop_per_frame:.2f} |")
