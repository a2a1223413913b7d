"""How much work a step of a training is, counted on shapes alone, and how fast steps go: throughput and MFU.

Operations are two for each multiplication and addition of matrix products, convolutions and attention, forwards and
backwards, as PyTorch's own counter finds them. What is computed twice to save memory counts once; the perceptual
network, the optimizer and everything elementwise do not count.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from .config import TokenizerConfig, VaeConfig
from .tokenizer import Tokenizer, join_chunks, split_chunks
from .vae import WanVae

PEAKS = {"B200": 2250, "H200": 989, "H100 PCIe": 756, "H100 NVL": 835, "H100": 989, "A100": 312, "L40S": 362, "L4": 121,
         "A10": 125, "A10G": 70, "RTX 4090": 165, "RTX 3090": 71}
"""TFLOP/s of dense bf16 products by words of a GPU's name, as data sheets say; the first that fits counts."""


class Shape(NamedTuple):
    """What determines the work of a step."""

    samples: int
    """Images or clips, of all ranks."""
    frames: int
    """1 + 4 n, for a time stride of 4."""
    size: int
    """Side, pixels."""
    encodes: bool = True
    """Whether frames are encoded, or the latent is there."""
    pixels: bool = True
    """Whether the loss looks at decoded frames."""


def vae_step(vae: WanVae, shape: Shape, device: str) -> Tensor:
    """A loss with the work of a step of `train_vae`."""
    video = torch.zeros(shape.samples, 3, shape.frames, shape.size, shape.size, device=device)
    return vae.decode(vae.encode(video)).float().square().mean()


def _latent(vae: WanVae, shape: Shape, device: str) -> Tensor:
    """Of a frozen VAE."""
    time_stride, stride, _ = vae.config.strides
    if shape.encodes:
        with torch.no_grad():
            video = torch.zeros(shape.samples, 3, shape.frames, shape.size, shape.size, device=device)
            return vae.normalize(vae.encode(video)).float()
    side, frames = shape.size // stride, 1 + (shape.frames - 1) // time_stride
    return torch.zeros(shape.samples, vae.config.latent_channels, frames, side, side, device=device)


def tokenizer_step(vae: WanVae, tokenizer: Tokenizer, shape: Shape, device: str) -> Tensor:
    """A loss with the work of a step of `train_tokenizer`."""
    latent = _latent(vae, shape, device)
    chunks = split_chunks(latent, min(tokenizer.config.chunk_latent_frames, latent.shape[2]))
    u, estimates, grid = tokenizer.analyse(chunks)
    t, h, w = chunks.shape[2:]
    output, commitment = tokenizer.reconstruct(u, grid, (t, h, w))
    loss = output.float().square().mean() + commitment.float()
    if estimates is not None:
        loss = loss + estimates.float().mean()
    if shape.pixels:
        loss = loss + vae.decode(vae.denormalize(join_chunks(output, shape.samples))).float().square().mean()
    return loss


def decoder_step(vae: WanVae, tokenizer: Tokenizer, shape: Shape, device: str) -> Tensor:
    """A loss with the work of a step of `train_decoder`, of whose networks the VAE's decoder alone learns."""
    latent = _latent(vae, shape, device)
    with torch.no_grad():
        chunks = split_chunks(latent, min(tokenizer.config.chunk_latent_frames, latent.shape[2]))
        u, _, grid = tokenizer.analyse(chunks)
        t, h, w = chunks.shape[2:]
        latent = join_chunks(tokenizer.reconstruct(u, grid, (t, h, w))[0], shape.samples)
    return vae.decode(vae.denormalize(latent)).float().square().mean()


def flops(step: Callable[[], Tensor]) -> float:
    """Of a loss and its gradients."""
    counter = FlopCounterMode(display=False)
    with counter:
        step().backward()
    return float(counter.get_total_flops())


class Counted:
    """Operations of steps by their shapes, each counted once, on networks without values."""

    def __init__(self, step: Callable[..., Tensor], vae: VaeConfig, tokenizer: TokenizerConfig | None = None,
                 learns: str = "tokenizer") -> None:
        """`learns`: `vae`, `tokenizer` or `decoder`."""
        with torch.device("meta"):
            whole = WanVae(vae).requires_grad_(learns == "vae")
            networks: list[torch.nn.Module] = [whole]
            if learns == "decoder":
                whole.conv2.requires_grad_(True)
                whole.decoder.requires_grad_(True)
            if tokenizer is not None:
                networks.append(Tokenizer(tokenizer).requires_grad_(learns == "tokenizer"))
        self._networks, self._step = networks, step
        self._found: dict[Shape, float] = {}

    def flops(self, shape: Shape) -> float:
        """Of a step."""
        if shape not in self._found:
            self._found[shape] = flops(lambda: self._step(*self._networks, shape, "meta"))
        return self._found[shape]


def peak_of(name: str) -> float | None:
    """FLOP/s of a GPU whose data sheet is known (`PEAKS`), by its name."""
    found = [peak for part, peak in PEAKS.items() if re.search(rf"\b{part}\b", name)]
    return found[0] * 1e12 if found else None


class Pace:
    """How fast the steps since the last line of the log went, without the time in which nothing was trained."""

    def __init__(self, peak: float | None) -> None:
        """`peak` is that of all devices together, FLOP/s."""
        self.peak = peak
        self._since = time.monotonic()
        self._clear()

    def _clear(self) -> None:
        self._seconds, self._steps, self._samples, self._flops = 0.0, 0, 0, 0.0

    def begin(self) -> None:
        """A step begins, with the wait for its data."""
        self._since = time.monotonic()

    def end(self, samples: int, work: Callable[[], float] | None) -> None:
        """It has ended; `work` counts its FLOP."""
        self._seconds += time.monotonic() - self._since
        self._steps += 1
        self._samples += samples
        # Counting takes a moment for each shape; it says something where there is something to compare with.
        if work is not None and self.peak:
            self._flops += work()

    def told(self) -> dict[str, float]:
        """Steps and samples a second; with a known peak also TFLOP/s and MFU, the part of it. Begins anew."""
        if not self._steps or self._seconds <= 0:
            return {}
        found = {"steps_per_second": self._steps / self._seconds, "samples_per_second": self._samples / self._seconds}
        if self._flops and self.peak:
            found |= {"tflops": self._flops / self._seconds / 1e12, "mfu": self._flops / self._seconds / self.peak}
        self._clear()
        return {name: float(f"{value:.3g}") for name, value in found.items()}
