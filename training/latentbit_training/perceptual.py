"""Perceptual distances: differences of the features of networks that were trained to tell pictures apart.

The weights are not part of the project and nothing is downloaded: those of VGG16 are torchvision's, in the folder of
`torch.hub`; those of SqueezeNet 1.1 come in any `.npz` with the layers' arrays in order.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .ranks import Ranks

Distance = Callable[[Tensor, Tensor], Tensor]

NETWORKS = ("auto", "lpips", "vgg", "squeezenet")
VGG_FILE = "vgg16-397923af.pth"
"""As torchvision names the weights of VGG16, with the start of their SHA-256."""
VGG_PLAN = (64, 64, "tap", 128, 128, "tap", 256, 256, 256, "tap", 512, 512, 512, "tap", 512, 512, 512, "tap")
"""Channels of the convolutions; after each tap but the last the sides are halved."""
VGG_MEAN, VGG_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VGG_LEAST = 16
"""Side of the smallest pictures of which the last layers of VGG leave something."""

PLAN = ("conv", "pool", "fire", "fire", "pool", "fire", "fire", "pool", "fire", "fire", "fire", "fire")
TAPS = (0, 3, 6, 9, 11)
MEAN = (104.0, 117.0, 123.0)


class Perceptual(NamedTuple):
    """A perceptual term."""

    name: str
    """One of `NETWORKS`, `auto` excepted."""
    about: str
    distance: Distance
    """Of two videos (B, 3, T, H, W) in -1…1, one number; gradients go to the first alone."""


def add_perceptual(p: argparse.ArgumentParser) -> None:
    """The options of trainings with a perceptual term."""
    p.add_argument("--perceptual", type=float, default=0.0, help="weight of the perceptual term")
    p.add_argument("--perceptual-network", choices=NETWORKS, default="auto",
                   help="whose features it compares: LPIPS of the package lpips, VGG16, or SqueezeNet 1.1; auto: "
                   "SqueezeNet if --perceptual-weights is given, else the first whose weights are here. VGG16, "
                   "for LPIPS too, needs torchvision's weights in the folder of torch.hub")
    p.add_argument("--perceptual-weights", type=Path, metavar="FILE.npz", help="weights of SqueezeNet 1.1")


def vgg_weights() -> Path:
    """Where torchvision keeps the weights of VGG16, whether they are there or not."""
    return Path(torch.hub.get_dir()) / "checkpoints" / VGG_FILE


def perceptual_of(args: argparse.Namespace, ranks: Ranks) -> Perceptual | None:
    """What the options of a training ask for (`add_perceptual`); the first rank tells on stderr which network it is."""
    if not args.perceptual:
        return None
    found = perceptual_term(args.perceptual_network, args.perceptual_weights, ranks.device)
    if ranks.first:
        print(f"the perceptual term compares features of {found.about}", file=sys.stderr)
    return found


def perceptual_term(network: str, weights: Path | None, device: torch.device) -> Perceptual:
    """A perceptual term by the name of its network, one of `NETWORKS`; `weights` are those of SqueezeNet.

    `auto` takes SqueezeNet where its weights are given, else the first network whose weights are here.

    Raises `ValueError` where weights are missing, with the place where they would be found.
    """
    if weights is not None and network not in ("auto", "squeezenet"):
        raise ValueError(f"--perceptual-weights are of squeezenet, not of {network}")
    if weights is not None:
        return Perceptual("squeezenet", f"SqueezeNet 1.1 of {weights}",
                          _over_frames(squeezenet_distance(weights, device)))
    missing = []
    for name in NETWORKS[1:] if network == "auto" else (network,):
        if name == "squeezenet":
            missing.append("squeezenet needs --perceptual-weights FILE.npz")
            continue
        if not vgg_weights().is_file():
            missing.append(f"{name} needs torchvision's weights of VGG16 as {vgg_weights()}")
        elif name == "vgg":
            return Perceptual(name, f"VGG16 of {vgg_weights()}", _over_frames(vgg_distance(device)))
        elif (lpips := lpips_distance(device)) is not None:
            return Perceptual(name, f"LPIPS of the package lpips, VGG16 of {vgg_weights()}", _over_frames(lpips))
        else:
            missing.append("lpips needs the packages lpips and torchvision (pip install lpips)")
    raise ValueError(f"--perceptual finds no network to compare features with: {'; '.join(missing)}")


def _over_frames(distance: Distance) -> Distance:
    """A mean over the frames of videos, of a distance of pictures."""

    def of_videos(a: Tensor, b: Tensor) -> Tensor:
        return distance(a.transpose(1, 2).flatten(0, 1), b.transpose(1, 2).flatten(0, 1)).mean()

    return of_videos


def _between(features: Callable[[Tensor], list[Tensor]]) -> Distance:
    """Squared differences of features of unit length over channels, means over places, summed over layers."""

    def distance(a: Tensor, b: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = [F.normalize(x.float(), dim=1) for x in features(b)]
        found = [F.normalize(x.float(), dim=1) for x in features(a)]
        pairs = zip(found, wanted, strict=True)
        return torch.stack([(x - y).square().sum(1).mean((1, 2)) for x, y in pairs]).sum(0)

    return distance


def squeezenet_distance(weights: Path, device: torch.device) -> Distance:
    """Of two batches of pictures (N, 3, H, W) in -1…1: (N,), by features of SqueezeNet 1.1."""
    arrays = iter([torch.from_numpy(a.astype(np.float32)).to(device) for a in np.load(weights).values()])
    layers: list[list[tuple[Tensor, Tensor]]] = []
    for kind in PLAN:
        count = {"conv": 1, "fire": 3, "pool": 0}[kind]
        layers.append([(next(arrays), next(arrays)) for _ in range(count)])
    mean = torch.tensor(MEAN, device=device).view(1, 3, 1, 1)

    def features(x: Tensor) -> list[Tensor]:
        x = (x.flip(1) + 1) * 127.5 - mean
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
                taps.append(x)
        return taps

    return _between(features)


def vgg_distance(device: torch.device) -> Distance:
    """Of two batches of pictures (N, 3, H, W) in -1…1: (N,), by features of VGG16 before each halving.

    Layers and channels count alike; LPIPS learned weights for them. `ValueError` if the file holds other weights.
    """
    path = vgg_weights()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} cannot be read as weights of VGG16 ({error}); fetch it again") from error
    layers: list[tuple[Tensor, Tensor]] = []
    index, before = 0, 3
    for step in VGG_PLAN:
        if isinstance(step, int):
            names = [f"features.{index}.{part}" for part in ("weight", "bias")]
            shapes = [tuple(state[name].shape) if name in state else None for name in names]
            if shapes != [(step, before, 3, 3), (step,)]:
                raise ValueError(f"{path} holds no VGG16: {' and '.join(names)} have the shapes {shapes}, not "
                                 f"{[(step, before, 3, 3), (step,)]}")
            layers.append((state[names[0]].float().to(device), state[names[1]].float().to(device)))
            # A ReLU follows.
            index, before = index + 2, step
        else:
            index += 1
    mean, std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (VGG_MEAN, VGG_STD))

    def features(x: Tensor) -> list[Tensor]:
        x = ((x + 1) / 2 - mean) / std
        taps: list[Tensor] = []
        own = iter(layers)
        for place, step in enumerate(VGG_PLAN):
            if isinstance(step, int):
                x = F.relu(F.conv2d(x, *next(own), padding=1))
            else:
                taps.append(x)
                x = x if place == len(VGG_PLAN) - 1 else F.max_pool2d(x, 2)
        return taps

    return _at_least(VGG_LEAST, _between(features))


def _at_least(side: int, distance: Distance) -> Distance:
    """Of pictures that are too small for a network, their edges repeated."""

    def padded(x: Tensor) -> Tensor:
        right, bottom = max(0, side - x.shape[-1]), max(0, side - x.shape[-2])
        return F.pad(x, (0, right, 0, bottom), mode="replicate") if right or bottom else x

    return lambda a, b: distance(padded(a), padded(b))


def lpips_distance(device: torch.device) -> Distance | None:
    """LPIPS (VGG) of two batches (N, 3, H, W) in -1…1, if the package and the weights of its network are here."""
    if not vgg_weights().is_file():
        return None
    try:
        import lpips
    except ImportError:
        return None
    network = lpips.LPIPS(net="vgg", verbose=False).to(device).eval().requires_grad_(False)
    return _at_least(VGG_LEAST, lambda a, b: network(a, b).flatten(1).mean(1))
