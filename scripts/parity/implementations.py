"""The implementations compared with diffusers: the built command, or the training recipe's VAE."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from errors import relative_error
from latentbit_training import official
from latentbit_training.data import to_unit
from latentbit_training.vae import WanVae
from safetensors.torch import load_file, save_file

FPS = 25


class Ours(Protocol):
    """Encodes and decodes with the weights in a file or folder."""

    def encode(self, model: Path, clip: Path, height: int, width: int, out: Path) -> None:
        """Encodes raw rgb24 to the key `latents` of a safetensors file."""

    def decode(self, model: Path, latents: Path, out: Path) -> None:
        """Decodes the key `latents` to the key `frames`, within -1…1."""

    def check(self, ours: Path, reference: Path, error: float) -> None:
        """Raises an error if our own comparison of two files disagrees."""


class Command:
    """`latentbit latents`."""

    def __init__(self, binary: Path, options: list[str]) -> None:
        self.binary, self.options = binary, options

    def _run(self, *arguments: str | Path) -> str:
        command = [str(self.binary), "latents", *map(str, arguments)]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def encode(self, model: Path, clip: Path, height: int, width: int, out: Path) -> None:
        raw = f"{width}x{height}@{FPS}:rgb24"
        self._run("encode", clip, "--raw", raw, "--model", model, "-o", out, *self.options)

    def decode(self, model: Path, latents: Path, out: Path) -> None:
        self._run("decode", latents, "--model", model, "-o", out, *self.options)

    def check(self, ours: Path, reference: Path, error: float) -> None:
        said = json.loads(self._run("compare", ours, reference, "--json"))["max_relative_error"]
        # Both divide the same numbers, but not in the same precision.
        if abs(said - error) > 1e-3 * error + 1e-9:
            raise ValueError(f"latentbit latents compare reports {said:.3e} for {ours}, but it is {error:.3e}")


class Recipe:
    """The VAE of the training recipe, which takes a whole clip in one pass."""

    def __init__(self) -> None:
        self.loaded: tuple[Path, WanVae] | None = None

    def _vae(self, model: Path) -> WanVae:
        if self.loaded is None or self.loaded[0] != model:
            self.loaded = None
            config, state = official.read(model)
            with torch.device("meta"):
                vae = WanVae(config)
            vae.load_state_dict(state, assign=True)
            self.loaded = (model, vae.eval().requires_grad_(False))
        return self.loaded[1]

    @torch.no_grad()
    def encode(self, model: Path, clip: Path, height: int, width: int, out: Path) -> None:
        frames = np.fromfile(clip, np.uint8).reshape(-1, height, width, 3)
        save_file({"latents": self._vae(model).encode(to_unit(frames)[None]).contiguous()}, out)

    @torch.no_grad()
    def decode(self, model: Path, latents: Path, out: Path) -> None:
        frames = self._vae(model).decode(load_file(latents)["latents"])
        save_file({"frames": frames.clamp(-1, 1).contiguous()}, out)

    def check(self, ours: Path, reference: Path, error: float) -> None:
        del ours, reference, error


def compared(ours: Path, reference: Path, key: str, implementation: Ours) -> float:
    """The error of one tensor of two files."""
    error = relative_error(load_file(ours)[key], load_file(reference)[key])
    implementation.check(ours, reference, error)
    return error
