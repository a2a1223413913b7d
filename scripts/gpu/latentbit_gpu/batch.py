"""The tasks in PyTorch for several clips at once, along the batch axis."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tasks import Model
from torch import Tensor


@dataclass(frozen=True)
class Batch(Model):
    """A model whose inputs and outputs have an additional first axis, for the clips."""

    def video(self, pixels: Tensor) -> Tensor:
        """(N, T, H, W, 3) bytes to (N, 3, T, H, W) in -1…1."""
        return (pixels.to(self.dtype) / 127.5 - 1).permute(0, 4, 1, 2, 3)

    def pixels(self, video: Tensor) -> Tensor:
        """The way back."""
        return ((video.permute(0, 2, 3, 4, 1) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)

    def encode(self, pixels: Tensor) -> Tensor:
        """Frames to bits, (N, tokens, D) of all chunks in order."""
        return self.bits(self.vae_encode(pixels))

    def decode(self, bits: Tensor, size: tuple[int, int, int]) -> Tensor:
        """Bits to frames, for latents of `size` (T', h, w)."""
        return self.vae_decode(self.latent(bits, size))


def repeated(tensor: Tensor, clips: int, task: str) -> Tensor:
    """The input of a task for several clips. Latents already have an axis for them."""
    if task == "vae-decode":
        return tensor.expand(clips, *tensor.shape[1:]).contiguous()
    return tensor.expand(clips, *tensor.shape).contiguous()


def first(result: Tensor, task: str) -> Tensor:
    """The result for the first clip."""
    return result[:1] if task == "vae-encode" else result[0]
