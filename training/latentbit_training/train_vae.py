"""Trains a VAE of the Wan family on images and clips.

    latentbit-train vae --cache runs/cache --out runs/vae --preset compact --minutes 60

Run the same command again to go on from the last checkpoint.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from .config import VAE_PRESETS, VaeConfig, vae_config
from .evaluate import evaluate_vae, latent_statistics, vae_pictures
from .feed import Steps
from .init import init_near_linear
from .loop import OBJECTIVES, autocast, pixel_loss, same_pixels
from .options import Parser
from .perceptual import add_perceptual, perceptual_of
from .pixels import add_data, feed_of, sampler_of
from .training import Start, Training, add_options
from .vae import WanVae
from .warm import warm_start_vae, with_blocks
from .work import Counted, Shape, vae_step


def noisy(latent: Tensor, strength: float) -> Tensor:
    """Adds noise in proportion to each channel's spread, to half of the samples.

    The quantizer will disturb the latent later: a decoder that has met noise forgives it. The scale follows the
    latent's own, so the encoder gains nothing by making the latent larger.
    """
    if strength == 0:
        return latent
    spread = latent.detach().float().std(dim=(0, 2, 3, 4), keepdim=True)
    shape = (latent.shape[0], 1, 1, 1, 1)
    amount = torch.rand(shape, device=latent.device) * (torch.rand(shape, device=latent.device) < 0.5)
    return latent + (strength * amount * spread) * torch.randn_like(latent)


def parser() -> argparse.ArgumentParser:
    """Command line."""
    p = Parser("vae", __doc__)
    add_data(p)
    p.add_argument("--preset", choices=sorted(VAE_PRESETS), default="compact")
    p.add_argument("--config", type=Path, help="JSON file of a VAE's configuration (configs/), instead of a preset")
    p.add_argument("--encoder-blocks", type=int, nargs="+", metavar="N", help="residual blocks of each stage")
    p.add_argument("--decoder-blocks", type=int, nargs="+", metavar="N", help="residual blocks of each stage")
    p.add_argument("--kernel-times", type=int, nargs="+", metavar="N",
                   help="frames that the first kernel of each stage's blocks sees, finest stage first")
    p.add_argument("--init", type=Path,
                   help="start from this bundle or vae.pt, which may have fewer residual blocks and shorter kernels")
    p.add_argument("--val", type=Path, help="folder with images/ and videos/ to report on")
    p.add_argument("--image-batch", type=int, default=32, help="images of a step, of the first size")
    p.add_argument("--image-size", type=int, nargs="+", default=[64], metavar="N",
                   help="sides of the crops, pixels; each step draws one")
    p.add_argument("--clip-batch", type=int, default=6, help="clips of a step, of the first size")
    p.add_argument("--clip-frames", type=int, default=9)
    p.add_argument("--clip-size", type=int, nargs="+", default=[64], metavar="N", help="as --image-size")
    p.add_argument("--clip-share", type=float, default=0.4, help="part of the steps that train on clips")
    p.add_argument("--clip-start", type=float, default=0.0, help="part of the run that trains on images alone")
    p.add_argument("--objective", choices=OBJECTIVES, default="psnr", help="how the errors of samples are averaged")
    p.add_argument("--noise", type=float, default=0.3, help="largest latent noise, relative to a channel's spread")
    add_perceptual(p)
    add_options(p, rate=1.2e-3)
    return p


def main(argv: list[str] | None = None) -> WanVae:
    """Trains and returns the averaged model."""
    args = parser().parse_args(argv)
    with Start(args) as start:
        return train(args, start)


def train(args: argparse.Namespace, start: Start) -> WanVae:
    """The averaged model; on other ranks than the first the one that was trained."""
    device, mean = start.device, start.ranks.mean
    chosen = vae_config(json.loads(args.config.read_text())) if args.config else VAE_PRESETS[args.preset]()
    config: VaeConfig = with_blocks(chosen, args.encoder_blocks, args.decoder_blocks, args.kernel_times)
    model = WanVae(config)
    init_near_linear(model)
    before = start.before
    if args.init and start.fresh:
        before = warm_start_vae(model, args.init)
    # Pictures leave the weights of time alone.
    training = Training(start, model, own_noise=args.noise > 0, partly=True)
    image_counts = {size: same_pixels(args.image_batch, args.image_size[0], size) for size in args.image_size}
    clip_counts = {size: same_pixels(args.clip_batch, args.clip_size[0], size) for size in args.clip_size}
    training.split("image-batch", image_counts)
    training.split("clip-batch", clip_counts)
    sampler = sampler_of(args, args.seed + training.step)
    feed = feed_of(sampler, Steps(image_counts, clip_counts, args.clip_frames, args.clip_share), args, start.ranks)
    training.draws_from("pixels", feed)
    perceptual = perceptual_of(args, start.ranks)
    training.log_size(**({"perceptual_network": perceptual.name} if perceptual else {}))

    def objective(video: Tensor) -> tuple[Tensor, Tensor]:
        latent = model.encode(video)
        output = model.decode(noisy(latent, args.noise)).float()
        loss, error = pixel_loss(output, video, args.objective, mean=mean)
        if perceptual is not None:
            loss = loss + args.perceptual * perceptual.distance(output, video)
        return loss, error

    run_objective = training.wrap(objective)
    counted = Counted(vae_step, config, learns="vae")
    while training.goes_on:
        turn = feed.turn(training.progress >= args.clip_start)
        for video in feed.batch(training.parts(turn.samples)):
            with autocast(device, args.precision):
                loss, error = run_objective(video.to(device, non_blocking=True))
            training.backward(loss, **{"clip_mse" if turn.clips else "image_mse": error})
        shape = Shape(turn.samples, args.clip_frames if turn.clips else 1, turn.size)
        told = training.update("clip" if turn.clips else "image", turn.samples, partial(counted.flops, shape))
        if training.logs:
            training.log(**told, **training.averages(6), **training.pace(), **feed.told())
        if training.saves:
            training.save(before=before)
            averaged = training.averaged()
            if args.val and averaged is not None:
                training.log(**evaluate_vae(averaged, args.val, limit=12))
                if training.seeing is not None and training.seeing.pictured:
                    for name, frames in vae_pictures(averaged, args.val).items():
                        training.seeing.pictures(training.step, name, frames)

    training.save(before=before)
    averaged = training.averaged()
    if averaged is None:
        return model
    found = latent_statistics(averaged, sampler)
    averaged.config = replace(config, latent_mean=tuple(found[0]), latent_std=tuple(found[1]))
    torch.save({"config": averaged.config, "state": averaged.state_dict(), "step": training.step,
                "minutes": training.minutes, "before": before}, args.out / "vae.pt")
    if args.val:
        training.log(**evaluate_vae(averaged, args.val))
    return averaged


# The long form of before; `latentbit-train vae` is the same.
if __name__ == "__main__":
    main()
