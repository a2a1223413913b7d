"""The official weights of the Wan VAEs, as their makers publish them and as diffusers does.

The official checkpoints (`Wan2.1_VAE.pth`, `Wan2.2_VAE.pth`) name their tensors as `vae.py` does. They hold no
configuration: it follows from names and shapes. A diffusers folder has `config.json` beside the weights and names of
its own. Gains of norms have trailing axes of one in both.
"""

from __future__ import annotations

import json
import math
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from . import bundle
from .config import WAN21_MEAN, WAN21_STD, WAN22_MEAN, WAN22_STD, VaeConfig, wan
from .vae import WanVae

State = dict[str, Tensor]
CONFIG_FILE, WEIGHTS_FILE = "config.json", "diffusion_pytorch_model.safetensors"
CLASS = "AutoencoderKLWan"
LISTED = 12
"""Names that an error lists of each kind."""


def expected_shapes(config: VaeConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights of a `WanVae`."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in WanVae(config).state_dict().items()}


def _listed(what: str, items: list[str]) -> list[str]:
    if not items:
        return []
    more = [f"and {len(items) - LISTED} more"] if len(items) > LISTED else []
    return [f"{len(items)} {what}: {', '.join([*items[:LISTED], *more])}"]


def fitted(source: Path, found: State, config: VaeConfig, names: dict[str, str]) -> State:
    """The weights in f32 under our names, once all are there, no other is, and all have the right shapes.

    `names` gives for each of our names that of the file.
    """
    shapes = expected_shapes(config)
    state: State = {}
    missing, wrong = [], []
    for ours, shape in shapes.items():
        theirs = names[ours]
        value = found.get(theirs)
        if value is None:
            missing.append(theirs)
            continue
        # A gain of (C, 1, 1) or (C, 1, 1, 1).
        if len(shape) == 1 and value.shape[:1] == shape and value.numel() == shape[0]:
            value = value.reshape(shape)
        if tuple(value.shape) != shape:
            wrong.append(f"{theirs} is {tuple(value.shape)}, not {shape}")
            continue
        state[ours] = value.float().contiguous()
    known = {names[ours] for ours in shapes}
    surplus = [name for name in found if name not in known]
    problems = [*_listed("missing", missing), *_listed("not known", surplus), *_listed("of another shape", wrong)]
    if problems:
        raise ValueError(f"{source}: these weights do not fit the Wan VAE: {'; '.join(problems)}")
    return state


# --- The official checkpoint ---


def config_of(source: Path, found: State) -> VaeConfig:
    """The configuration that names and shapes of an official checkpoint tell.

    Mean and deviation of the latent are those of the official VAE with that many channels.
    """
    stem, head, latent = "encoder.conv1.weight", "decoder.head.0.gamma", "conv2.weight"
    absent = [name for name in (stem, head, latent) if name not in found]
    if absent or found[stem].ndim != 5:
        raise ValueError(f"{source} is no checkpoint of a Wan VAE: it lacks {', '.join(absent) or 'a 3D ' + stem}")
    shortcuts = any(name.startswith("encoder.downsamples.0.downsamples.") for name in found)
    base, inputs = found[stem].shape[:2]
    config = wan(base, found[head].shape[0], found[latent].shape[0], patch=math.isqrt(inputs // 3), shortcuts=shortcuts)
    for mean, std, nested in ((WAN21_MEAN, WAN21_STD, False), (WAN22_MEAN, WAN22_STD, True)):
        if (config.latent_channels, shortcuts) == (len(mean), nested):
            config = replace(config, latent_mean=mean, latent_std=std)
    return config


def read_checkpoint(path: Path) -> tuple[VaeConfig, State]:
    """Reads `Wan2.1_VAE.pth` or `Wan2.2_VAE.pth`; nothing in the file is run."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        # PyTorch goes on with advice to open it all the same.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} cannot be read as weights and nothing else: {reason}") from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{path} is no table of weights by name")
    config = config_of(path, found)
    return config, fitted(path, found, config, {name: name for name in expected_shapes(config)})


def checkpoint_state(state: State) -> State:
    """Our weights as an official checkpoint holds them."""
    return {name: _with_axes(name, value) for name, value in state.items()}


def _with_axes(name: str, value: Tensor) -> Tensor:
    """Gains as the official modules hold them: for (C, H, W) in attention, for (C, T, H, W) elsewhere."""
    if not name.endswith(".gamma"):
        return value
    return value.reshape(-1, *[1] * (2 if name.endswith(".norm.gamma") else 3))


def write_checkpoint(path: Path, vae: WanVae) -> None:
    """Writes a VAE in the official layout."""
    torch.save(checkpoint_state(vae.state_dict()), path)


# --- diffusers ---

_BLOCK = {"residual.0": "norm1", "residual.2": "conv1", "residual.3": "norm2", "residual.6": "conv2",
          "shortcut": "conv_shortcut"}
_MIDDLE = {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"}
_ENDS = {"encoder.conv1": "encoder.conv_in", "decoder.conv1": "decoder.conv_in", "conv1": "quant_conv",
         "conv2": "post_quant_conv"}


def diffusers_name(name: str, config: VaeConfig) -> str:
    """What diffusers calls one of our weights."""
    module, _, leaf = name.rpartition(".")
    if module in _ENDS:
        return f"{_ENDS[module]}.{leaf}"
    part, kind, *rest = module.split(".")
    if kind == "head":
        return f"{part}.{'norm_out' if rest == ['0'] else 'conv_out'}.{leaf}"
    if kind == "middle":
        return f"{part}.mid_block.{_MIDDLE[rest[0]]}.{_inner(rest[1:])}.{leaf}"
    return f"{part}.{_stage_layer(part, rest, config)}.{leaf}"


def _inner(rest: list[str]) -> str:
    """The name within a residual block, an attention block or a resampling layer."""
    inner = ".".join(rest)
    return _BLOCK.get(inner, inner)


def _stage_layer(part: str, rest: list[str], config: VaeConfig) -> str:
    """The place of a layer of `downsamples` or `upsamples`.

    With shortcuts both count by stages. Without, diffusers counts by stages in the decoder alone.
    """
    inner = _inner(rest[3:] if config.shortcuts else rest[1:])
    resampling = re.match(r"resample|time_conv", inner) is not None
    blocks = "down_blocks" if part == "encoder" else "up_blocks"
    if config.shortcuts:
        layer = f"{'down' if part == 'encoder' else 'up'}sampler" if resampling else f"resnets.{rest[2]}"
        return f"{blocks}.{rest[0]}.{layer}.{inner}"
    if part == "encoder":
        return f"{blocks}.{rest[0]}.{inner}"
    stage, index = 0, int(rest[0])
    for settings in reversed(config.stages):
        if index <= settings.decoder_blocks:
            break
        stage, index = stage + 1, index - settings.decoder_blocks - 1
    return f"{blocks}.{stage}.{'upsamplers.0' if resampling else f'resnets.{index}'}.{inner}"


def diffusers_config(config: VaeConfig) -> dict[str, Any]:
    """The `config.json` of a VAE; an error if diffusers has no such VAE."""
    stages = config.stages
    base, decoder_base = stages[0].channels, stages[0].channels_up
    _, stride, _ = config.strides
    raw: dict[str, Any] = {
        "_class_name": CLASS,
        "base_dim": base,
        "decoder_base_dim": None if decoder_base == base else decoder_base,
        "z_dim": config.latent_channels,
        "dim_mult": [stage.channels // base for stage in stages],
        "num_res_blocks": stages[0].encoder_blocks,
        "attn_scales": [],
        "temperal_downsample": [stage.down_time for stage in stages[:-1]],
        "dropout": 0.0,
        "latents_mean": list(config.latent_mean or [0.0] * config.latent_channels),
        "latents_std": list(config.latent_std or [1.0] * config.latent_channels),
        "is_residual": config.shortcuts,
        "in_channels": 3 * config.patch**2,
        "out_channels": 3 * config.patch**2,
        "patch_size": None if config.patch == 1 else config.patch,
        "scale_factor_temporal": config.strides[0],
        "scale_factor_spatial": stride,
    }
    mean, std = tuple(raw["latents_mean"]), tuple(raw["latents_std"])
    if config_from_diffusers(Path(CONFIG_FILE), raw) != replace(config, latent_mean=mean, latent_std=std):
        raise ValueError("diffusers has no VAE with this configuration")
    return raw


def config_from_diffusers(source: Path, raw: dict[str, Any]) -> VaeConfig:
    """The configuration that a `config.json` of diffusers tells; what it leaves out is as in Wan 2.1."""
    if raw.get("_class_name", CLASS) != CLASS:
        raise ValueError(f"{source} is of a {raw['_class_name']}, not of an {CLASS}")
    if raw.get("attn_scales"):
        raise ValueError(f"{source}: attention between the stages (attn_scales) is not supported")
    patch, channels = raw.get("patch_size") or 1, raw.get("z_dim", 16)
    for name in ("in_channels", "out_channels"):
        if raw.get(name, 3) != 3 * patch**2:
            raise ValueError(f"{source}: {name} is {raw.get(name, 3)}, but patches of {patch}x{patch} colours give "
                             f"{3 * patch**2}")
    mean, std = (tuple(raw.get(name, default)) for name, default in
                 (("latents_mean", WAN21_MEAN), ("latents_std", WAN21_STD)))
    if {len(mean), len(std)} != {channels}:
        raise ValueError(f"{source}: {len(mean)} latents_mean and {len(std)} latents_std for {channels} channels")
    config = wan(
        raw.get("base_dim", 96), raw.get("decoder_base_dim"), channels,
        multiples=tuple(raw.get("dim_mult", (1, 2, 4, 4))), blocks=raw.get("num_res_blocks", 2),
        halve_time=tuple(raw.get("temperal_downsample", (False, True, True))), patch=patch,
        shortcuts=raw.get("is_residual", False),
    )
    return replace(config, latent_mean=mean, latent_std=std)


def read_diffusers(path: Path) -> tuple[VaeConfig, State]:
    """Reads a folder of diffusers, of the VAE alone or of a whole pipeline, or the weights in one."""
    if path.suffix == ".safetensors":
        folder, weights = path.parent, path
    else:
        folder = path if (path / CONFIG_FILE).is_file() else path / "vae"
        weights = folder / WEIGHTS_FILE
    absent = [file.name for file in (folder / CONFIG_FILE, weights) if not file.is_file()]
    if absent:
        raise ValueError(f"{path} is no diffusers folder of a VAE: it lacks {' and '.join(absent)}")
    config = config_from_diffusers(folder / CONFIG_FILE, json.loads((folder / CONFIG_FILE).read_text()))
    names = {name: diffusers_name(name, config) for name in expected_shapes(config)}
    return config, fitted(weights, load_file(weights), config, names)


def write_diffusers(folder: Path, vae: WanVae) -> None:
    """Writes a VAE as a folder of diffusers."""
    raw = diffusers_config(vae.config)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(json.dumps(raw, indent=2) + "\n")
    state = checkpoint_state(vae.state_dict())
    save_file({diffusers_name(name, vae.config): value.contiguous() for name, value in state.items()},
              folder / WEIGHTS_FILE)


# --- Either ---


def is_official(path: Path) -> bool:
    """Whether `path` is to be read by `read`: what is neither a bundle nor of a run of the recipe."""
    if path.suffix == ".safetensors":
        return not bundle.is_bundle(path) and (path.parent / CONFIG_FILE).is_file()
    return path.suffix == ".pth" or path.is_dir()


def read(path: Path) -> tuple[VaeConfig, State]:
    """Configuration and weights of an official checkpoint or of a diffusers folder."""
    return read_checkpoint(path) if path.suffix == ".pth" else read_diffusers(path)
