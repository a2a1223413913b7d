"""Trains the ViT tokenizer on a frozen VAE.

    python -m latentbit_training.train_tokenizer --cache runs/cache --vae runs/vae/vae.pt --out runs/tokenizer

Two phases: first the latent alone is matched, which is cheap; then pixels through the frozen decoder (the
paper's objective). Run the same command again to go on from the last checkpoint.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from .bundle import STORAGES
from .config import TOKENIZER_PRESETS, tokenizer_config
from .data import Sampler
from .evaluate import evaluate_tokenizer
from .latents import LatentSampler, frozen, sensitivity
from .loop import OBJECTIVES, autocast, pixel_loss, same_pixels
from .perceptual import perceptual_loss
from .quantize import Balance, entropy_term, keep_mask
from .tokenizer import Tokenizer
from .training import Start, Training, add_options
from .warm import VAE_HELP, warm_start_tokenizer


def bit_report(u: Tensor) -> dict[str, float]:
    """How the bits of a batch are used: a collapse shows here before it shows in the loss."""
    bits = (u > 0).flatten(0, -2)
    balance = bits.float().mean(0)
    return {
        "balance_min": round(balance.min().item(), 3),
        "balance_max": round(balance.max().item(), 3),
        "dead_bits": int(((balance < 0.01) | (balance > 0.99)).sum()),
        "code_use": round(len(bits.unique(dim=0)) / len(bits), 3),
        "magnitude": round(u.abs().mean().item(), 3),
    }


def split_chunks(latent: Tensor, frames: int) -> Tensor:
    """(B, C, n*frames, H, W) to (B*n, C, frames, H, W)."""
    b, c, t, h, w = latent.shape
    return latent.reshape(b, c, t // frames, frames, h, w).transpose(1, 2).reshape(-1, c, frames, h, w)


def join_chunks(chunks: Tensor, batch: int) -> Tensor:
    """The way back of `split_chunks`."""
    n, c, t, h, w = chunks.shape
    return chunks.reshape(batch, n // batch, c, t, h, w).transpose(1, 2).reshape(batch, c, -1, h, w)


def parser() -> argparse.ArgumentParser:
    """Command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--cache", type=Path, required=True, help="folder made by latentbit_training.cache")
    p.add_argument("--vae", type=Path, required=True, help=VAE_HELP)
    p.add_argument("--latents", type=Path,
                   help="folder made by latentbit_training.latents of that VAE; else each step makes its own")
    p.add_argument("--preset", choices=sorted(TOKENIZER_PRESETS), default="compact")
    p.add_argument("--config", type=Path,
                   help="JSON file of what is other than in the preset (configs/tokenizer/)")
    p.add_argument("--bits", type=int, help="bits per token, instead of the preset's")
    p.add_argument("--quantizer", choices=["lfq", "bsq"], help="instead of the preset's")
    p.add_argument("--init", type=Path, help="start from this bundle or tokenizer.pt")
    p.add_argument("--val", type=Path, help="folder with images/ and videos/ to report on")
    p.add_argument("--size", type=int, nargs="+", default=[128], metavar="N",
                   help="sides of the crops, pixels; each step draws one")
    p.add_argument("--image-batch", type=int, default=16, help="images of a step, of the first size")
    p.add_argument("--clip-batch", type=int, default=2, help="clips of a step, of the first size")
    p.add_argument("--clip-chunks", type=int, default=2, help="chunks of each clip")
    p.add_argument("--clip-share", type=float, default=0.35, help="part of the steps that train on clips")
    p.add_argument("--pixel-start", type=float, default=0.6, help="part of the run that matches latents alone")
    p.add_argument("--pixel", type=float, default=8.0, help="weight of the pixel term")
    p.add_argument("--objective", choices=OBJECTIVES, default="psnr", help="how samples are averaged")
    p.add_argument("--latent", type=float, default=1.0, help="weight of the latent term")
    p.add_argument("--latent-weights", choices=["sensitivity", "even"], default="sensitivity",
                   help="weigh the latent's channels by what they mean for pixels, or all alike")
    p.add_argument("--commitment", type=float, default=0.25)
    p.add_argument("--commitment-warmup", type=float, default=0.3, help="part of the run over which it grows")
    p.add_argument("--entropy", type=float, default=0.0, help="weight of the entropy term")
    p.add_argument("--balance", type=float, default=0.3, help="weight of the term that draws every bit to half ones")
    p.add_argument("--whole", type=float, default=0.5, help="chance that a sample keeps all its bit-planes")
    p.add_argument("--lowest-bits", type=int, default=6, help="fewest planes that a sample keeps")
    p.add_argument("--perceptual", type=float, default=0.0, help="weight of the perceptual term")
    p.add_argument("--perceptual-weights", type=Path, help="SqueezeNet 1.1 weights (.npz) for the perceptual term")
    p.add_argument("--storage", choices=STORAGES, default="int8", help="how the VAE's weights will be stored")
    p.add_argument("--recompute", action=argparse.BooleanOptionalAction, default=False,
                   help="the pixel phase keeps less of the VAE's decoder in memory and computes it once more")
    add_options(p, rate=1e-3)
    return p


def main(argv: list[str] | None = None) -> Tokenizer:
    """Trains and returns the averaged model."""
    args = parser().parse_args(argv)
    start = Start(args)
    device = start.device

    vae = frozen(args.vae, args.storage).to(device)
    vae.decoder.recompute(args.recompute)

    config = TOKENIZER_PRESETS[args.preset]()
    if args.config:
        config = tokenizer_config(asdict(config) | json.loads(args.config.read_text()))
    config = replace(config, bits=args.bits or config.bits, quantizer=args.quantizer or config.quantizer,
                     latent_channels=vae.config.latent_channels)
    model = Tokenizer(config)
    before = start.before
    if args.init and start.fresh:
        before = warm_start_tokenizer(model, args.init)
    training = Training(start, model)
    sampler = Sampler(args.cache, args.seed + 1000 + training.step)
    latents = LatentSampler(args.latents, args.seed + 2000 + training.step) if args.latents else None
    perceptual = perceptual_loss(args.perceptual_weights, device) if args.perceptual else None
    balances = {clips: Balance(config.bits, device) for clips in (False, True)}
    chunk = config.chunk_latent_frames
    clip_frames = 1 + vae.config.strides[0] * (chunk * args.clip_chunks - 1)
    def encode(video: Tensor) -> Tensor:
        return vae.normalize(vae.encode(video))

    weights = torch.ones(1, 1, 1, 1, 1, device=device)
    if args.latent_weights == "sensitivity":
        with torch.no_grad():
            few = Sampler(args.cache, args.seed).image_batch(min(8, args.image_batch), args.size[0])
            weights = sensitivity(vae, encode(few.to(device)))

    training.log_size(least_weight=round(weights.min().item(), 3), most_weight=round(weights.max().item(), 3))

    def latent_terms(latent: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        chunks = split_chunks(latent, min(chunk, latent.shape[2]))
        output, commitment, u = model(chunks, mask)
        error = ((output.float() - chunks).square() * weights).mean()
        return join_chunks(output, latent.shape[0]), error, commitment.float(), u

    def pixels(latent: Tensor) -> Tensor:
        return vae.decode(vae.denormalize(latent)).float()

    if args.compile:
        encode = torch.compile(encode, dynamic=False)
        latent_terms = torch.compile(latent_terms, dynamic=False)
        pixels = torch.compile(pixels, dynamic=False)

    sums: dict[str, list[float]] = {}
    while training.goes_on:
        progress = training.progress
        clip_turn = sampler.rng.random() < args.clip_share
        size = int(sampler.rng.choice(args.size))
        count = same_pixels(args.clip_batch if clip_turn else args.image_batch, args.size[0], size)
        samples = count * (args.clip_chunks if clip_turn else 1)
        mask = keep_mask((samples,), config.bits, min(args.lowest_bits, config.bits), args.whole, device)
        with autocast(device):
            if latents is not None and progress < args.pixel_start:
                side = size // vae.config.strides[1]
                latent = latents.clip_batch(samples, chunk, side) if clip_turn else latents.image_batch(count, side)
                latent = latent.to(device, non_blocking=True)
            else:
                video = sampler.clip_batch(count, clip_frames, size) if clip_turn else sampler.image_batch(count, size)
                video = video.to(device, non_blocking=True)
                with torch.no_grad():
                    latent = encode(video).float()
            output, latent_error, commitment, u = latent_terms(latent, mask)
            ramp = min(1.0, progress / args.commitment_warmup) if args.commitment_warmup else 1.0
            loss = args.latent * latent_error + args.commitment * ramp * commitment
            if args.balance:
                loss = loss + args.balance * balances[clip_turn].term(u)
            if args.entropy:
                loss = loss + args.entropy * entropy_term(u)
            terms = {"latent_mse": latent_error, "commitment": commitment}
            if progress >= args.pixel_start:
                frames = pixels(output)
                pixel, terms["pixel_mse"] = pixel_loss(frames, video, args.objective)
                loss = loss + args.pixel * pixel
                if perceptual is not None:
                    loss = loss + args.perceptual * perceptual(frames, video)
        told = training.update(loss)
        for name, value in terms.items():
            sums.setdefault(f"{'clip' if clip_turn else 'image'}_{name}", []).append(value.item())
        if training.logs:
            means = {k: round(sum(v) / len(v), 5) for k, v in sorted(sums.items())}
            training.log(**told, **means, **bit_report(u.detach().float()))
            sums = {}
        if training.saves:
            training.save(before=before)
            if args.val:
                training.log(**evaluate_tokenizer(vae, training.ema.model, args.val, limit=12))

    averaged = training.ema.model
    training.save(before=before)
    torch.save({"config": config, "state": averaged.state_dict(), "step": training.step, "minutes": training.minutes,
                "before": before}, args.out / "tokenizer.pt")
    if args.val:
        training.log(**evaluate_tokenizer(vae, averaged, args.val))
    return averaged


if __name__ == "__main__":
    main()
