"""The VAE of diffusers with the interface of the training recipe's, so that it can be a peer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor


class DiffusersVae:
    """The VAE of a diffusers folder, in one number type."""

    def __init__(self, folder: Path, dtype: torch.dtype) -> None:
        from diffusers import AutoencoderKLWan

        model: Any = AutoencoderKLWan.from_pretrained(folder, torch_dtype=dtype, low_cpu_mem_usage=False)
        self.model = model.eval().requires_grad_(False)
        config = self.model.config
        space = config.scale_factor_spatial
        self.config = SimpleNamespace(strides=(config.scale_factor_temporal, space, space))
        self.mean, self.std = (torch.tensor(values).view(1, -1, 1, 1, 1)
                               for values in (config.latents_mean, config.latents_std))

    def encode(self, video: Tensor) -> Tensor:
        """The posterior's mean, in the VAE's own scale."""
        latent: Tensor = self.model.encode(video).latent_dist.mode()
        return latent

    def decode(self, latent: Tensor) -> Tensor:
        """Frames within -1…1."""
        frames: Tensor = self.model.decode(latent).sample
        return frames

    def normalize(self, latent: Tensor) -> Tensor:
        """From the VAE's own scale to zero mean and unit variance."""
        return (latent - self.mean.to(latent)) / self.std.to(latent)

    def denormalize(self, latent: Tensor) -> Tensor:
        """The inverse of `normalize`."""
        return latent * self.std.to(latent) + self.mean.to(latent)
