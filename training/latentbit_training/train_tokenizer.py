"""Trains the ViT tokenizer on a frozen VAE.

    latentbit-train tokenizer --cache runs/cache --vae runs/vae/vae.pt --out runs/tokenizer

Two phases: first the latent alone is matched, which is cheap; then pixels through the frozen decoder (the
paper's objective). Run the same command again to go on from the last checkpoint.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from .bundle import STORAGES
from .config import TOKENIZER_PRESETS, TokenizerConfig, tokenizer_config
from .data import rendered
from .depths import choose_means, depth_loss, draw_maps, mean_depths, pixel_errors, sample_depths, snapped, token_means
from .elastic import evaluate_elastic
from .evaluate import evaluate_tokenizer, token_pictures
from .latents import LatentSampler, frozen, sensitivity
from .loop import OBJECTIVES, autocast, pixel_loss
from .options import Parser
from .perceptual import add_perceptual, perceptual_of
from .pixels import add_batches, add_data, feed_of_chunks, sampler_of
from .quantize import Balance, entropy_term
from .tokenizer import Tokenizer, join_chunks, split_chunks
from .training import Start, Training, add_options
from .vit import Grid
from .warm import VAE_HELP, warm_start_tokenizer
from .work import Counted, Shape, tokenizer_step


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


class Step(NamedTuple):
    """What a step makes of its latents, before pixels."""

    output: Tensor
    """The latent from tokens, clips whole."""
    latent_error: Tensor
    commitment: Tensor
    u: Tensor
    depths: Tensor
    """How many planes were kept: (B,) or (B, tokens)."""
    errors: Tensor
    """What the latent's error means for the pixels of each token: (B, tokens)."""
    log_errors: Tensor | None
    """What the depth head estimates, (B, tokens, K)."""


def token_grid(config: TokenizerConfig, frames: int, side: int) -> Grid:
    """The tokens of a chunk of so many latent frames of side `side`, along time, rows and columns."""
    kt, kh, kw = config.patch
    return -(-frames // kt), -(-side // kh), -(-side // kw)


DEPTHS = ("sample", "token")
DEPTH_ERRORS = ("latent", "pixel")
HEAD_START = 0.1
"""Part of the run after which the depth head has learned enough to choose."""


def parser() -> argparse.ArgumentParser:
    """Command line."""
    p = Parser("tokenizer", __doc__)
    add_data(p)
    p.add_argument("--vae", type=Path, required=True, help=VAE_HELP)
    p.add_argument("--latents", type=Path,
                   help="folder made by latentbit-train latents of that VAE; else each step makes its own")
    p.add_argument("--preset", choices=sorted(TOKENIZER_PRESETS), default="compact")
    p.add_argument("--config", type=Path,
                   help="JSON file of what is other than in the preset (configs/tokenizer/)")
    p.add_argument("--bits", type=int, help="bits per token, instead of the preset's")
    p.add_argument("--quantizer", choices=["lfq", "bsq"], help="instead of the preset's")
    p.add_argument("--init", type=Path, help="start from this bundle or tokenizer.pt")
    p.add_argument("--val", type=Path, help="folder with images/ and videos/ to report on")
    add_batches(p, images=16, clips=2, chunks=2)
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
    p.add_argument("--depths", choices=DEPTHS, default="sample",
                   help="what keeps a number of planes of its own in training: each sample or each token")
    p.add_argument("--whole", type=float, help="chance that a sample keeps all its bit-planes; "
                   "0.5, with --depths token 0.1")
    p.add_argument("--lowest-bits", type=int, help="fewest planes that a sample keeps, on average over its tokens; "
                   "6, with --depths token 2")
    p.add_argument("--depth-step", type=int,
                   help="planes between the depths that a token can have; above 0 the encoder gets a head that "
                   "estimates the error at each depth, 0 takes it away; default: as the configuration has it")
    p.add_argument("--depth", type=float, default=0.05, help="weight of the depth head's term")
    p.add_argument("--depth-error", choices=DEPTH_ERRORS, default="pixel",
                   help="what the head estimates: the error that a token adds in pixels, beside a decode of the exact "
                   "latent, as soon as there are pixels; or always what its latent error means for pixels")
    p.add_argument("--chosen", type=float, default=0.25,
                   help="part of the samples whose depths the depth head chooses, with --depths token")
    p.add_argument("--elastic-every", type=int, default=0, metavar="N",
                   help="steps between reports on depth chosen per token; 0: at the end alone, with a depth head")
    add_perceptual(p)
    p.add_argument("--storage", choices=STORAGES, default="int8", help="how the VAE's weights will be stored")
    p.add_argument("--recompute", action=argparse.BooleanOptionalAction, default=False,
                   help="the pixel phase keeps less of the VAE's decoder in memory and computes it once more")
    add_options(p, rate=1e-3)
    return p


def main(argv: list[str] | None = None) -> Tokenizer:
    """Trains and returns the averaged model."""
    args = parser().parse_args(argv)
    with Start(args) as start:
        return train(args, start)


def train(args: argparse.Namespace, start: Start) -> Tokenizer:
    """The averaged model; on other ranks than the first the one that was trained."""
    device, mean = start.device, start.ranks.mean

    vae = frozen(args.vae, args.storage).to(device)
    vae.decoder.recompute(args.recompute)

    config = TOKENIZER_PRESETS[args.preset]()
    if args.config:
        config = tokenizer_config(asdict(config) | json.loads(args.config.read_text()))
    depth_step = config.depth_step if args.depth_step is None else args.depth_step
    config = replace(config, bits=args.bits or config.bits, quantizer=args.quantizer or config.quantizer,
                     latent_channels=vae.config.latent_channels, depth_step=depth_step)
    per_token = args.depths == "token"
    if args.whole is None:
        args.whole = 0.1 if per_token else 0.5
    lowest = min((2 if per_token else 6) if args.lowest_bits is None else args.lowest_bits, config.bits)

    def encode(video: Tensor) -> Tensor:
        return vae.normalize(vae.encode(video))

    # What a channel's error means for pixels.
    meaning = torch.full((1, config.latent_channels, 1, 1, 1), 1 / config.latent_channels, device=device)
    if args.latent_weights == "sensitivity":
        with torch.no_grad():
            few = sampler_of(args, args.seed).image_batch(min(8, args.image_batch), args.size[0])
            meaning = sensitivity(vae, encode(few.to(device)))
    weights = meaning / meaning.mean()

    model = Tokenizer(config)
    # The latent has unit variance: without planes that is its error.
    model.expect(float(meaning.sum()))
    before = start.before
    if args.init and start.fresh:
        before = warm_start_tokenizer(model, args.init)
    training = Training(start, model)
    chunk = config.chunk_latent_frames
    feed, clip_frames = feed_of_chunks(args, training, start.ranks, chunk, vae.config.strides[0])
    latents = LatentSampler(args.latents, args.seed + 2000 + training.step) if args.latents else None
    if latents is not None:
        training.draws_from("latents", latents)
    perceptual = perceptual_of(args, start.ranks)
    balances = {clips: Balance(config.bits, device, mean=mean) for clips in (False, True)}
    for clips, running in training.extra.get("balances", {}).items():
        balances[clips].running = running.to(device)
    training.log_size(least_weight=round(weights.min().item(), 3), most_weight=round(weights.max().item(), 3),
                      **({"perceptual_network": perceptual.name} if perceptual else {}))

    def latent_terms(latent: Tensor, means: Tensor, depths: Tensor, chosen: Tensor) -> Step:
        chunks = split_chunks(latent, min(chunk, latent.shape[2]))
        u, log_errors, grid = model.analyse(chunks)
        if log_errors is not None and per_token and args.chosen:
            best = choose_means(log_errors.detach().float().exp(), config.depths, means)
            depths = torch.where(chosen[:, None], best, depths)
        t, h, w = chunks.shape[2:]
        output, commitment = model.reconstruct(u, grid, (t, h, w), depths)
        square = (output.float() - chunks).square()
        errors = token_means(square.detach() * (meaning * config.latent_channels), config.patch)
        output = join_chunks(output, latent.shape[0])
        return Step(output, (square * weights).mean(), commitment.float(), u, depths, errors, log_errors)

    def pixels(latent: Tensor) -> Tensor:
        return vae.decode(vae.denormalize(latent)).float()

    if args.compile:
        encode = torch.compile(encode, dynamic=False)
        pixels = torch.compile(pixels, dynamic=False)
    run_terms = training.wrap(latent_terms)
    counted = Counted(tokenizer_step, vae.config, config)

    def save() -> None:
        training.extra["balances"] = {clips: balance.running for clips, balance in balances.items()}
        training.save(before=before)

    while training.goes_on:
        progress = training.progress
        clip_turn, size, count = feed.turn()
        chunks = args.clip_chunks if clip_turn else 1
        samples = count * chunks
        if per_token:
            means = mean_depths(samples, config.bits, lowest, args.whole, device)
            grid = token_grid(config, chunk if clip_turn else 1, size // vae.config.strides[1])
            depths = draw_maps(means, grid, config.depths)
            chosen = torch.rand(samples, device=device) < (args.chosen if progress >= HEAD_START else 0)
        else:
            depths = snapped(sample_depths(samples, config.bits, lowest, args.whole, device), config.depths)
            means, chosen = depths.float(), depths < 0
        of_latents = latents is not None and progress < args.pixel_start
        parts = training.parts(count)
        # Of clips, those of their chunks.
        kepts = [slice(part.start * chunks, part.stop * chunks) for part in parts]
        if latents is not None and of_latents:
            side = size // vae.config.strides[1]
            draws = latents.clips(samples, chunk, side) if clip_turn else latents.images(count, side)
            batches = iter([rendered(draws, kept) for kept in kepts])
        else:
            batches = feed.batch(parts)
        for kept, batch in zip(kepts, batches, strict=True):
            drawn = batch.to(device, non_blocking=True)
            with autocast(device, args.precision):
                if of_latents:
                    latent = drawn
                else:
                    with torch.no_grad():
                        latent = encode(drawn).float()
                step = run_terms(latent, means[kept], depths[kept], chosen[kept])
                ramp = min(1.0, progress / args.commitment_warmup) if args.commitment_warmup else 1.0
                loss = args.latent * step.latent_error + args.commitment * ramp * step.commitment
                if args.balance:
                    loss = loss + args.balance * balances[clip_turn].term(step.u)
                if args.entropy:
                    loss = loss + args.entropy * entropy_term(step.u, mean=mean)
                terms = {"latent_mse": step.latent_error, "commitment": step.commitment}
                errors = step.errors
                if progress >= args.pixel_start:
                    frames = pixels(step.output)
                    pixel, terms["pixel_mse"] = pixel_loss(frames, drawn, args.objective, mean=mean)
                    loss = loss + args.pixel * pixel
                    if step.log_errors is not None and args.depth_error == "pixel":
                        with torch.no_grad():
                            exact = pixels(latent)
                        found = pixel_errors(frames.detach(), exact, vae.config.strides)
                        errors = token_means(split_chunks(found, min(chunk, found.shape[2])), config.patch)
                    if perceptual is not None:
                        terms["perceptual"] = perceptual.distance(frames, drawn)
                        loss = loss + args.perceptual * terms["perceptual"]
                if step.log_errors is not None:
                    terms["depth"] = depth_loss(step.log_errors, step.depths, errors, config.depths)
                    loss = loss + args.depth * terms["depth"]
            training.backward(loss, **{f"{'clip' if clip_turn else 'image'}_{name}": v for name, v in terms.items()})
        shape = Shape(count, clip_frames if clip_turn else 1, size, not of_latents, progress >= args.pixel_start)
        told = training.update("clip" if clip_turn else "image", count, partial(counted.flops, shape))
        if training.logs:
            u = start.ranks.gathered(step.u.detach().float())
            training.log(**told, **training.averages(5), **training.pace(), **bit_report(u), **feed.told())
            if training.seeing is not None:
                training.seeing.histogram(training.step, "bit_balance", (u > 0).float().flatten(0, -2).mean(0))
        if training.saves:
            save()
            averaged = training.averaged()
            if args.val and averaged is not None:
                training.log(**evaluate_tokenizer(vae, averaged, args.val, limit=12))
                if training.seeing is not None and training.seeing.pictured:
                    for name, row in token_pictures(vae, averaged, args.val).items():
                        training.seeing.pictures(training.step, name, row)
        if args.val and args.elastic_every and training.step % args.elastic_every == 0:
            averaged = training.averaged()
            if averaged is not None:
                training.log(**evaluate_elastic(vae, averaged, args.val, limit=6))

    save()
    averaged = training.averaged()
    if averaged is None:
        return model
    torch.save({"config": config, "state": averaged.state_dict(), "step": training.step, "minutes": training.minutes,
                "before": before}, args.out / "tokenizer.pt")
    if args.val:
        training.log(**evaluate_tokenizer(vae, averaged, args.val))
        if config.depth_step:
            training.log(**evaluate_elastic(vae, averaged, args.val))
    return averaged


# The long form of before; `latentbit-train tokenizer` is the same.
if __name__ == "__main__":
    main()
