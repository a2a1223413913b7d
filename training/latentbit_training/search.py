"""Trains several VAEs with the same number of operations and compares them.

    latentbit-train search --configs training/configs/*.json --cache runs/cache --val VAL --tflop 300 \\
        --out runs/search

Other options go to train_vae. A run that is complete is not repeated, one that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import torch

from . import train_vae
from .config import VaeConfig, compact, vae_config, vae_json
from .cost import costs
from .options import Parser
from .vae import WanVae


@dataclass(frozen=True)
class Result:
    """One trained VAE."""

    name: str
    weights: int
    gflop: float
    """Of encoding and decoding a 128x128 frame of a clip."""
    steps: int
    minutes: float
    images: float | None
    clips: float | None


def step_gflop(vae: WanVae, options: argparse.Namespace) -> float:
    """Operations of an average training step: forward, and twice that backward."""
    image = costs(vae, None, options.image_size[0], 1)[-1].gflop_per_frame * options.image_batch
    clip = costs(vae, None, options.clip_size[0], options.clip_frames)[-1].gflop_per_frame * options.clip_frames
    share = options.clip_share
    return 3 * ((1 - share) * image + share * clip * options.clip_batch)


def run(name: str, config: VaeConfig, args: argparse.Namespace, rest: list[str]) -> Result:
    """Trains one, or looks up what it gave."""
    folder = args.out / name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "config.json"
    file.write_text(json.dumps(vae_json(config)))
    command = ["--cache", str(args.cache), "--val", str(args.val), "--out", str(folder), "--config", str(file), *rest]
    vae = WanVae(config)
    steps = max(1, round(1000 * args.tflop / step_gflop(vae, train_vae.parser().parse_args(command))))
    if not (folder / "vae.pt").exists():
        train_vae.main([*command, "--steps", str(steps)])
    stored = torch.load(folder / "vae.pt", weights_only=False)
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    last = next(line for line in reversed(lines) if "val_clips_left_out" in line)
    whole = costs(vae, None)[-1]
    return Result(name, whole.weights, whole.gflop_per_frame, stored["step"], stored["minutes"],
                  last.get("val_images_psnr"), last.get("val_clips_psnr"))


def table(results: list[Result]) -> str:
    """Markdown, best images first."""
    rows = ["| VAE | weights | encode + decode, GFLOP | steps | minutes | photos, dB | clips, dB |",
            "|---|---|---|---|---|---|---|"]
    for r in sorted(results, key=lambda r: -(r.images or r.clips or 0)):
        images, clips = (f"{v:.2f}" if v is not None else "-" for v in (r.images, r.clips))
        rows.append(f"| {r.name} | {r.weights / 1e6:.2f} M | {r.gflop:.1f} | {r.steps} | {r.minutes:.1f} | {images} "
                    f"| {clips} |")
    return "\n".join(rows)


def main(argv: list[str] | None = None) -> list[Result]:
    """Command line."""
    p = Parser("search", __doc__)
    p.add_argument("--configs", type=Path, nargs="*", default=[], help="JSON files; `compact` is always among the runs")
    p.add_argument("--cache", type=Path, required=True)
    p.add_argument("--val", type=Path, required=True)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--tflop", type=float, required=True, help="operations of each run, in 10^12")
    args, rest = p.parse_known_args(argv)
    configs = {"compact": compact()} | {path.stem: vae_config(json.loads(path.read_text())) for path in args.configs}
    results = [run(name, config, args, rest) for name, config in configs.items()]
    print(table(results))
    return results
