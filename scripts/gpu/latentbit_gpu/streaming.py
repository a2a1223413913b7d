"""The VAE of the training recipe in steps, carrying the state that makes the steps equal to the whole.

At full size no card holds the activations of 81 frames at once, and a tensor of them has more elements than 32 bits
can count. The official code takes 4 frames at a time and keeps the last frames that each temporal convolution saw; so
does this. The state is a list of tensors, so that a step is a function that can be compiled.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from latentbit_training.vae import (
    CausalConv3d,
    Downsample,
    ResidualBlock,
    Upsample,
    WanVae,
    fold,
    patchify,
    unfold,
    unpatchify,
)
from torch import Tensor, nn

State = list[Tensor]


class Walk:
    """One step through one half of the network: consumes the old state entry by entry and builds the new one."""

    def __init__(self, state: State) -> None:
        self.first = not state
        self.old = iter(state)
        self.new: State = []

    def conv(self, layer: nn.Module, x: Tensor, time: int) -> Tensor:
        """A causal convolution that sees the frames of earlier steps."""
        assert isinstance(layer, CausalConv3d)
        taps = layer.kernel[0]
        if taps == 1:
            return layer(x, time)
        clip = unfold(x, time)
        # Before the first frame there are zeros.
        before = clip.new_zeros(clip[:, :, :1].shape).expand(-1, -1, taps - 1, -1, -1) if self.first else next(self.old)
        clip = torch.cat([before, clip], dim=2)
        self.new.append(clip[:, :, 1 - taps :].clone(memory_format=torch.channels_last_3d))
        if self.first and time == 1:
            # The other taps see only zeros.
            return layer(x, time)
        pad = (0, layer.kernel[1] // 2, layer.kernel[2] // 2)
        return fold(F.conv3d(clip, layer.weight, layer.bias, padding=pad))

    def block(self, block: ResidualBlock, x: Tensor, time: int) -> Tensor:
        """A residual block."""
        r = block.residual
        h = self.conv(r[2], F.silu(r[0](x)), time)
        h = self.conv(r[6], F.silu(r[3](h)), time)
        return h + (block.shortcut(x, time) if isinstance(block.shortcut, CausalConv3d) else x)

    def down(self, layer: Downsample, x: Tensor, time: int) -> tuple[Tensor, int]:
        """Halves space and time. The very first frame passes, later ones are merged in pairs."""
        if layer.space:
            x = layer.resample(x)
        if not layer.time:
            return x, time
        clip = unfold(x, time)
        seen = clip if self.first else torch.cat([next(self.old), clip], dim=2)
        self.new.append(clip[:, :, -1:].clone(memory_format=torch.channels_last_3d))
        parts = [clip[:, :, :1]] if self.first else []
        if seen.shape[2] > 1:
            conv = layer.time_conv
            parts.append(F.conv3d(seen, conv.weight, conv.bias, stride=(2, 1, 1)))
        merged = torch.cat(parts, dim=2)
        return fold(merged), merged.shape[2]

    def up(self, layer: Upsample, x: Tensor, time: int) -> tuple[Tensor, int]:
        """Doubles time and space. The very first frame stays one, and later ones do not depend on it."""
        if layer.time:
            clip = unfold(x, time)
            first, rest = (clip[:, :, :1], clip[:, :, 1:]) if self.first else (clip[:, :, :0], clip)
            taps = layer.time_conv.kernel[0]
            before = clip.new_zeros(clip[:, :, :1].shape).expand(-1, -1, taps - 1, -1, -1) if self.first else next(
                self.old
            )
            seen = torch.cat([before, rest], dim=2)
            self.new.append(seen[:, :, 1 - taps :].clone(memory_format=torch.channels_last_3d))
            if rest.shape[2]:
                pairs = F.conv3d(seen, layer.time_conv.weight, layer.time_conv.bias)
                pairs = torch.stack(pairs.chunk(2, dim=1), dim=3).flatten(2, 3)
                clip = torch.cat([first, pairs], dim=2)
            else:
                clip = first
            x, time = fold(clip), clip.shape[2]
        return (layer.resample(x) if layer.space else x), time

    def layers(self, layers: nn.ModuleList, x: Tensor, time: int) -> tuple[Tensor, int]:
        """Applies layers of any kind in turn."""
        for layer in layers:
            if isinstance(layer, ResidualBlock):
                x = self.block(layer, x, time)
            elif isinstance(layer, Downsample):
                x, time = self.down(layer, x, time)
            elif isinstance(layer, Upsample):
                x, time = self.up(layer, x, time)
            else:
                x = layer(x, time)
        return x, time

    def head(self, head: nn.ModuleList, x: Tensor, time: int) -> Tensor:
        """Norm, SiLU and the last convolution."""
        return self.conv(head[2], F.silu(head[0](x)), time)


class StreamingVae:
    """Replaces a `WanVae`.

    `pace`: latent frames per step, after a first step of a single frame. `backend`: the compiler of the steps, if
    any.
    """

    def __init__(self, vae: WanVae, pace: int = 1, backend: str = "") -> None:
        if vae.config.shortcuts:
            raise ValueError("the shortcuts of Wan 2.2 are not supported in steps")
        self.vae, self.pace, self.config = vae, pace, vae.config
        self.normalize, self.denormalize = vae.normalize, vae.denormalize
        self.encode_step, self.decode_step = self._encode_step, self._decode_step
        if backend:
            self.encode_step = torch.compile(self._encode_step, dynamic=False, backend=backend)
            self.decode_step = torch.compile(self._decode_step, dynamic=False, backend=backend)

    def _encode_step(self, video: Tensor, state: State) -> tuple[Tensor, State]:
        walk, encoder, time = Walk(state), self.vae.encoder, video.shape[2]
        x = patchify(fold(video), self.config.patch).contiguous(memory_format=torch.channels_last)
        x = walk.conv(encoder.conv1, x, time)
        x, time = walk.layers(encoder.downsamples, x, time)
        x, time = walk.layers(encoder.middle, x, time)
        x = self.vae.conv1(walk.head(encoder.head, x, time), time)
        return unfold(x, time)[:, : self.config.latent_channels], walk.new

    def _decode_step(self, latent: Tensor, state: State) -> tuple[Tensor, State]:
        walk, decoder, time = Walk(state), self.vae.decoder, latent.shape[2]
        x = walk.conv(decoder.conv1, self.vae.conv2(fold(latent), time), time)
        x, time = walk.layers(decoder.middle, x, time)
        x, time = walk.layers(decoder.upsamples, x, time)
        x = walk.head(decoder.head, x, time)
        return unfold(unpatchify(x, self.config.patch), time), walk.new

    def encode(self, video: Tensor) -> Tensor:
        """The latent's mean, in the VAE's own scale."""
        state, parts = State(), []
        for part in steps(video, self.pace * self.config.strides[0]):
            latent, state = self.encode_step(part, state)
            parts.append(latent)
        return torch.cat(parts, dim=2)

    def decode(self, latent: Tensor) -> Tensor:
        """Frames, not clamped."""
        state, parts = State(), []
        for part in steps(latent, self.pace):
            frames, state = self.decode_step(part, state)
            parts.append(frames)
        return torch.cat(parts, dim=2)


def steps(x: Tensor, length: int) -> list[Tensor]:
    """The first frame, then a fixed number at a time."""
    rest = x[:, :, 1:]
    return [x[:, :, :1], *(rest.split(length, dim=2) if rest.shape[2] else ())]
