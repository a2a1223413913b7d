"""Initial weights that let a VAE start close to a linear autoencoder.

Without this the first minutes of a run pass on plateaus. Three things matter: the norm of the head sees only the
direction of a channel vector, so the stems carry a constant part (their bias) against which contrast is measured;
residual branches start small; and the convolutions outside of the branches start near an isometry.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .vae import CausalConv3d, Downsample, ResidualBlock, Upsample, WanVae


def _orthogonal(weight: Tensor, gain: float) -> Tensor:
    matrix = torch.empty(weight.shape[0], weight.shape[1])
    nn.init.orthogonal_(matrix)
    return matrix * gain


def _weight(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


@torch.no_grad()
def init_near_linear(vae: WanVae) -> None:
    """Sets the weights of a fresh model in place."""
    for module in vae.modules():
        if isinstance(module, (CausalConv3d, nn.Conv2d)):
            fan_in = module.weight[0].numel()
            nn.init.normal_(module.weight, std=1 / math.sqrt(fan_in))
    for module in vae.modules():
        if isinstance(module, ResidualBlock):
            _weight(module.residual[6]).mul_(0.1)
    for stem in (vae.encoder.conv1, vae.decoder.conv1):
        nn.init.normal_(stem.bias, std=0.5)
    ends = (vae.encoder.conv1, vae.decoder.conv1, vae.encoder.head[2], vae.decoder.head[2], vae.conv1, vae.conv2)
    for end in ends:
        weight = _weight(end)
        middle = weight.shape[3] // 2
        gain = max(1.0, math.sqrt(weight.shape[0] / weight.shape[1]))
        weight.mul_(0.3)
        weight[:, :, -1, middle, middle] += _orthogonal(weight, gain)
    for module in vae.modules():
        if isinstance(module, Downsample) and module.space:
            weight = _weight(module.resample[1])
            weight.mul_(0.3)
            for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
                weight[:, :, row, column] += _orthogonal(weight, 0.5)
        if isinstance(module, Upsample) and module.space:
            weight = _weight(module.resample[1])
            weight.mul_(0.5)
            weight[:, :, 1, 1] += _orthogonal(weight, 1.0)
        if isinstance(module, Downsample) and module.time:
            weight = module.time_conv.weight
            weight.mul_(0.3)
            for tap in (1, 2):
                weight[:, :, tap, 0, 0] += torch.eye(weight.shape[0]) * math.sqrt(0.5)
        if isinstance(module, Upsample) and module.time:
            weight = module.time_conv.weight
            weight.mul_(0.3)
            weight[:, :, 2, 0, 0] += torch.eye(weight.shape[1]).repeat(2, 1)
