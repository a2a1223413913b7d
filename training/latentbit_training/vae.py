"""The Wan-family causal video VAE in its parallel form: a whole clip in one pass.

Activations are kept as (batch * time, channels, height, width) in channels-last memory, so that every
convolution without temporal extent is a plain 2D one, and a single frame never pays for the temporal taps.
Parameter names are those of the official Wan 2.1 checkpoint and, with shortcuts, of that of Wan 2.2.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .config import Kernel, StageConfig, VaeConfig
from .shortcuts import averaged, repeated


class RmsNorm(nn.Module):
    """Unit RMS over channels times a learned gain; the clamp is that of `F.normalize` (1e-12 on the L2 norm)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = math.sqrt(channels)
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        inverse = wide.square().sum(1, keepdim=True).clamp_min(1e-24).rsqrt()
        return (wide * (inverse * self.scale) * self.gamma.float()[:, None, None]).to(x.dtype)


def fold(x: Tensor) -> Tensor:
    """(B, C, T, H, W) to (B*T, C, H, W), channels last."""
    return x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)


def unfold(x: Tensor, time: int) -> Tensor:
    """(B*T, C, H, W) to (B, C, T, H, W)."""
    return x.unflatten(0, (-1, time)).transpose(1, 2)


class CausalConv3d(nn.Module):
    """Convolution that sees only the present and the past: all temporal padding, with zeros, is in front."""

    def __init__(self, cin: int, cout: int, kernel: Kernel, stride_t: int = 1, pad_t: bool = True) -> None:
        super().__init__()
        self.kernel, self.stride_t, self.pad_t = kernel, stride_t, pad_t
        self.weight = nn.Parameter(torch.empty(cout, cin, *kernel))
        self.bias = nn.Parameter(torch.zeros(cout))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: Tensor, time: int) -> Tensor:
        pad = (self.kernel[1] // 2, self.kernel[2] // 2)
        if self.kernel[0] == 1 or (time == 1 and self.pad_t):
            return F.conv2d(x, self.weight[:, :, -1], self.bias, padding=pad)
        if torch.is_grad_enabled() and not x.is_cuda and pad[0]:
            return self._frames_as_channels(x, time, pad)
        x = unfold(x, time)
        if self.pad_t:
            x = F.pad(x, (0, 0, 0, 0, self.kernel[0] - 1, 0))
        x = F.conv3d(x, self.weight, self.bias, stride=(self.stride_t, 1, 1), padding=(0, *pad))
        return fold(x)


    def _frames_as_channels(self, x: Tensor, time: int, pad: tuple[int, int]) -> Tensor:
        """The same as a 2D convolution over the frames that each output frame sees, one after the other in channels.

        On a CPU that trains 1.7 times as fast as a 3D one, for a copy of the input for each frame that a kernel sees.
        """
        clips = x.unflatten(0, (-1, time))
        if self.pad_t:
            clips = F.pad(clips, (0, 0, 0, 0, 0, 0, self.kernel[0] - 1, 0))
        last = clips.shape[1] - self.kernel[0] + 1
        seen = torch.cat([clips[:, k : k + last : self.stride_t] for k in range(self.kernel[0])], dim=2)
        seen = seen.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return F.conv2d(seen, self.weight.transpose(1, 2).flatten(1, 2), self.bias, padding=pad)


class ResidualBlock(nn.Module):
    """norm, SiLU, conv, norm, SiLU, conv, plus the input (through a 1x1x1 convolution where channels change)."""

    def __init__(self, cin: int, cout: int, kernels: tuple[Kernel, Kernel]) -> None:
        super().__init__()
        self.residual = nn.ModuleList([
            RmsNorm(cin), nn.SiLU(), CausalConv3d(cin, cout, kernels[0]),
            RmsNorm(cout), nn.SiLU(), nn.Identity(), CausalConv3d(cout, cout, kernels[1]),
        ])
        self.shortcut = CausalConv3d(cin, cout, (1, 1, 1)) if cin != cout else nn.Identity()
        self.recompute = False
        """Keep the input alone for the backward pass and compute the rest again."""

    def forward(self, x: Tensor, time: int) -> Tensor:
        if self.recompute and x.requires_grad:
            found: Tensor = checkpoint(self._compute, x, time, use_reentrant=False)
            return found
        return self._compute(x, time)

    def _compute(self, x: Tensor, time: int) -> Tensor:
        r = self.residual
        h = r[2](F.silu(r[0](x)), time)
        h = r[6](F.silu(r[3](h)), time)
        return h + (self.shortcut(x, time) if isinstance(self.shortcut, CausalConv3d) else x)


class AttentionBlock(nn.Module):
    """Single-head self-attention over the positions of each frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = RmsNorm(channels)
        self.to_qkv = nn.Conv2d(channels, channels * 3, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, time: int) -> Tensor:
        del time
        q, k, v = self.to_qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=-1)
        h = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]
        return x + self.proj(h.transpose(1, 2).unflatten(2, x.shape[2:]))


class Downsample(nn.Module):
    """Halves space (stride-2 convolution, padded right and below), then time.

    In time the first frame passes unchanged; every later pair is merged with a look at the frame before it.
    """

    def __init__(self, channels: int, space: bool, time: bool) -> None:
        super().__init__()
        if space:
            self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, channels, 3, stride=2))
        if time:
            self.time_conv = CausalConv3d(channels, channels, (3, 1, 1), stride_t=2, pad_t=False)
        self.space, self.time = space, time

    def forward(self, x: Tensor, time: int) -> Tensor:
        if self.space:
            x = self.resample(x)
        if self.time and time > 1:
            first = unfold(x, time)[:, :, :1]
            rest = self.time_conv(x, time)
            x = fold(torch.cat([first, unfold(rest, (time - 1) // 2)], dim=2))
        return x


class Upsample(nn.Module):
    """Doubles time, then space. The first frame stays one frame; every later one becomes two.

    Doubling space halves the channels, unless they are to be kept.
    """

    def __init__(self, channels: int, space: bool, time: bool, keep: bool = False) -> None:
        super().__init__()
        if space:
            out = channels if keep else channels // 2
            self.resample = nn.Sequential(
                nn.Upsample(scale_factor=2, mode="nearest-exact"), nn.Conv2d(channels, out, 3, padding=1)
            )
        if time:
            self.time_conv = CausalConv3d(channels, channels * 2, (3, 1, 1))
        self.space, self.time = space, time

    def forward(self, x: Tensor, time: int) -> Tensor:
        if self.time and time > 1:
            clip = unfold(x, time)
            first, rest = clip[:, :, :1], clip[:, :, 1:]
            pairs = unfold(self.time_conv(fold(rest), time - 1), time - 1)
            pairs = torch.stack(pairs.chunk(2, dim=1), dim=3).flatten(2, 3)
            x = fold(torch.cat([first, pairs], dim=2))
        return self.resample(x) if self.space else x


def _down_layers(channels: int, stage: StageConfig) -> list[nn.Module]:
    """The blocks of a stage of the encoder, and what leads to the next stage."""
    layers: list[nn.Module] = []
    for _ in range(stage.encoder_blocks):
        layers.append(ResidualBlock(channels, stage.channels, stage.kernels))
        channels = stage.channels
    if stage.down_space or stage.down_time:
        layers.append(Downsample(channels, stage.down_space, stage.down_time))
    return layers


class DownStage(nn.Module):
    """A stage of the encoder, plus averages of what comes in."""

    def __init__(self, channels: int, stage: StageConfig) -> None:
        super().__init__()
        self.downsamples = nn.ModuleList(_down_layers(channels, stage))
        self.channels = stage.channels
        self.space, self.time = stage.down_space, stage.down_time

    def forward(self, x: Tensor, time: int) -> Tensor:
        shortcut = averaged(x, time, self.channels, self.space, self.time)
        # Time changes in the last layer alone.
        for layer in self.downsamples:
            x = layer(x, time)
        return x + shortcut


def _up_layers(channels: int, stage: StageConfig, space: bool, time: bool, keep: bool) -> list[nn.Module]:
    """The blocks of a stage of the decoder, and what leads to the next, finer stage."""
    layers: list[nn.Module] = []
    for _ in range(stage.decoder_blocks):
        layers.append(ResidualBlock(channels, stage.channels_up, stage.kernels))
        channels = stage.channels_up
    if space or time:
        layers.append(Upsample(channels, space, time, keep))
    return layers


class UpStage(nn.Module):
    """A stage of the decoder, plus repeats of what comes in where the stage leads to a finer one."""

    def __init__(self, channels: int, stage: StageConfig, space: bool, time: bool) -> None:
        super().__init__()
        self.upsamples = nn.ModuleList(_up_layers(channels, stage, space, time, keep=True))
        self.channels = stage.channels_up
        self.space, self.time = space, time

    def forward(self, x: Tensor, time: int) -> Tensor:
        shortcut = repeated(x, time, self.channels, self.space, self.time) if self.space or self.time else None
        for layer in self.upsamples:
            x = layer(x, time)
        return x if shortcut is None else x + shortcut


def _middle(channels: int, config: VaeConfig) -> list[nn.Module]:
    kernels = config.stages[-1].kernels
    blocks: list[nn.Module] = [ResidualBlock(channels, channels, kernels) for _ in range(config.mid_blocks)]
    if config.mid_attention:
        blocks.insert(1, AttentionBlock(channels))
    return blocks


class Encoder3d(nn.Module):
    """Frames to latent."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        channels = config.stages[0].channels
        self.conv1 = CausalConv3d(3 * config.patch**2, channels, config.io_kernel)
        self.downsamples = nn.ModuleList()
        for stage in config.stages:
            if config.shortcuts:
                self.downsamples.append(DownStage(channels, stage))
            else:
                self.downsamples.extend(_down_layers(channels, stage))
            channels = stage.channels if stage.encoder_blocks else channels
        self.middle = nn.ModuleList(_middle(channels, config))
        out = config.latent_channels * (2 if config.moments else 1)
        self.head = nn.ModuleList([RmsNorm(channels), nn.SiLU(), CausalConv3d(channels, out, config.io_kernel)])

    def forward(self, x: Tensor, time: int) -> tuple[Tensor, int]:
        x = self.conv1(x, time)
        for layer in self.downsamples:
            x = layer(x, time)
            if isinstance(layer, (Downsample, DownStage)) and layer.time:
                time = 1 + (time - 1) // 2
        for layer in self.middle:
            x = layer(x, time)
        return self.head[2](F.silu(self.head[0](x)), time), time


class Decoder3d(nn.Module):
    """Latent to frames."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        channels = config.stages[-1].channels_up
        self.conv1 = CausalConv3d(config.latent_channels, channels, config.io_kernel)
        self.middle = nn.ModuleList(_middle(channels, config))
        self.upsamples = nn.ModuleList()
        for index in reversed(range(len(config.stages))):
            stage = config.stages[index]
            finer = config.stages[index - 1] if index else None
            space, time = (finer.down_space, finer.down_time) if finer else (False, False)
            if config.shortcuts:
                self.upsamples.append(UpStage(channels, stage, space, time))
            else:
                self.upsamples.extend(_up_layers(channels, stage, space, time, keep=False))
            channels = stage.channels_up if stage.decoder_blocks else channels
            if space and not config.shortcuts:
                channels //= 2
        self.head = nn.ModuleList(
            [RmsNorm(channels), nn.SiLU(), CausalConv3d(channels, 3 * config.patch**2, config.io_kernel)]
        )

    def recompute(self, on: bool) -> None:
        """Whether the backward pass computes the residual blocks again, to keep less of them in memory."""
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                module.recompute = on

    def forward(self, x: Tensor, time: int) -> tuple[Tensor, int]:
        x = self.conv1(x, time)
        for layer in self.middle:
            x = layer(x, time)
        for layer in self.upsamples:
            x = layer(x, time)
            if isinstance(layer, (Upsample, UpStage)) and layer.time:
                time = 1 + (time - 1) * 2
        return self.head[2](F.silu(self.head[0](x)), time), time


def patchify(x: Tensor, patch: int) -> Tensor:
    """(N, C, H, W) to (N, C*p*p, H/p, W/p); the channel index is (c, column in patch, row in patch)."""
    if patch == 1:
        return x
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // patch, patch, w // patch, patch)
    return x.permute(0, 1, 5, 3, 2, 4).reshape(n, c * patch * patch, h // patch, w // patch)


def unpatchify(x: Tensor, patch: int) -> Tensor:
    """The way back of `patchify`."""
    if patch == 1:
        return x
    n, c, h, w = x.shape
    x = x.reshape(n, c // patch**2, patch, patch, h, w)
    return x.permute(0, 1, 4, 3, 5, 2).reshape(n, c // patch**2, h * patch, w * patch)


def _frames(config: VaeConfig, conv: nn.Module, decoder: nn.Module, latent: Tensor) -> Tensor:
    time = latent.shape[2]
    h, time = decoder(conv(fold(latent), time), time)
    return unfold(unpatchify(h, config.patch), time)


class VaeDecoder(nn.Module):
    """The half of a VAE that makes frames of a latent, with the names that its weights have in `WanVae`."""

    def __init__(self, vae: WanVae) -> None:
        """Shares the weights of `vae`."""
        super().__init__()
        self.config = vae.config
        self.conv2, self.decoder = vae.conv2, vae.decoder

    def forward(self, latent: Tensor) -> Tensor:
        """As `WanVae.decode`."""
        return _frames(self.config, self.conv2, self.decoder, latent)

    def put_into(self, vae: WanVae) -> None:
        """Makes `vae` decode with these weights."""
        vae.conv2, vae.decoder = self.conv2, self.decoder


class WanVae(nn.Module):
    """(B, 3, T, H, W) in -1…1 to a latent (B, C, T', H', W') and back, T = 1 + 4 (T' - 1) for a time stride of 4."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        moments = config.latent_channels * (2 if config.moments else 1)
        self.encoder = Encoder3d(config)
        self.conv1 = CausalConv3d(moments, moments, (1, 1, 1))
        self.conv2 = CausalConv3d(config.latent_channels, config.latent_channels, (1, 1, 1))
        self.decoder = Decoder3d(config)

    def encode(self, video: Tensor) -> Tensor:
        """The latent's mean, in the VAE's own scale."""
        time = video.shape[2]
        frames = patchify(fold(video), self.config.patch).contiguous(memory_format=torch.channels_last)
        h, time = self.encoder(frames, time)
        return unfold(self.conv1(h, time), time)[:, : self.config.latent_channels]

    def decode(self, latent: Tensor) -> Tensor:
        """Frames, not clamped, from a latent in the VAE's own scale."""
        return _frames(self.config, self.conv2, self.decoder, latent)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each latent channel, shaped to broadcast over a latent."""
        c = self.config.latent_channels
        mean = torch.tensor(self.config.latent_mean or [0.0] * c).view(1, c, 1, 1, 1)
        std = torch.tensor(self.config.latent_std or [1.0] * c).view(1, c, 1, 1, 1)
        return mean, std

    def normalize(self, latent: Tensor) -> Tensor:
        """From the VAE's own scale to zero mean and unit variance."""
        mean, std = (s.to(latent) for s in self.statistics())
        return (latent - mean) / std

    def denormalize(self, latent: Tensor) -> Tensor:
        """The way back of `normalize`."""
        mean, std = (s.to(latent) for s in self.statistics())
        return latent * std + mean
