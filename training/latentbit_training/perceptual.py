"""A perceptual distance: differences of SqueezeNet 1.1 features, each scaled to unit length over channels.

The weights are not part of the project; any `.npz` with the layers' arrays in order will do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

PLAN = ("conv", "pool", "fire", "fire", "pool", "fire", "fire", "pool", "fire", "fire", "fire", "fire")
TAPS = (0, 3, 6, 9, 11)
MEAN = (104.0, 117.0, 123.0)


def perceptual_loss(weights: Path | None, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """A function of two videos (B, 3, T, H, W) in -1…1 that gives one number."""
    if weights is None:
        raise SystemExit("--perceptual needs --perceptual-weights FILE.npz (SqueezeNet 1.1)")
    arrays = iter([torch.from_numpy(a.astype(np.float32)).to(device) for a in np.load(weights).values()])
    layers: list[list[tuple[Tensor, Tensor]]] = []
    for kind in PLAN:
        count = {"conv": 1, "fire": 3, "pool": 0}[kind]
        layers.append([(next(arrays), next(arrays)) for _ in range(count)])

    def features(video: Tensor) -> list[Tensor]:
        x = video.transpose(1, 2).flatten(0, 1).flip(1)
        x = (x + 1) * 127.5 - torch.tensor(MEAN, device=x.device).view(1, 3, 1, 1)
        taps = []
        for index, (kind, group) in enumerate(zip(PLAN, layers, strict=True)):
            if kind == "pool":
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            elif kind == "conv":
                x = F.relu(F.conv2d(x, *group[0], stride=2))
            else:
                x = F.relu(F.conv2d(x, *group[0]))
                x = F.relu(torch.cat([F.conv2d(x, *group[1]), F.conv2d(x, *group[2], padding=1)], dim=1))
            if index in TAPS:
                taps.append(F.normalize(x.float(), dim=1))
        return taps

    def distance(a: Tensor, b: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = features(b)
        pairs = zip(features(a), wanted, strict=True)
        return torch.stack([(x - y).square().sum(1).mean() for x, y in pairs]).sum()

    return distance


def lpips_distance(device: torch.device) -> Callable[[Tensor, Tensor], Tensor] | None:
    """LPIPS (VGG) of two batches (B, 3, H, W) in -1…1, if the package and the weights of its network are here.

    Nothing is downloaded: the weights are those of torchvision, in the folder of `torch.hub`.
    """
    weights = Path(torch.hub.get_dir()) / "checkpoints" / "vgg16-397923af.pth"
    if not weights.exists():
        return None
    try:
        import lpips
    except ImportError:
        return None
    network = lpips.LPIPS(net="vgg", verbose=False).to(device).eval().requires_grad_(False)
    return lambda a, b: network(a, b)
