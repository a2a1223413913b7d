"""Warm starts: weights of an earlier run or of a bundle as the beginning of a new run."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from . import bundle, official
from .config import TokenizerConfig, VaeConfig
from .tokenizer import Tokenizer
from .vae import AttentionBlock, Downsample, DownStage, ResidualBlock, Upsample, UpStage, WanVae

Config = TypeVar("Config", VaeConfig, TokenizerConfig)
State = dict[str, Tensor]
Past = dict[str, float]
"""Steps and minutes of training."""
VAE_HELP = "vae.pt of train_vae, a bundle, Wan2.1_VAE.pth, Wan2.2_VAE.pth, or a diffusers folder"


def past_of(stored: dict[str, Any]) -> Past:
    """How long the weights of a weights file were trained, in its own run and in those before."""
    before = stored.get("before", {})
    return {"steps": stored["step"] + before.get("steps", 0), "minutes": stored["minutes"] + before.get("minutes", 0.0)}


def read_part(path: Path, kind: type[Config]) -> tuple[Config, State, Past]:
    """Configuration, weights and past of one part of a bundle, or of a weights file of the recipe (`.pt`).

    A VAE may be an official one, too: a checkpoint (`.pth`), or a folder of diffusers or the weights in one. Of those
    no past is known.
    """
    found: Any
    past: Past = {}
    if not path.exists():
        raise FileNotFoundError(f"no such file or folder: {path}")
    if kind is VaeConfig and official.is_official(path):
        found, state = official.read(path)
    elif path.suffix == ".pt":
        stored = torch.load(path, map_location="cpu", weights_only=False)
        if not isinstance(stored, dict) or not {"config", "state"} <= stored.keys():
            raise ValueError(f"{path} is no weights file: take vae.pt or tokenizer.pt of a run, or a bundle")
        found, state, past = stored["config"], stored["state"], past_of(stored)
    else:
        whole, vae, tokenizer = bundle.load(path)
        label, module = ("vae", vae) if kind is VaeConfig else ("tokenizer", tokenizer)
        if module is None:
            raise ValueError(f"{path} holds no tokenizer")
        found, state, past = module.config, module.state_dict(), whole.training.get(label, {})
    if not isinstance(found, kind):
        raise ValueError(f"{path} holds a {type(found).__name__}, not a {kind.__name__}")
    return found, state, past


def _same(path: Path, old: Any, new: Any, where: str, apart: tuple[str, ...]) -> None:
    """Refuses configurations that differ in anything but the fields `apart`."""
    for item in fields(new):
        before, after = getattr(old, item.name), getattr(new, item.name)
        if item.name not in apart and before != after:
            raise ValueError(f"{path} does not fit: {where}{item.name} is {before} there and {after} here")


def _places(layers: nn.ModuleList) -> list[list[int]]:
    """Indices of the residual blocks between resampling layers, and of each resampling layer alone."""
    groups: list[list[int]] = [[]]
    for index, layer in enumerate(layers):
        if isinstance(layer, (Downsample, Upsample)):
            groups += [[index], []]
        else:
            groups[-1].append(index)
    return groups


def _lists(vae: WanVae) -> list[tuple[str, nn.ModuleList]]:
    """The lists of blocks and resampling layers by name: one for each half, with shortcuts one for each stage."""
    halves = [("encoder.downsamples", vae.encoder.downsamples), ("decoder.upsamples", vae.decoder.upsamples)]
    if not vae.config.shortcuts:
        return halves
    found = []
    for prefix, stages in halves:
        for index, stage in enumerate(stages):
            assert isinstance(stage, (DownStage, UpStage))
            inner = "downsamples" if isinstance(stage, DownStage) else "upsamples"
            layers = stage.get_submodule(inner)
            assert isinstance(layers, nn.ModuleList)
            found.append((f"{prefix}.{index}.{inner}", layers))
    return found


def _lengthened(old: Tensor, new: Tensor) -> Tensor:
    """Kernels that see as much of the past as those of `new`: what they did not see before weighs nothing."""
    if old.ndim != 5 or old.shape == new.shape:
        return old
    return torch.cat([old.new_zeros(*old.shape[:2], new.shape[2] - old.shape[2], *old.shape[3:]), old], dim=2)


def _grow(old: nn.ModuleList, new: nn.ModuleList, prefix: str, source: State, target: State) -> None:
    """Copies layers to their new places; a block that is new adds nothing to its input at first."""
    for before, after in zip(_places(old), _places(new), strict=True):
        for source_index, target_index in zip(before, after, strict=False):
            start = f"{prefix}.{source_index}."
            for name in [key for key in source if key.startswith(start)]:
                place = f"{prefix}.{target_index}.{name.removeprefix(start)}"
                target[place] = _lengthened(source[name], target[place])
        for index in after[len(before) :]:
            block = new[index]
            if not isinstance(block, ResidualBlock) or not isinstance(block.shortcut, nn.Identity):
                raise ValueError(f"the new block {prefix}.{index} changes the channels: it cannot start as nothing")
            for name in ("weight", "bias"):
                key = f"{prefix}.{index}.residual.6.{name}"
                target[key] = torch.zeros_like(target[key])


def _with_more_channels(source: State, fresh: State) -> State:
    """The weights around the latent with channels added behind those that are there.

    The encoder fills new channels as a fresh model would; the decoder does not look at them yet.
    """
    widened = dict(source)
    for name in ("encoder.head.2.weight", "encoder.head.2.bias", "conv1.weight", "conv1.bias", "conv2.weight",
                 "conv2.bias", "decoder.conv1.weight"):
        old, new = source[name], fresh[name].clone()
        rows = old.shape[0]
        if name == "decoder.conv1.weight":
            new.zero_()
            new[:, : old.shape[1]] = old
        elif name.startswith(("conv1.weight", "conv2.weight")):
            new[:rows, rows:] = 0
            new[rows:, :rows] = 0
            new[:rows, :rows] = old
        else:
            new[:rows] = old
        widened[name] = new
    return widened


def warm_start_vae(model: WanVae, path: Path) -> Past:
    """Gives a VAE the weights of `path` and returns their past.

    Some stages may have more residual blocks than those of `path`, and kernels that reach further into the past; a
    middle may be put where there was none; the latent may have more channels, if its encoder gives no moments. New
    blocks come last in their stage and have a zero second convolution, new attention a zero projection, new taps and
    what the decoder makes of new channels are zero, so the network computes what that of `path` computes.
    """
    config, source, past = read_part(path, VaeConfig)
    middle = () if config.mid_blocks else ("mid_blocks", "mid_attention")
    wider = model.config.latent_channels > config.latent_channels and not config.moments
    channels = ("latent_channels",) if wider else ()
    _same(path, config, model.config, "", ("stages", "latent_mean", "latent_std", *middle, *channels))
    if wider:
        source = _with_more_channels(source, model.state_dict())
    if len(config.stages) != len(model.config.stages):
        raise ValueError(f"{path} does not fit: it has {len(config.stages)} stages, not {len(model.config.stages)}")
    blocks = ("encoder_blocks", "decoder_blocks")
    for index, (old, new) in enumerate(zip(config.stages, model.config.stages, strict=True)):
        _same(path, old, new, f"stage {index}: ", (*blocks, "kernels"))
        for before, after in zip(old.kernels, new.kernels, strict=True):
            if before[0] > after[0] or before[1:] != after[1:]:
                raise ValueError(f"{path} does not fit: stage {index} has kernels of {before} there and {after} here")
        for name in blocks:
            if getattr(new, name) < getattr(old, name):
                raise ValueError(f"{path} does not fit: stage {index} has {getattr(old, name)} {name} there and only "
                                 f"{getattr(new, name)} here")
    earlier = WanVae(config)
    target = model.state_dict()
    moved = ("encoder.downsamples.", "decoder.upsamples.")
    kept = {name: value for name, value in source.items() if not name.startswith(moved)}
    target |= {name: _lengthened(value, target[name]) for name, value in kept.items()}
    for (prefix, old_layers), (_, new_layers) in zip(_lists(earlier), _lists(model), strict=True):
        _grow(old_layers, new_layers, prefix, source, target)
    model.load_state_dict(target)
    if middle:
        for layer in (*model.encoder.middle, *model.decoder.middle):
            last = layer.proj if isinstance(layer, AttentionBlock) else layer.get_submodule("residual.6")
            for values in last.parameters():
                nn.init.zeros_(values)
    return past


def warm_start_tokenizer(model: Tokenizer, path: Path) -> Past:
    """Gives a tokenizer the weights of `path` and returns their past; what needs no weights (windows) may differ.

    A tokenizer of fewer bits takes the leading bit-planes, which are the most important ones. A depth head may be
    added, dropped, or have other depths; what is new of it starts as in a fresh tokenizer.
    """
    stored, source, past = read_part(path, TokenizerConfig)
    free = ("window", "shift", "rope_theta", "quantizer", "chunk_latent_frames", "bits", "depth_step")
    _same(path, stored, model.config, "", free)
    bits = model.config.bits
    if bits > stored.bits:
        raise ValueError(f"{path} does not fit: bits is {stored.bits} there and {bits} here")
    planes = {name: source[name][:bits] for name in ("encoder.head.weight", "encoder.head.bias")}
    # An estimate is worth keeping where it is about the same depth.
    fresh = {name: value.clone() for name, value in model.state_dict().items() if name.startswith("depth_head.")}
    places = [stored.depths.index(depth) if stored.depth_step and depth in stored.depths else None
              for depth in model.config.depths]
    for name, value in fresh.items():
        for row, place in enumerate(places):
            if place is not None:
                value[row] = source[name][place]
    kept = {name: value for name, value in source.items() if not name.startswith("depth_head.")}
    embed = {"decoder.embed.weight": source["decoder.embed.weight"][:, :bits]}
    model.load_state_dict({**kept, **planes, **embed, **fresh})
    return past


def with_blocks(
    config: VaeConfig, encoder: list[int] | None, decoder: list[int] | None, times: list[int] | None = None
) -> VaeConfig:
    """The configuration with other numbers of residual blocks, stage by stage.

    `times` are the temporal extents of the first kernel of a stage's blocks.
    """
    stages = config.stages
    encoder = [stage.encoder_blocks for stage in stages] if encoder is None else encoder
    decoder = [stage.decoder_blocks for stage in stages] if decoder is None else decoder
    times = [stage.kernels[0][0] for stage in stages] if times is None else times
    for counts, least in ((encoder, 0), (decoder, 0), (times, 1)):
        if len(counts) != len(stages) or min(counts) < least:
            raise ValueError(f"{counts}: {len(stages)} numbers of at least {least} are needed, one for each stage")
    changed = [
        replace(stage, encoder_blocks=e, decoder_blocks=d, kernels=((t, *stage.kernels[0][1:]), stage.kernels[1]))
        for stage, e, d, t in zip(stages, encoder, decoder, times, strict=True)
    ]
    return replace(config, stages=tuple(changed))
