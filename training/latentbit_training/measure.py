"""Measures a bundle on whole files, as `latentbit eval` does: PSNR, SSIM, MS-SSIM, of its tokens and of its VAE alone.

    latentbit-train evaluate --bundle models/my-bundle.safetensors VAL
    latentbit-train evaluate --vae Wan2.1_VAE.pth --tokenizer runs/wan-small/tokenizer.pt VAL --bits 18 36

VAL is a file or a folder with images and videos. Clips are coded in groups of 8 chunks from their start, which is what
`latentbit encode --bits N --no-scene-cuts` does. LPIPS is added where the package `lpips` finds its weights on this
machine; there is no rFVD, for want of its network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .bundle import STORAGES, round_weights
from .cache import IMAGES, VIDEOS, read_image, read_video
from .config import TokenizerConfig
from .data import to_unit
from .evaluate import through_tokens
from .latents import frozen
from .loop import PRECISIONS, autocast
from .metrics import Meter
from .options import Parser
from .perceptual import lpips_distance
from .ranks import device_of
from .tokenizer import Tokenizer
from .train_decoder import read_decoder
from .vae import WanVae
from .warm import VAE_HELP, read_part

CHUNKS = 8
"""Of a group, as in `latentbit encode`."""


def filled(frames: Tensor, strides: tuple[int, int, int]) -> Tensor:
    """Frames (1, 3, T, H, W) whose edges are repeated until they fill whole latent positions."""
    t, h, w = frames.shape[2:]
    (st, sh, sw) = strides
    after = (-w % sw, -h % sh, -(t - 1) % st)
    return F.pad(frames, (0, after[0], 0, after[1], 0, after[2]), mode="replicate")


@torch.no_grad()
def decoded(vae: WanVae, tokenizer: Tokenizer | None, frames: Tensor, rates: list[int], chunk: int,
            precision: str = "auto") -> Iterator[tuple[str, slice, Tensor]]:
    """What comes out for frames (3, T, H, W), group by group: `vae` or the bits of a token, which frames, and these."""
    t, h, w = frames.shape[1:]
    length = 1 + vae.config.strides[0] * (chunk * CHUNKS - 1)
    for start in range(0, t, length):
        part = frames[None, :, start : start + length]
        place = slice(start, start + part.shape[2])
        with autocast(frames.device, precision):
            latent = vae.normalize(vae.encode(filled(part, vae.config.strides)))
            latents = {"vae": latent}
            if tokenizer is not None:
                latents |= {str(kept): through_tokens(tokenizer, latent, kept) for kept in rates}
            for name, values in latents.items():
                out = vae.decode(vae.denormalize(values))[0, :, : part.shape[2], :h, :w]
                yield name, place, out


def files_of(place: Path) -> list[Path]:
    """The images and videos of a folder, or the file."""
    if place.is_file():
        return [place]
    return sorted(p for p in place.rglob("*") if p.suffix.lower() in IMAGES | VIDEOS)


def main(argv: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Command line; means over files by `vae` and bits."""
    p = Parser("evaluate", __doc__)
    p.add_argument("data", type=Path, help="image or video, or a folder of them")
    p.add_argument("--bundle", type=Path, help="bundle whose VAE and tokenizer to measure")
    p.add_argument("--vae", type=Path, help=f"instead of the bundle's: {VAE_HELP}")
    p.add_argument("--tokenizer", type=Path, help="tokenizer.pt or a bundle, instead of that of --bundle")
    p.add_argument("--decoder", type=Path, help="decoder.pt of latentbit-train decoder, instead of the VAE's decoder")
    p.add_argument("--bits", type=int, nargs="+", default=[], metavar="N",
                   help="how many bits of a token to keep; half of them and all by default")
    p.add_argument("--storage", choices=STORAGES, default="f32", help="how the VAE's weights will be stored")
    p.add_argument("--frames", type=int, default=1 << 30, help="frames of a clip at most")
    p.add_argument("--limit", type=int, default=10_000, help="files at most")
    p.add_argument("--json", type=Path, help="write the figures of each file, and the means, here")
    p.add_argument("--precision", choices=PRECISIONS, default="f32", help="of what gains from bf16")
    p.add_argument("--device", default="auto", help="cpu, cuda, or auto: a GPU if there is one")
    p.add_argument("--threads", type=int, default=1, help="on a CPU")
    args = p.parse_args(argv)
    torch.set_num_threads(args.threads)
    device = device_of(args.device)
    if not (args.vae or args.bundle):
        p.error("--bundle is missing, or --vae")
    vae = frozen(args.vae or args.bundle, args.storage)
    tokenizer, chunk = None, TokenizerConfig().chunk_latent_frames
    if args.tokenizer or args.bundle:
        config, state, _ = read_part(args.tokenizer or args.bundle, TokenizerConfig)
        tokenizer, chunk = Tokenizer(config).to(device).eval().requires_grad_(False), config.chunk_latent_frames
        tokenizer.load_state_dict(state)
    if args.decoder:
        decoder, _ = read_decoder(args.decoder, vae, tokenizer.state_dict() if tokenizer else None)
        round_weights(decoder, args.storage)
        decoder.requires_grad_(False).put_into(vae)
    vae = vae.to(device)
    rates = args.bits or ([max(1, tokenizer.config.bits // 2), tokenizer.config.bits] if tokenizer else [])
    lpips = lpips_distance(device)
    found: dict[str, dict[str, dict[str, float]]] = {}
    files = files_of(args.data)[: args.limit]
    if not files:
        raise ValueError(f"{args.data} has neither images nor videos")
    for path in files:
        pixels = read_image(path, None) if path.suffix.lower() in IMAGES else read_video(path, None, args.frames)
        frames = to_unit(pixels).to(device)
        meters: dict[str, Meter] = {}
        for name, place, out in decoded(vae, tokenizer, frames, rates, chunk, args.precision):
            meters.setdefault(name, Meter(lpips)).add(frames[:, place], out)
        found[str(path)] = {name: meter.report for name, meter in meters.items()}
        print(json.dumps({"file": str(path), **_rounded(found[str(path)])}), flush=True)
    means = _means(list(found.values()))
    print(table(means))
    if args.json:
        args.json.write_text(json.dumps({"files": found, "means": means}, indent=1) + "\n")
    return means


def _rounded(report: dict[str, dict[str, float]]) -> dict[str, Any]:
    return {name: {key: round(value, 4) for key, value in values.items()} for name, values in report.items()}


def _means(reports: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Over files, of what each of them has."""
    means: dict[str, dict[str, float]] = {}
    for name in reports[0]:
        for key in {key: None for report in reports for key in report[name]}:
            values = [report[name][key] for report in reports if key in report[name]]
            means.setdefault(name, {})[key] = sum(values) / len(values)
    return means


def table(means: dict[str, dict[str, float]]) -> str:
    """Markdown: a row for the VAE alone and for each number of bits."""
    names = list({key: None for values in means.values() for key in values})
    rows = [f"| | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for name, values in means.items():
        label = "VAE alone" if name == "vae" else f"{name} bits"
        rows.append(f"| {label} | {' | '.join(f'{values[key]:.4f}' if key in values else '-' for key in names)} |")
    return "\n".join(rows)
