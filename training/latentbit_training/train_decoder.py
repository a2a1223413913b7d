"""Fine-tunes a copy of a VAE's decoder on what a trained tokenizer leaves of the latent.

    latentbit-train decoder --cache runs/cache --vae Wan2.1_VAE.pth --tokenizer runs/tokenizer/tokenizer.pt \\
        --out runs/decoder

Encoder and tokenizer stay as they are, and so do the bits of every file; frames that are decoded from them come closer
to the original. `latentbit-train export --decoder runs/decoder/decoder.pt` puts the copy into the bundle in the place
of the VAE's decoder, and says so in it. Run the same command again to go on from the last checkpoint.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .bundle import STORAGES, round_weights
from .config import TokenizerConfig
from .depths import choose_means, draw_maps, mean_depths, sample_depths, snapped
from .evaluate import evaluate_tokenizer, token_pictures
from .latents import frozen
from .loop import OBJECTIVES, autocast, pixel_loss
from .options import Parser
from .perceptual import add_perceptual, perceptual_of
from .pixels import add_batches, add_data, feed_of_chunks
from .tokenizer import Tokenizer, join_chunks, split_chunks
from .train_tokenizer import token_grid
from .training import Start, Training, add_options
from .vae import VaeDecoder, WanVae
from .warm import VAE_HELP, Past, State, past_of, read_part
from .work import Counted, Shape, decoder_step


def fingerprint(state: State) -> str:
    """Which tokenizer it is: SHA-256 over its weights as f32."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode() + b"\0" + state[name].detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_decoder(path: Path, vae: WanVae, tokenizer: State | None) -> tuple[VaeDecoder, Past]:
    """A decoder.pt for a VAE and the tokenizer that it was trained on, and how long it was trained.

    `ValueError` if it belongs to another one of either.
    """
    stored: Any = torch.load(path, map_location="cpu", weights_only=False)
    if not isinstance(stored, dict) or not {"config", "state", "tokenizer"} <= stored.keys():
        raise ValueError(f"{path} is no decoder.pt of latentbit-train decoder")
    if stored["config"] != vae.config:
        raise ValueError(f"{path} is the decoder of another VAE")
    if tokenizer is None or fingerprint(tokenizer) != stored["tokenizer"]:
        raise ValueError(f"{path} was fine-tuned on the tokens of another tokenizer: give that one as --tokenizer")
    with torch.device("meta"):
        found = VaeDecoder(WanVae(vae.config))
    found.load_state_dict(stored["state"], assign=True)
    return found, past_of(stored)


def parser() -> argparse.ArgumentParser:
    """Command line."""
    p = Parser("decoder", __doc__)
    add_data(p)
    p.add_argument("--vae", type=Path, required=True, help=VAE_HELP)
    p.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.pt of a finished run, or a bundle")
    p.add_argument("--val", type=Path, help="folder with images/ and videos/ to report on")
    add_batches(p, images=8, clips=1, chunks=1)
    p.add_argument("--objective", choices=OBJECTIVES, default="psnr", help="how the errors of samples are averaged")
    p.add_argument("--whole", type=float, default=0.3, help="chance that a sample keeps all its bit-planes")
    p.add_argument("--lowest-bits", type=int, default=6,
                   help="fewest planes that a sample keeps, on average over its tokens")
    add_perceptual(p)
    p.add_argument("--storage", choices=STORAGES, default="int8",
                   help="how the weights of the VAE's encoder will be stored")
    p.add_argument("--recompute", action=argparse.BooleanOptionalAction, default=False,
                   help="keep less of the decoder in memory, and compute it once more")
    add_options(p, rate=1e-4)
    return p


def main(argv: list[str] | None = None) -> VaeDecoder:
    """Trains and returns the averaged decoder."""
    args = parser().parse_args(argv)
    with Start(args) as start:
        return train(args, start)


class Tokens:
    """What a tokenizer leaves of latents, with planes left out as a tokenizer's training leaves them out."""

    def __init__(self, tokenizer: Tokenizer, args: argparse.Namespace) -> None:
        self.tokenizer, self.config = tokenizer, tokenizer.config
        self.whole, self.lowest = args.whole, min(args.lowest_bits, tokenizer.config.bits)

    def draw(self, samples: int, frames: int, side: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Mean depths (B,) of chunks, and depths (B,) or (B, tokens) of their own for those who have no head."""
        if not self.config.depth_step:
            depths = sample_depths(samples, self.config.bits, self.lowest, self.whole, device)
            return depths.float(), snapped(depths, self.config.depths)
        means = mean_depths(samples, self.config.bits, self.lowest, self.whole, device)
        return means, draw_maps(means, token_grid(self.config, frames, side), self.config.depths)

    @torch.no_grad()
    def through(self, latent: Tensor, means: Tensor, depths: Tensor) -> Tensor:
        """A normalised latent from its tokens; a depth head chooses their depths, as an encoder will."""
        chunks = split_chunks(latent, min(self.config.chunk_latent_frames, latent.shape[2]))
        u, log_errors, grid = self.tokenizer.analyse(chunks)
        if log_errors is not None:
            depths = choose_means(log_errors.float().exp(), self.config.depths, means)
        t, h, w = chunks.shape[2:]
        output = self.tokenizer.decode_bits(u > 0, grid, (t, h, w), depths)
        return join_chunks(output.float(), latent.shape[0])


def train(args: argparse.Namespace, start: Start) -> VaeDecoder:
    """The averaged decoder; on other ranks than the first the one that was trained."""
    device, mean = start.device, start.ranks.mean
    # The copy begins with whole weights; what encodes is as a file holds it.
    vae = frozen(args.vae, "f32")
    model = copy.deepcopy(VaeDecoder(vae)).requires_grad_(True)
    round_weights(vae, args.storage)
    vae = vae.to(device)
    config, state, _ = read_part(args.tokenizer, TokenizerConfig)
    if config.latent_channels != vae.config.latent_channels:
        raise ValueError(f"{args.tokenizer} is for a latent of {config.latent_channels} channels, that of {args.vae} "
                         f"has {vae.config.latent_channels}")
    tokenizer = Tokenizer(config)
    tokenizer.load_state_dict(state)
    tokenizer = tokenizer.to(device).eval().requires_grad_(False)
    tokens = Tokens(tokenizer, args)

    # Pictures leave the weights of time alone.
    training = Training(start, model, partly=True)
    model.decoder.recompute(args.recompute)
    chunk = config.chunk_latent_frames
    feed, clip_frames = feed_of_chunks(args, training, start.ranks, chunk, vae.config.strides[0])
    perceptual = perceptual_of(args, start.ranks)
    training.log_size(**({"perceptual_network": perceptual.name} if perceptual else {}))
    if args.val and start.fresh and start.ranks.first:
        training.log(**evaluate_tokenizer(vae, tokenizer, args.val, limit=12))

    def encode(video: Tensor) -> Tensor:
        return vae.normalize(vae.encode(video))

    def objective(latent: Tensor, video: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        frames = model(vae.denormalize(latent)).float()
        loss, error = pixel_loss(frames, video, args.objective, mean=mean)
        terms = {"mse": error}
        if perceptual is not None:
            terms["perceptual"] = perceptual.distance(frames, video)
            loss = loss + args.perceptual * terms["perceptual"]
        return loss, terms

    def shown() -> VaeDecoder | None:
        """The averaged decoder, in the VAE's place in `vae` to be looked at."""
        averaged = training.averaged()
        if averaged is not None:
            averaged.put_into(vae)
        return averaged

    if args.compile:
        encode = torch.compile(encode, dynamic=False)
    run_objective = training.wrap(objective)
    counted = Counted(decoder_step, vae.config, config, learns="decoder")
    while training.goes_on:
        clips, size, count = feed.turn()
        chunks = args.clip_chunks if clips else 1
        means, depths = tokens.draw(count * chunks, chunk if clips else 1, size // vae.config.strides[1], device)
        parts = training.parts(count)
        for part, drawn in zip(parts, feed.batch(parts), strict=True):
            video = drawn.to(device, non_blocking=True)
            # Of clips, those of their chunks.
            kept = slice(part.start * chunks, part.stop * chunks)
            with autocast(device, args.precision):
                with torch.no_grad():
                    latent = tokens.through(encode(video).float(), means[kept], depths[kept])
                loss, terms = run_objective(latent, video)
            training.backward(loss, **{f"{'clip' if clips else 'image'}_{name}": v for name, v in terms.items()})
        work = partial(counted.flops, Shape(count, clip_frames if clips else 1, size))
        told = training.update("clip" if clips else "image", count, work)
        if training.logs:
            training.log(**told, **training.averages(6), **training.pace(), **feed.told())
        if training.saves:
            training.save()
            if args.val and shown() is not None:
                training.log(**evaluate_tokenizer(vae, tokenizer, args.val, limit=12))
                if training.seeing is not None and training.seeing.pictured:
                    for name, row in token_pictures(vae, tokenizer, args.val).items():
                        training.seeing.pictures(training.step, name, row)

    training.save()
    averaged = shown()
    if averaged is None:
        return model
    torch.save({"config": vae.config, "state": averaged.state_dict(), "step": training.step,
                "minutes": training.minutes, "tokenizer": fingerprint(state)}, args.out / "decoder.pt")
    if args.val:
        training.log(**evaluate_tokenizer(vae, tokenizer, args.val))
    return averaged
