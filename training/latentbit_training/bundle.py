"""Bundles on disk: one safetensors file whose metadata holds the config.

Matrices and kernels may be stored as int8 with one scale for each output channel (`NAME` and `NAME.scale`):
the weight is the integer times the scale.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .config import BundleConfig
from .tokenizer import Tokenizer
from .vae import WanVae

STORAGES = ("int8", "bf16", "f16", "f32")
HALVES = {"bf16": torch.bfloat16, "f16": torch.float16}


def pack_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rounds (out, ...) to int8 with a scale for each output channel."""
    flat = weight.detach().float().flatten(1)
    scale = flat.abs().amax(1).clamp_min(1e-12) / 127
    return (flat / scale[:, None]).round().clamp(-127, 127).to(torch.int8).view(weight.shape), scale


def round_weights(module: nn.Module, storage: str = "int8") -> None:
    """Replaces every matrix by what storage will make of it."""
    for parameter in module.parameters():
        if parameter.ndim > 1 and storage == "int8":
            packed, scale = pack_int8(parameter)
            parameter.data = (packed.float() * scale.view(-1, *[1] * (packed.ndim - 1))).to(parameter)
        elif parameter.ndim > 1 and storage in HALVES:
            parameter.data = parameter.data.to(HALVES[storage]).to(parameter)


def stored(prefix: str, module: nn.Module, storage: str) -> dict[str, Tensor]:
    """The tensors of a module as a file holds them; `storage` is one of `STORAGES` (vectors stay f32)."""
    tensors: dict[str, Tensor] = {}
    for name, value in module.state_dict().items():
        key, value = f"{prefix}.{name}", value.detach().cpu().float().contiguous()
        if value.ndim > 1 and storage == "int8":
            tensors[key], tensors[f"{key}.scale"] = pack_int8(value)
        elif value.ndim > 1 and storage in HALVES:
            tensors[key] = value.to(HALVES[storage])
            if not tensors[key].isfinite().all():
                raise ValueError(f"{key} has values that {storage} cannot hold")
        else:
            tensors[key] = value
    return {key: value.contiguous() for key, value in tensors.items()}


def restored(raw: dict[str, Tensor]) -> dict[str, Tensor]:
    """The way back of `stored`, in f32; names keep their prefix."""
    state = {}
    for name, value in raw.items():
        if name.endswith(".scale"):
            continue
        value = value.float()
        if (scale := raw.get(f"{name}.scale")) is not None:
            value = value * scale.view(-1, *[1] * (value.ndim - 1))
        state[name] = value
    return state


def save(path: Path, config: BundleConfig, vae: nn.Module, tokenizer: nn.Module | None, storage: str) -> None:
    """Writes a bundle; `storage` is one of `STORAGES` (vectors stay f32)."""
    tensors = stored("vae", vae, storage)
    if tokenizer:
        tensors |= stored("tokenizer", tokenizer, storage)
    save_file(tensors, str(path), metadata={"config": config.to_json()})


def is_bundle(path: Path) -> bool:
    """Whether a safetensors file has the config of a bundle."""
    with safe_open(str(path), "pt") as file:
        return "config" in (file.metadata() or {})


def config_of(path: Path) -> BundleConfig:
    """The config of a bundle."""
    if not is_bundle(path):
        raise ValueError(f"{path} is no bundle: it has no config")
    with safe_open(str(path), "pt") as file:
        return BundleConfig.from_json(file.metadata()["config"])


def tensors_of(path: Path) -> dict[str, Tensor]:
    """The tensors of a bundle as `stored` made them."""
    with safe_open(str(path), "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (the file is no mapping)


def load(path: Path) -> tuple[BundleConfig, WanVae, Tokenizer | None]:
    """Reads a bundle into f32 modules."""
    config = config_of(path)
    state = restored(tensors_of(path))
    vae = WanVae(config.vae)
    vae.load_state_dict({k.removeprefix("vae."): v for k, v in state.items() if k.startswith("vae.")})
    tokenizer = None
    if config.tokenizer:
        tokenizer = Tokenizer(config.tokenizer)
        tokens = {k.removeprefix("tokenizer."): v for k, v in state.items() if k.startswith("tokenizer.")}
        tokenizer.load_state_dict(tokens)
    return config, vae.eval(), tokenizer.eval() if tokenizer else None
