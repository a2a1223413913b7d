"""Reports on held-out images and clips during training; the product's own report is `latentbit eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .cache import IMAGES, VIDEOS, read_video
from .data import to_unit
from .loop import psnr
from .tokenizer import Tokenizer
from .vae import WanVae


def val_images(folder: Path, limit: int, size: int = 256) -> list[Tensor]:
    """Center crops (1, 3, 1, size, size); smaller pictures are enlarged first."""
    out = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGES)[:limit]:
        image = Image.open(path).convert("RGB")
        scale = size / min(image.size)
        image = image.resize((max(size, round(image.width * scale)), max(size, round(image.height * scale))),
                             Image.Resampling.BICUBIC)
        left, top = (image.width - size) // 2, (image.height - size) // 2
        out.append(to_unit(np.asarray(image.crop((left, top, left + size, top + size)))[None])[None])
    return out


def val_clips(folder: Path, limit: int, size: int = 128, frames: int = 17) -> tuple[list[Tensor], int]:
    """Clips (1, 3, frames, size, size), and how many were left out because they are too small or too short.

    The short side is brought to `size`, then the center is cropped.
    """
    out = []
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEOS)[:limit]
    for path in paths:
        clip = read_video(path, size, frames)
        if len(clip) < frames or min(clip.shape[1:3]) < size:
            continue
        top, left = (clip.shape[1] - size) // 2, (clip.shape[2] - size) // 2
        out.append(to_unit(clip[:, top : top + size, left : left + size])[None])
    return out, len(paths) - len(out)


def held_out(folder: Path, limit: int) -> tuple[dict[str, list[Tensor]], dict[str, float]]:
    """Images and clips to report on, and the first entries of the report: what could not be used."""
    clips, left_out = val_clips(folder, limit)
    return {"images": val_images(folder, limit), "clips": clips}, {"val_clips_left_out": left_out}


@torch.no_grad()
def evaluate_vae(model: WanVae, folder: Path, limit: int = 10_000) -> dict[str, float]:
    """Mean PSNR of the VAE alone."""
    device = next(model.parameters()).device
    kinds, report = held_out(folder, limit)
    for name, samples in kinds.items():
        values = [psnr(model.decode(model.encode(x.to(device))), x.to(device)) for x in samples]
        if values:
            report[f"val_{name}_psnr"] = round(float(np.mean(values)), 3)
    return report


class Pixels(Protocol):
    """A sampler."""

    @property
    def videos(self) -> object:
        """Whether there are videos."""

    def image_batch(self, count: int, size: int) -> Tensor:
        """(count, 3, 1, size, size)."""

    def clip_batch(self, count: int, frames: int, size: int) -> Tensor:
        """(count, 3, frames, size, size)."""


@torch.no_grad()
def latent_statistics(model: WanVae, sampler: Pixels, batches: int = 24) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each latent channel over images and clips."""
    device = next(model.parameters()).device
    rows = []
    for index in range(batches):
        if index % 2 and sampler.videos:
            video = sampler.clip_batch(4, 9, 64)
        else:
            video = sampler.image_batch(12, 64)
        latent = model.encode(video.to(device)).float()
        rows.append(latent.movedim(1, -1).flatten(0, -2))
    flat = torch.cat(rows)
    return flat.mean(0).tolist(), flat.std(0).tolist()


@torch.no_grad()
def through_tokens(tokenizer: Tokenizer, latent: Tensor, kept: int | None = None) -> Tensor:
    """A normalised latent through bits and back, chunk by chunk."""
    out = []
    for chunk in latent.split(tokenizer.config.chunk_latent_frames, dim=2):
        bits, grid = tokenizer.bits(chunk)
        t, h, w = chunk.shape[2:]
        out.append(tokenizer.decode_bits(bits, grid, (t, h, w), kept))
    return torch.cat(out, dim=2)


@torch.no_grad()
def evaluate_tokenizer(vae: WanVae, tokenizer: Tokenizer, folder: Path, limit: int = 10_000) -> dict[str, float]:
    """Mean PSNR of the VAE alone, and of half of the bits and all bits per token."""
    device = next(vae.parameters()).device
    rates = sorted({max(1, tokenizer.config.bits // 2), tokenizer.config.bits})
    kinds, report = held_out(folder, limit)
    for name, samples in kinds.items():
        values: dict[str, list[float]] = {}
        for x in samples:
            x = x.to(device)
            latent = vae.normalize(vae.encode(x))
            latents = {"vae": latent} | {str(kept): through_tokens(tokenizer, latent, kept) for kept in rates}
            for label, z in latents.items():
                values.setdefault(label, []).append(psnr(vae.decode(vae.denormalize(z)), x))
        report |= {f"val_{name}_psnr_{label}": round(float(np.mean(v)), 3) for label, v in values.items()}
    return report


def _last_frames(folder: Path, limit: int) -> dict[str, Tensor]:
    """A few images and clips to look at, by name."""
    kinds, _ = held_out(folder, limit)
    return {f"{kind}/{index}": x for kind, samples in kinds.items() for index, x in enumerate(samples)}


@torch.no_grad()
def vae_pictures(model: WanVae, folder: Path, limit: int = 3) -> dict[str, list[Tensor]]:
    """Last frames (3, H, W): what they should be, and what the VAE makes of them."""
    device = next(model.parameters()).device
    found = _last_frames(folder, limit)
    return {name: [x[0, :, -1], model.decode(model.encode(x.to(device)))[0, :, -1]] for name, x in found.items()}


@torch.no_grad()
def token_pictures(vae: WanVae, tokenizer: Tokenizer, folder: Path, limit: int = 3) -> dict[str, list[Tensor]]:
    """Last frames (3, H, W): what they should be, the VAE alone, and all, half and a quarter of the bits."""
    device = next(vae.parameters()).device
    bits = tokenizer.config.bits
    found = {}
    for name, x in _last_frames(folder, limit).items():
        latent = vae.normalize(vae.encode(x.to(device)))
        latents = [latent, *(through_tokens(tokenizer, latent, max(1, bits // part)) for part in (1, 2, 4))]
        found[name] = [x[0, :, -1], *(vae.decode(vae.denormalize(z))[0, :, -1] for z in latents)]
    return found
