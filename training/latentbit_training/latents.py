"""Encodes a cache once with a frozen VAE, for the tokenizer's first phase.

    latentbit-train latents --cache runs/cache --vae runs/vae/vae.pt --out runs/latents

Whole pictures and clips are encoded, so that their latents are those that the product computes: only the edges of a
picture see the padding of the convolutions, not those of each crop.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .bundle import STORAGES, round_weights
from .config import VaeConfig
from .data import Clip, Draw, Drawer, load, rendered, to_unit
from .loop import autocast
from .options import Parser
from .ranks import device_of
from .vae import WanVae
from .warm import VAE_HELP, read_part


def frozen(path: Path, storage: str) -> WanVae:
    """The VAE of a run, of a bundle or of official weights, with its weights as they will be stored."""
    config, state, _ = read_part(path, VaeConfig)
    # Large VAEs exist once in memory, and no time is spent on initial weights.
    with torch.device("meta"):
        vae = WanVae(config)
    vae.load_state_dict(state, assign=True)
    round_weights(vae, storage)
    return vae.eval().requires_grad_(False)


def aligned(frames: np.ndarray, strides: tuple[int, int, int]) -> np.ndarray:
    """The part of (T, H, W, 3) frames that fills whole latent positions."""
    (t, h, w, _), (st, sh, sw) = frames.shape, strides
    return frames[: 1 + (t - 1) // st * st, : h // sh * sh, : w // sw * sw]


@torch.no_grad()
def build(cache: Path, vae: WanVae, out: Path, seed: int = 1) -> None:
    """Writes normalised latents (T', h, w, C) as f16, half of them of the mirrored frames, beside an index."""
    rng = np.random.default_rng(seed)
    device = next(vae.parameters()).device
    out.mkdir(parents=True, exist_ok=True)
    entries = json.loads((cache / "cache.json").read_text())
    index: dict[str, list[dict[str, Any]]] = {"images": [], "videos": []}
    for kind in index:
        offset = 0
        with open(out / f"{kind}.bin", "wb") as sink:
            for entry, clip in zip(entries[kind], load(cache, kind), strict=True):
                frames = aligned(clip.frames, vae.config.strides)
                if frames.size == 0:
                    continue
                video = to_unit(frames[:, :, ::-1] if rng.random() < 0.5 else frames)[None].to(device)
                with autocast(device):
                    latent = vae.normalize(vae.encode(video).float())[0]
                values = latent.permute(1, 2, 3, 0).cpu().numpy().astype(np.float16)
                sink.write(values.tobytes())
                index[kind].append({**entry, "offset": offset, "shape": list(values.shape)})
                offset += values.size
        print(f"{kind}: {len(index[kind])} files, {offset * 2 / 1e9:.2f} GB")
    (out / "cache.json").write_text(json.dumps(index))


@torch.no_grad()
def sensitivity(vae: WanVae, latent: Tensor, step: float = 0.3) -> Tensor:
    """How much each channel of a normalised latent (B, C, T, H, W) matters in pixels: (1, C, 1, 1, 1).

    The squared error of pixels (-1…1) for each unit of squared error of one channel alone, found by a small random
    change of it. The sum over channels of squared errors weighed by it stands for the error of pixels, without a pass
    through the decoder in each step.
    """
    generator = torch.Generator(device="cpu").manual_seed(0)
    before = vae.decode(vae.denormalize(latent))
    errors = []
    for channel in range(latent.shape[1]):
        changed = latent.clone()
        noise = torch.randn(latent[:, channel].shape, generator=generator).to(latent.device)
        changed[:, channel] += step * noise
        errors.append((vae.decode(vae.denormalize(changed)) - before).square().mean())
    return (torch.stack(errors) / step**2).view(1, -1, 1, 1, 1)


class LatentSampler(Drawer):
    """Draws chunks of latents, (count, C, T', side, side)."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed, np.float16)

    def _crop(self, clip: Clip, start: int, length: int, side: int) -> Draw | None:
        t, h, w, _ = clip.frames.shape
        if t < start + length or min(h, w) < side:
            return None
        y, x = self.rng.integers(h - side + 1), self.rng.integers(w - side + 1)

        def crop() -> Tensor:
            part = np.array(clip.frames[start : start + length, y : y + side, x : x + side])
            return torch.from_numpy(part).float().permute(3, 0, 1, 2)

        return crop

    def _batch(self, kind: str, clips: list[Clip], count: int, length: int, side: int) -> list[Draw]:
        found: list[Draw] = []
        for _ in range(100 * count):
            clip = self._pick(kind, clips)
            # Chunks begin at whole multiples, as those of the pipeline do.
            start = length * int(self.rng.integers(max(1, clip.frames.shape[0] // length)))
            crop = self._crop(clip, start, length, side)
            if crop is not None:
                found.append(crop)
            if len(found) == count:
                return found
        raise ValueError(f"hardly a file has {length} latent frames of {side}x{side}: take a smaller size")

    def images(self, count: int, side: int) -> list[Draw]:
        """Chunks of one latent frame, `side` latent positions high and wide."""
        return self._batch("i", self.pictures, count, 1, side)

    def clips(self, count: int, length: int, side: int) -> list[Draw]:
        """Chunks of `length` latent frames."""
        return self._batch("v", self.videos, count, length, side)

    def image_batch(self, count: int, side: int) -> Tensor:
        """`images` as (count, C, 1, side, side)."""
        return rendered(self.images(count, side))

    def clip_batch(self, count: int, length: int, side: int) -> Tensor:
        """`clips` as (count, C, length, side, side)."""
        return rendered(self.clips(count, length, side))


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    p = Parser("latents", __doc__)
    p.add_argument("--cache", type=Path, required=True, help="folder made by latentbit-train cache")
    p.add_argument("--vae", type=Path, required=True, help=VAE_HELP)
    p.add_argument("--out", type=Path, required=True, help="folder for the latents")
    p.add_argument("--storage", choices=STORAGES, default="int8", help="how the VAE's weights will be stored")
    p.add_argument("--device", default="auto")
    p.add_argument("--threads", type=int, default=1)
    args = p.parse_args(argv)
    torch.set_num_threads(args.threads)
    build(args.cache, frozen(args.vae, args.storage).to(device_of(args.device)), args.out)
