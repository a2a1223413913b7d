"""Warm starts: weights of an earlier run or of a bundle as the beginning of a new run."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from . import bundle
from .config import TokenizerConfig, VaeConfig
from .tokenizer import Tokenizer
from .vae import Downsample, ResidualBlock, Upsample, WanVae

Config = TypeVar("Config", VaeConfig, TokenizerConfig)
State = dict[str, Tensor]
Past = dict[str, float]
"""Steps and minutes of training."""


def past_of(stored: dict[str, Any]) -> Past:
    """How long the weights of a weights file were trained, in its own run and in those before."""
    before = stored.get("before", {})
    return {"steps": stored["step"] + before.get("steps", 0), "minutes": stored["minutes"] + before.get("minutes", 0.0)}


def _read(path: Path, kind: type[Config]) -> tuple[Config, State, Past]:
    """Configuration, weights and past of one part of a bundle, or of a weights file of the recipe (`.pt`)."""
    if path.suffix == ".pt":
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


def _grow(old: nn.ModuleList, new: nn.ModuleList, prefix: str, source: State, target: State) -> None:
    """Copies layers to their new places; a block that is new adds nothing to its input at first."""
    for before, after in zip(_places(old), _places(new), strict=True):
        for source_index, target_index in zip(before, after, strict=False):
            start = f"{prefix}.{source_index}."
            for name in [key for key in source if key.startswith(start)]:
                target[f"{prefix}.{target_index}.{name.removeprefix(start)}"] = source[name]
        for index in after[len(before) :]:
            block = new[index]
            if not isinstance(block, ResidualBlock) or not isinstance(block.shortcut, nn.Identity):
                raise ValueError(f"the new block {prefix}.{index} changes the channels: it cannot start as nothing")
            for name in ("weight", "bias"):
                key = f"{prefix}.{index}.residual.6.{name}"
                target[key] = torch.zeros_like(target[key])


def warm_start_vae(model: WanVae, path: Path) -> Past:
    """Gives a VAE the weights of `path`, which may have fewer residual blocks in some stages, and returns their past.

    Blocks that are new come last in their stage and have a zero second convolution, so the network computes what
    that of `path` computes.
    """
    config, source, past = _read(path, VaeConfig)
    _same(path, config, model.config, "", ("stages", "latent_mean", "latent_std"))
    if len(config.stages) != len(model.config.stages):
        raise ValueError(f"{path} does not fit: it has {len(config.stages)} stages, not {len(model.config.stages)}")
    blocks = ("encoder_blocks", "decoder_blocks")
    for index, (old, new) in enumerate(zip(config.stages, model.config.stages, strict=True)):
        _same(path, old, new, f"stage {index}: ", blocks)
        for name in blocks:
            if getattr(new, name) < getattr(old, name):
                raise ValueError(f"{path} does not fit: stage {index} has {getattr(old, name)} {name} there and only "
                                 f"{getattr(new, name)} here")
    before = WanVae(config)
    target = model.state_dict()
    moved = ("encoder.downsamples.", "decoder.upsamples.")
    target |= {name: value for name, value in source.items() if not name.startswith(moved)}
    _grow(before.encoder.downsamples, model.encoder.downsamples, "encoder.downsamples", source, target)
    _grow(before.decoder.upsamples, model.decoder.upsamples, "decoder.upsamples", source, target)
    model.load_state_dict(target)
    return past


def warm_start_tokenizer(model: Tokenizer, path: Path) -> Past:
    """Gives a tokenizer the weights of `path` and returns their past; what needs no weights (windows) may differ."""
    stored, source, past = _read(path, TokenizerConfig)
    free = ("window", "shift", "rope_theta", "quantizer", "chunk_latent_frames")
    _same(path, stored, model.config, "", free)
    model.load_state_dict(source)
    return past


def with_blocks(config: VaeConfig, encoder: list[int] | None, decoder: list[int] | None) -> VaeConfig:
    """The configuration with other numbers of residual blocks, stage by stage."""
    stages = config.stages
    encoder = [stage.encoder_blocks for stage in stages] if encoder is None else encoder
    decoder = [stage.decoder_blocks for stage in stages] if decoder is None else decoder
    for counts in (encoder, decoder):
        if len(counts) != len(stages) or min(counts) < 0:
            raise ValueError(f"{counts}: {len(stages)} numbers of blocks are needed, one for each stage")
    counted = zip(stages, encoder, decoder, strict=True)
    return replace(config, stages=tuple(replace(s, encoder_blocks=e, decoder_blocks=d) for s, e, d in counted))
