"""The tokenizer: patches of the normalised latent, ViT encoder, binary code, ViT decoder."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import TokenizerConfig
from .quantize import QUANTIZERS, quantize
from .vit import Grid, Vit


def patchify(latent: Tensor, patch: tuple[int, int, int]) -> tuple[Tensor, Grid]:
    """(B, C, T, H, W), zero-padded at the end of each axis, to (B, tokens, k_t*k_h*k_w*C) and its grid.

    Tokens are in (t, h, w) order with w fastest; within a patch the order is (k_t, k_h, k_w, C), C fastest.
    """
    kt, kh, kw = patch
    t, h, w = latent.shape[2:]
    latent = F.pad(latent, (0, -w % kw, 0, -h % kh, 0, -t % kt))
    b, c, t, h, w = latent.shape
    grid = (t // kt, h // kh, w // kw)
    x = latent.reshape(b, c, grid[0], kt, grid[1], kh, grid[2], kw).permute(0, 2, 4, 6, 3, 5, 7, 1)
    return x.reshape(b, grid[0] * grid[1] * grid[2], kt * kh * kw * c), grid


def unpatchify(x: Tensor, grid: Grid, patch: tuple[int, int, int], size: tuple[int, int, int]) -> Tensor:
    """The way back of `patchify`, cropped to a latent of `size` (T, H, W)."""
    kt, kh, kw = patch
    b, channels = x.shape[0], x.shape[-1] // (kt * kh * kw)
    x = x.reshape(b, *grid, kt, kh, kw, channels).permute(0, 7, 1, 4, 2, 5, 3, 6)
    x = x.reshape(b, channels, grid[0] * kt, grid[1] * kh, grid[2] * kw)
    return x[:, :, : size[0], : size[1], : size[2]]


def split_chunks(latent: Tensor, frames: int) -> Tensor:
    """(B, C, n*frames, H, W) to (B*n, C, frames, H, W)."""
    b, c, t, h, w = latent.shape
    return latent.reshape(b, c, t // frames, frames, h, w).transpose(1, 2).reshape(-1, c, frames, h, w)


def join_chunks(chunks: Tensor, batch: int) -> Tensor:
    """The way back of `split_chunks`."""
    n, c, t, h, w = chunks.shape
    return chunks.reshape(batch, n // batch, c, t, h, w).transpose(1, 2).reshape(batch, c, -1, h, w)


class Tokenizer(nn.Module):
    """One chunk of normalised latent (B, C, T, H, W) to bits and back. Chunks know nothing of each other."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        kt, kh, kw = config.patch
        patch_width = kt * kh * kw * config.latent_channels

        def vit(inputs: int, outputs: int, layers: int) -> Vit:
            return Vit(inputs, outputs, config.width, config.heads, layers, config.mlp_ratio,
                       config.window, config.shift, config.rope_theta)

        self.encoder = vit(patch_width, config.bits, config.encoder_layers)
        self.decoder = vit(config.bits, patch_width, config.decoder_layers)
        self.quantizer = QUANTIZERS[config.quantizer](config.bits)
        self.depth_head: nn.Linear | None = None
        """Reads the encoder's trunk as the code's head does, and estimates errors."""
        if config.depth_step:
            self.depth_head = nn.Linear(config.width, len(config.depths))
            nn.init.zeros_(self.depth_head.weight)
            self.expect(0.1)

    def expect(self, error: float) -> None:
        """Lets a fresh depth head begin with the error of tokens of no planes, and a tenth of it at all planes."""
        if self.depth_head is not None:
            falling = math.log(error) + torch.linspace(0, math.log(0.1), len(self.config.depths))
            self.depth_head.bias.data.copy_(falling)

    def encode(self, latent: Tensor) -> tuple[Tensor, Grid]:
        """The ViT encoder's output (B, tokens, D) before the sign (equation 1 of the paper)."""
        x, grid = patchify(latent, self.config.patch)
        return self.encoder(x, grid), grid

    def analyse(self, latent: Tensor) -> tuple[Tensor, Tensor | None, Grid]:
        """`encode`, and with a depth head the estimates (B, tokens, K) for the K depths of the config.

        An estimate is the natural logarithm of the mean squared error that a token adds to its pixels (-1…1) when it
        keeps that many planes and its neighbours about as many.
        """
        x, grid = patchify(latent, self.config.patch)
        features = self.encoder.trunk(x, grid)
        errors = self.depth_head(features) if self.depth_head is not None else None
        return self.encoder.head(features), errors, grid

    def keep(self, code: Tensor, depths: Tensor | int) -> Tensor:
        """A code without the planes beyond `depths`: one number, (B,) or (B, tokens)."""
        kept = torch.as_tensor(depths, device=code.device)
        kept = kept.view(*kept.shape, *[1] * (code.ndim - kept.ndim))
        return code * (torch.arange(self.config.bits, device=code.device) < kept)

    def decode(self, code: Tensor, grid: Grid, size: tuple[int, int, int]) -> Tensor:
        """The latent of a code; planes that were dropped are zero (equation 2)."""
        return unpatchify(self.decoder(code, grid), grid, self.config.patch, size)

    def bits(self, latent: Tensor) -> tuple[Tensor, Grid]:
        """(B, tokens, D) booleans: bit j is set exactly when output j is above zero."""
        u, grid = self.encode(latent)
        return u > 0, grid

    def decode_bits(
        self, bits: Tensor, grid: Grid, size: tuple[int, int, int], kept: Tensor | int | None = None
    ) -> Tensor:
        """The latent of the first `kept` planes of some bits; `kept` as for `keep`."""
        code = (bits.float() * 2 - 1) * self.quantizer.scale
        if kept is not None:
            code = self.keep(code, kept)
        return self.decode(code, grid, size)

    def reconstruct(
        self, u: Tensor, grid: Grid, size: tuple[int, int, int], depths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The latent of the encoder's output, with a straight-through gradient, and the commitment loss."""
        code, commitment = quantize(self.quantizer, u)
        if depths is not None:
            code = self.keep(code, depths)
        return self.decode(code, grid, size), commitment

    def forward(self, latent: Tensor, depths: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Reconstruction, commitment loss, and the encoder's output; `depths` as for `keep`."""
        u, grid = self.encode(latent)
        t, h, w = latent.shape[2:]
        output, commitment = self.reconstruct(u, grid, (t, h, w), depths)
        return output, commitment, u
