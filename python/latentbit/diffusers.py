"""The VAE for pipelines of diffusers, in the place of ``AutoencoderKLWan``."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput

from ._codec import Model
from ._quantity import Size
from ._vae import Vae


class LatentBitVae(torch.nn.Module):
    """A VAE that computes with LatentBit's kernels, for ``pipe.vae`` of the pipelines of Wan:

        pipe.vae = LatentBitVae("wan2.1-vae")

    Tensors are (batch, channels, frames, height, width): frames from -1 to 1, latents as the pipeline scales them. It
    is for inference: no gradient goes through it, and its weights are none of PyTorch's. The encoder gives the mean of
    the posterior and no variance, so ``latent_dist.sample()`` is ``latent_dist.mode()``.
    """

    def __init__(
        self,
        model: Model = None,
        *,
        dtype: str = "auto",
        device: str = "auto",
        threads: int = 0,
        max_memory: Size = None,
    ):
        """Reads the model; the arguments are those of ``latentbit.Vae``.

        ``device`` is where it computes, which need not be where the tensors of the pipeline are.
        """
        super().__init__()
        self.vae = Vae(
            model, scale="raw", dtype=dtype, device=device, threads=threads, max_memory=max_memory, layout="CTHW",
            value_range="-1..1",
        )
        """What computes."""
        time, space, _ = self.vae.strides
        self.config = types.SimpleNamespace(
            z_dim=self.vae.channels,
            latents_mean=self.vae.mean.tolist(),
            latents_std=self.vae.std.tolist(),
            scale_factor_temporal=time,
            scale_factor_spatial=space,
            in_channels=3,
            out_channels=3,
        )
        """What pipelines ask of it, under the names of ``AutoencoderKLWan``."""
        self.temperal_downsample = [True] * (time.bit_length() - 1)
        """Under the name that older pipelines ask for."""
        # It has no parameters to tell where a pipeline has put it, and in which type.
        self.register_buffer("_place", torch.zeros(()), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where tensors come back."""
        return self._buffer.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the tensors that come back."""
        return self._buffer.dtype

    @property
    def _buffer(self) -> torch.Tensor:
        place = self._place
        assert isinstance(place, torch.Tensor)
        return place

    @torch.no_grad()
    def encode(self, x: torch.Tensor, return_dict: bool = True) -> Any:
        """The latents of frames: an ``AutoencoderKLOutput`` whose ``latent_dist`` has no variance."""
        # Resizing and rounding may carry values a little beyond their range.
        mean = self._tensor(self.vae.encode(x.detach().float().clamp(-1, 1)))
        posterior = DiagonalGaussianDistribution(torch.cat([mean, torch.zeros_like(mean)], 1), deterministic=True)
        return AutoencoderKLOutput(latent_dist=posterior) if return_dict else (posterior,)

    @torch.no_grad()
    def decode(self, z: torch.Tensor, return_dict: bool = True) -> Any:
        """The frames of latents: a ``DecoderOutput`` from -1 to 1."""
        frames = self.vae.decode(z.detach().float(), value_range="-1..1", layout="CTHW")
        sample = self._tensor(frames)
        return DecoderOutput(sample=sample) if return_dict else (sample,)

    def forward(self, sample: torch.Tensor, sample_posterior: bool = False, return_dict: bool = True) -> Any:
        """Frames to latents and back."""
        posterior = self.encode(sample).latent_dist
        return self.decode(posterior.sample() if sample_posterior else posterior.mode(), return_dict=return_dict)

    def enable_tiling(self, *_: Any, **__: Any) -> None:
        """Does nothing: ``max_memory`` of the constructor says when frames are computed in tiles."""

    def disable_tiling(self) -> None:
        """Does nothing, as ``enable_tiling``."""

    def enable_slicing(self) -> None:
        """Does nothing: videos of a batch are computed as many at a time as the machine has room for."""

    def disable_slicing(self) -> None:
        """Does nothing, as ``enable_slicing``."""

    def _tensor(self, array: np.ndarray[Any, Any]) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device, self.dtype)
