"""The four tasks in PyTorch, from memory to memory: the same work as benches/model.

The VAE takes the whole clip at once, as its users do; the tokenizer takes chunks, as it was trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers_vae import DiffusersVae
from latentbit_training import bundle
from latentbit_training.tokenizer import Tokenizer
from latentbit_training.vae import WanVae
from torch import Tensor

TASKS = ("encode", "decode", "vae-encode", "vae-decode")


@dataclass(frozen=True)
class Model:
    """The modules of a bundle, in one number type, channels last."""

    vae: WanVae | DiffusersVae
    tokenizer: Tokenizer | None
    dtype: torch.dtype

    def video(self, pixels: Tensor) -> Tensor:
        """(T, H, W, 3) bytes to (1, 3, T, H, W) in -1…1."""
        return (pixels.to(self.dtype) / 127.5 - 1).permute(3, 0, 1, 2)[None]

    def pixels(self, video: Tensor) -> Tensor:
        """The inverse."""
        return ((video[0].permute(1, 2, 3, 0) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)

    def vae_encode(self, pixels: Tensor) -> Tensor:
        """Frames to the normalised latent."""
        return self.vae.normalize(self.vae.encode(self.video(pixels)))

    def vae_decode(self, latent: Tensor) -> Tensor:
        """The inverse."""
        return self.pixels(self.vae.decode(self.vae.denormalize(latent.to(self.dtype))))

    def bits(self, latent: Tensor) -> Tensor:
        """Normalised latents to bits, (N, tokens, D) of all chunks in order."""
        assert self.tokenizer
        chunks = latent.split(self.tokenizer.config.chunk_latent_frames, dim=2)
        return torch.cat([self.tokenizer.bits(chunk)[0] for chunk in chunks], dim=1)

    def latent(self, bits: Tensor, size: tuple[int, int, int]) -> Tensor:
        """The inverse, for latents of `size` (T', h, w)."""
        assert self.tokenizer
        config, parts = self.tokenizer.config, []
        for start in range(0, size[0], config.chunk_latent_frames):
            chunk = (min(config.chunk_latent_frames, size[0] - start), *size[1:])
            grid = (-(-chunk[0] // config.patch[0]), -(-chunk[1] // config.patch[1]), -(-chunk[2] // config.patch[2]))
            count = grid[0] * grid[1] * grid[2]
            code = (bits[:, :count].to(self.dtype) * 2 - 1) * self.tokenizer.quantizer.scale
            parts.append(self.tokenizer.decode(code, grid, chunk))
            bits = bits[:, count:]
        return torch.cat(parts, dim=2)

    def encode(self, pixels: Tensor) -> Tensor:
        """Frames to bits, (tokens, D) of all chunks in order."""
        return self.bits(self.vae_encode(pixels))[0]

    def decode(self, bits: Tensor, size: tuple[int, int, int]) -> Tensor:
        """Bits to frames, for a latent of `size` (T', h, w)."""
        return self.vae_decode(self.latent(bits[None], size))


def load(path: Path, dtype: torch.dtype) -> tuple[str, Model]:
    """A bundle's name and modules; for a folder those of diffusers."""
    if path.is_dir():
        return path.name, Model(DiffusersVae(path, dtype), None, dtype)
    config, vae, tokenizer = bundle.load(path)
    for module in (vae, tokenizer):
        if module:
            module.requires_grad_(False).to(dtype)
            for parameter in module.parameters():
                formats = {4: torch.channels_last, 5: torch.channels_last_3d}
                if parameter.ndim in formats:
                    parameter.data = parameter.data.contiguous(memory_format=formats[parameter.ndim])
    return config.name, Model(vae, tokenizer, dtype)


class Job:
    """One task on one input."""

    def __init__(self, model: Model, task: str, source: Path, width: int, height: int, frames: int) -> None:
        self.model, self.task = model, task
        time, rows, columns = model.vae.config.strides
        self.size = (-(-frames // time), height // rows, width // columns)
        if task in ("encode", "vae-encode"):
            pixels = np.fromfile(source, np.uint8, frames * height * width * 3)
            self.input = torch.from_numpy(pixels.reshape(frames, height, width, 3))
        elif task == "vae-decode":
            latent = np.fromfile(source, "<f4").reshape(1, *self.size, -1)
            self.input = torch.from_numpy(latent).permute(0, 4, 1, 2, 3)
        else:
            assert model.tokenizer
            tokens = np.fromfile(source, "<u8")
            planes = np.arange(model.tokenizer.config.bits, dtype=np.uint64)
            self.input = torch.from_numpy((tokens[:, None] >> planes & np.uint64(1)).astype(bool))

    def run(self) -> Tensor:
        """Runs the task once."""
        if self.task == "encode":
            return self.model.encode(self.input)
        if self.task == "vae-encode":
            return self.model.vae_encode(self.input)
        if self.task == "vae-decode":
            return self.model.vae_decode(self.input)
        return self.model.decode(self.input, self.size)

    def to_bytes(self, result: Tensor) -> bytes:
        """The result of `run`, in the format of benches/model: tokens (u64), latent (f32) or rgb24."""
        if self.task == "encode":
            planes = np.uint64(1) << np.arange(result.shape[1], dtype=np.uint64)
            return (result.numpy() * planes).sum(1, dtype=np.uint64).astype("<u8").tobytes()
        if self.task == "vae-encode":
            return result[0].permute(1, 2, 3, 0).float().contiguous().numpy().astype("<f4").tobytes()
        return result.contiguous().numpy().tobytes()
