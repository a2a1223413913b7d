"""Encodes the clips of a cache to tokens once, for the predictor.

    latentbit-train tokens --cache runs/cache --bundle models/default.safetensors --out runs/tokens

A square crop of each clip is encoded as the product does it, chunk by chunk. Clips have groups of different lengths, so
that key chunks stand anywhere. The index is written every few clips: training can begin before the last one is there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from . import bundle
from .data import Clip, load, to_unit
from .loop import autocast
from .options import Parser
from .ranks import device_of
from .tokenizer import Tokenizer
from .vae import WanVae

Tokens = npt.NDArray[np.uint64]
INNER, CHUNK, GROUP = 0, 1, 2
"""What begins with a step in time: nothing, a chunk, or a group (and a chunk with it)."""


def pack(bits: Tensor) -> Tokens:
    """(..., D) booleans to integers, bit j from place j."""
    places = np.uint64(1) << np.arange(bits.shape[-1], dtype=np.uint64)
    packed: Tokens = np.where(bits.cpu().numpy(), places, np.uint64(0)).sum(-1, dtype=np.uint64)
    return packed


def unpack(tokens: Tokens, bits: int) -> Tensor:
    """The way back of `pack`, as floats of -1 and 1."""
    places = np.arange(bits, dtype=np.uint64)
    return torch.from_numpy((tokens[..., None] >> places & np.uint64(1)).astype(np.float32) * 2 - 1)


@dataclass(frozen=True)
class TokenClip:
    """Tokens (T, h, w) of a clip, what begins with each step, and how often the clip is drawn."""

    tokens: Tokens
    starts: tuple[int, ...]
    weight: float

    @property
    def chunks(self) -> list[range]:
        """The steps of each chunk."""
        begins = [t for t, start in enumerate(self.starts) if start != INNER]
        return [range(a, b) for a, b in zip(begins, [*begins[1:], len(self.starts)], strict=True)]


def load_tokens(folder: Path) -> list[TokenClip]:
    """The clips that `build` wrote."""
    index = json.loads((folder / "tokens.json").read_text())
    flat = np.fromfile(folder / "tokens.bin", np.uint64)
    clips = []
    for entry in index:
        count = int(np.prod(entry["shape"]))
        tokens = flat[entry["offset"] : entry["offset"] + count].reshape(entry["shape"])
        clips.append(TokenClip(tokens, tuple(entry["starts"]), entry["weight"]))
    return clips


def groups(frames: int, stride: int, chunk: int, chunks_per_group: int) -> Iterator[range]:
    """The frames of each group, whole steps only."""
    length = 1 + stride * (chunk * chunks_per_group - 1)
    for first in range(0, frames, length):
        count = min(length, frames - first)
        yield range(first, first + 1 + (count - 1) // stride * stride)


@torch.no_grad()
def encode(vae: WanVae, tokenizer: Tokenizer, frames: Tensor, chunks_per_group: int) -> tuple[Tokens, list[int]]:
    """The tokens (T, h, w) of (3, T, H, W) frames in -1…1, and what begins with each step."""
    chunk, patch = tokenizer.config.chunk_latent_frames, tokenizer.config.patch[0]
    parts, starts = [], []
    for group in groups(frames.shape[1], vae.config.strides[0], chunk, chunks_per_group):
        with autocast(frames.device):
            latent = vae.normalize(vae.encode(frames[None, :, group.start : group.stop]).float())
        for index, part in enumerate(latent.split(chunk, dim=2)):
            bits, grid = tokenizer.bits(part)
            parts.append(pack(bits[0]).reshape(grid))
            starts += [GROUP if index == 0 else CHUNK] + [INNER] * (-(-part.shape[2] // patch) - 1)
    return np.concatenate(parts), starts


def crop(clip: Clip, size: int, rng: np.random.Generator) -> Tensor:
    """(3, T, size, size): a square at a random place and scale, half of the time mirrored in space or time."""
    frames = to_unit(clip.frames)
    short = min(frames.shape[2:])
    scale = float(rng.uniform(size, max(size, short))) / short
    if scale != 1.0:
        goal = [max(size, round(side * scale)) for side in frames.shape[2:]]
        frames = F.interpolate(frames.transpose(0, 1), goal, mode="bilinear", antialias=True).transpose(0, 1)
    y, x = (int(rng.integers(side - size + 1)) for side in frames.shape[2:])
    frames = frames[:, :, y : y + size, x : x + size]
    flips = [axis for axis in (1, 3) if rng.random() < 0.5]
    return frames.flip(flips) if flips else frames


def build(cache: Path, model: Path, out: Path, *, size: int = 128, crops: int = 1, seed: int = 1,
          device: torch.device | None = None, every: int = 40) -> None:
    """Writes `tokens.bin` and, every so many clips, `tokens.json`."""
    config, vae, tokenizer = bundle.load(model)
    if tokenizer is None:
        raise ValueError(f"{model} has no tokenizer")
    device = device or torch.device("cpu")
    vae, tokenizer = vae.to(device), tokenizer.to(device)
    rng = np.random.default_rng(seed)
    out.mkdir(parents=True, exist_ok=True)
    clips, index, offset = load(cache, "videos"), [], 0
    with open(out / "tokens.bin", "wb") as sink:
        for _ in range(crops):
            for place in rng.permutation(len(clips)):
                clip = clips[place]
                if len(clip.frames) <= config.vae.strides[0]:
                    continue
                frames = crop(clip, size, rng).to(device)
                tokens, starts = encode(vae, tokenizer, frames, int(rng.choice([1, 2, 8], p=[0.2, 0.2, 0.6])))
                sink.write(tokens.tobytes())
                index.append({"offset": offset, "shape": tokens.shape, "starts": starts, "weight": clip.weight})
                offset += tokens.size
                if len(index) % every == 0:
                    save_index(out, sink.flush, index)
        save_index(out, sink.flush, index)
    print(f"{len(index)} clips, {offset} tokens")


def save_index(out: Path, flush: object, index: list[dict[str, object]]) -> None:
    """Writes the index whole or not at all, after what it speaks of."""
    assert callable(flush)
    flush()
    (out / "tokens.tmp").write_text(json.dumps(index))
    os.replace(out / "tokens.tmp", out / "tokens.json")


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    p = Parser("tokens", __doc__)
    p.add_argument("--cache", type=Path, required=True, help="folder made by latentbit-train cache")
    p.add_argument("--bundle", type=Path, required=True, help="the bundle whose tokens are to be predicted")
    p.add_argument("--out", type=Path, required=True, help="folder for the tokens")
    p.add_argument("--size", type=int, default=128, help="side of the crops, pixels")
    p.add_argument("--crops", type=int, default=1, help="crops of each clip")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--device", default="auto")
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args(argv)
    torch.set_num_threads(args.threads)
    build(args.cache, args.bundle, args.out, size=args.size, crops=args.crops, seed=args.seed,
          device=device_of(args.device))
