"""Trains the bitwise MaskGIT predictor on cached tokens.

    latentbit-train predictor --tokens runs/tokens --bundle models/default.safetensors \\
        --val-tokens runs/val-tokens --out runs/maskgit

The objective is equation 4 of the paper. With --latent a term is added that looks at what concealed chunks look like:
the predicted bits go through the frozen ViT decoder, and the latent is compared with that of the true bits. Run the
same command again to go on from the last checkpoint. Clips that are added to the tokens meanwhile are taken in at each
checkpoint.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import bundle, predictors
from .bundle import STORAGES
from .config import PREDICTOR_PRESETS, PredictorFileConfig
from .data import Seeded
from .latents import sensitivity
from .likelihood import likelihoods
from .loop import autocast
from .maskgit import Predictor, bit_loss
from .masks import KINDS, known_bits, region, thin
from .options import Parser
from .tokenizer import Tokenizer
from .tokens import INNER, TokenClip, load_tokens, unpack
from .training import Start, Training, add_options
from .vae import WanVae


class WindowSampler(Seeded):
    """Draws windows of whole chunks, and what is lost in them."""

    def __init__(self, clips: list[TokenClip], bits: int, most_steps: int, seed: int) -> None:
        self.bits, self.most_steps = bits, most_steps
        self.rng = np.random.default_rng(seed)
        self.take(clips)

    def take(self, clips: list[TokenClip]) -> None:
        """Draws from these clips from now on."""
        self.clips = clips
        weights = np.array([clip.weight for clip in clips])
        self._weights = weights / weights.sum()

    def _window(self, steps: int) -> tuple[TokenClip, range] | None:
        clip = self.clips[int(self.rng.choice(len(self.clips), p=self._weights))]
        starts = [chunk.start for chunk in clip.chunks if chunk.start + steps <= len(clip.starts)]
        if not starts:
            return None
        first = int(self.rng.choice(starts))
        return clip, range(first, first + steps)

    def batch(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Code (B, T, h, w, D), what of it is known, and what begins with each step (B, T)."""
        steps = self.most_steps
        # Low delay sees a chunk or two of the past: shorter windows.
        if self.rng.random() < 0.35:
            steps = int(self.rng.integers(max(1, steps // 3), steps + 1))
        codes: list[Tensor] = []
        knowns: list[Tensor] = []
        starts: list[Tensor] = []
        for _ in range(200 * count):
            if len(codes) == count:
                break
            found = self._window(steps)
            if found is None:
                continue
            clip, window = found
            tokens = clip.tokens[window.start : window.stop]
            begins = clip.starts[window.start : window.stop]
            part = TokenClip(tokens, begins, 1.0)
            kind = str(self.rng.choice(list(KINDS), p=list(KINDS.values())))
            lost = thin(region(kind, part.chunks, tokens.shape, self.rng), self.rng)
            codes.append(unpack(tokens, self.bits))
            knowns.append(known_bits(lost, self.bits, self.rng))
            starts.append(torch.tensor(begins))
        if len(codes) < count:
            raise ValueError(f"hardly a clip has {steps} steps")
        return torch.stack(codes), torch.stack(knowns), torch.stack(starts)


def worst_chunk(known: Tensor, starts: Tensor, length: int) -> Tensor:
    """(B, length): the steps of the whole chunk of each window of which least is known."""
    out = []
    for bits, begins in zip(known, starts, strict=True):
        firsts = [t for t in range(len(begins) - length + 1)
                  if begins[t] != INNER and bool((begins[t + 1 : t + length] == INNER).all())]
        if not firsts:
            raise ValueError(f"no window has a whole chunk of {length} steps")
        first = min(firsts, key=lambda t: float(bits[t : t + length].sum()))
        out.append(torch.arange(first, first + length))
    return torch.stack(out)


class LatentTerm:
    """How far the latents of guessed bits are from those of the true ones; channels weigh what they mean for pixels."""

    def __init__(self, vae: WanVae, tokenizer: Tokenizer, clips: list[TokenClip]) -> None:
        self.tokenizer = tokenizer.requires_grad_(False)
        kt = tokenizer.config.patch[0]
        self.steps = tokenizer.config.chunk_latent_frames // kt
        few = torch.stack([unpack(clip.tokens[:1], tokenizer.config.bits) for clip in clips[:4]])
        with torch.no_grad():
            self.weights = sensitivity(vae, self.latent(few)[:, :, :1])

    def latent(self, code: Tensor) -> Tensor:
        """The latents (B, C, T, H, W) of chunks of code (B, steps, h, w, D)."""
        _, t, h, w, _ = code.shape
        kt, kh, kw = self.tokenizer.config.patch
        scaled = code.flatten(1, 3) * self.tokenizer.quantizer.scale
        return self.tokenizer.decode(scaled, (t, h, w), (t * kt, h * kh, w * kw))

    def __call__(self, logits: Tensor, code: Tensor, known: Tensor, steps: Tensor) -> Tensor:
        """Bits take their likelier value; gradients pass as if they were the means of what is predicted."""
        rows = torch.arange(len(code), device=code.device)[:, None]
        logits, code, known = (x[rows, steps] for x in (logits, code, known))
        mean = torch.tanh(logits / 2)
        guess = mean + (torch.where(logits > 0, 1.0, -1.0) - mean).detach()
        with torch.no_grad():
            target = self.latent(code)
        found = self.latent(torch.where(known > 0, code, guess))
        return ((found - target).square() * self.weights.to(found.device)).mean()


def parser() -> argparse.ArgumentParser:
    """Command line."""
    p = Parser("predictor", __doc__)
    p.add_argument("--tokens", type=Path, required=True, nargs="+", help="folders made by latentbit-train tokens")
    p.add_argument("--bundle", type=Path, required=True, help="the bundle that made the tokens")
    p.add_argument("--val-tokens", type=Path, help="tokens of held-out clips to report on")
    p.add_argument("--preset", choices=sorted(PREDICTOR_PRESETS), default="compact")
    p.add_argument("--name", default="latentbit-compact-predictor")
    p.add_argument("--storage", choices=STORAGES, default="int8", help="how the weights are stored")
    p.add_argument("--init", type=Path, help="start from this predictor")
    p.add_argument("--latent", type=float, default=0.0, help="weight of the latent term")
    p.add_argument("--batch", type=int, default=2, help="windows of a step")
    add_options(p, rate=2e-3)
    return p


def main(argv: list[str] | None = None) -> Predictor:
    """Trains and returns the averaged model."""
    args = parser().parse_args(argv)
    with Start(args) as start:
        return train(args, start)


def train(args: argparse.Namespace, start: Start) -> Predictor:
    """The averaged model; on other ranks than the first the one that was trained."""
    device = start.device
    whole, vae, tokenizer = bundle.load(args.bundle)
    if whole.tokenizer is None or tokenizer is None:
        raise ValueError(f"{args.bundle} has no tokenizer")
    config = replace(PREDICTOR_PRESETS[args.preset](), bits=whole.tokenizer.bits)
    model = Predictor(config)
    if args.init and start.fresh:
        model.load_state_dict(predictors.load(args.init)[1].state_dict())
    training = Training(start, model)

    def clips() -> list[TokenClip]:
        return [clip for folder in args.tokens for clip in load_tokens(folder)]

    training.split("batch", {config.steps: args.batch})
    sampler = WindowSampler(clips(), config.bits, config.steps, args.seed + 1000 + training.step)
    training.draws_from("windows", sampler)
    held_out = load_tokens(args.val_tokens) if args.val_tokens else []
    training.log_size(clips=len(sampler.clips))

    latent_term = LatentTerm(vae, tokenizer, sampler.clips) if args.latent else None
    if latent_term is not None:
        latent_term.tokenizer.to(device)

    def loss_of(code: Tensor, known: Tensor, starts: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        logits = model(code, known, starts)
        bits = bit_loss(logits, code, known, start.ranks.mean)
        if latent_term is None:
            return bits, torch.zeros_like(bits)
        return bits, latent_term(logits.float(), code, known, steps)

    # Other lengths are too many to compile for.
    usual = (args.batch // len(training.parts(args.batch)) // start.ranks.size, config.steps)
    run = training.wrap(loss_of, lambda code, *_: code.shape[:2] == usual)

    def save() -> None:
        training.save()
        averaged = training.averaged()
        if averaged is None:
            return
        digest = hashlib.sha256(args.bundle.read_bytes()).hexdigest()
        windows = training.step * args.batch
        past = {"minutes": round(training.minutes, 1), "steps": training.step, "windows": windows}
        whole = PredictorFileConfig(args.name, digest, config, past)
        predictors.save(args.out / "predictor.safetensors", whole, averaged, args.storage)
        if held_out:
            training.log(clips=len(sampler.clips), **likelihoods(averaged, held_out, limit=6))

    chunk_steps = whole.tokenizer.chunk_latent_frames // whole.tokenizer.patch[0]
    while training.goes_on:
        drawn = sampler.batch(args.batch)
        for part in training.parts(args.batch):
            code, known, starts = (x[part].to(device) for x in drawn)
            steps = worst_chunk(known, starts, chunk_steps if args.latent else 1).to(device)
            with autocast(device, args.precision):
                bits, latent_error = run(code, known, starts, steps)
            training.backward(bits + args.latent * latent_error, bits=bits, latent=latent_error)
        told = training.update("window", args.batch)
        if training.logs:
            means = training.averages(12)
            training.log(**told, **training.pace(), bits_per_bit=round(means["bits"] / float(np.log(2)), 4),
                         latent_mse=round(means["latent"], 5))
        if training.saves:
            save()
            sampler.take(clips())
    save()
    return training.averaged() or model
