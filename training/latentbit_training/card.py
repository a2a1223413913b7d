"""A model card: what a bundle is, how it came about and how good it is, as the Hugging Face hub shows it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .config import BundleConfig, tokenizer_json, vae_json
from .options import FILE

MOST_ROWS = 12
"""Lines of the log in the table of a run."""


def _options(run: Path) -> dict[str, Any]:
    path = run / FILE
    return json.loads(path.read_text()) if path.exists() else {}


def _curve(run: Path) -> list[dict[str, Any]]:
    """Some of the lines of a log that report on held-out data, first and last among them."""
    path = run / "log.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    found = [line for line in lines if any(name.startswith("val_") and "psnr" in name for name in line)]
    if len(found) > MOST_ROWS:
        found = [found[i * (len(found) - 1) // (MOST_ROWS - 1)] for i in range(MOST_ROWS)]
    return found


def _table(lines: list[dict[str, Any]]) -> str:
    names = [name for name in lines[-1] if (name.startswith("val_") and name.endswith(("psnr", "vae"))) or
             (name.startswith("val_") and "_psnr_" in name)]
    head = f"| step | minutes | {' | '.join(name.removeprefix('val_') for name in names)} |"
    rows = [f"| {line['step']} | {line['minutes']} | {' | '.join(str(line.get(name, '-')) for name in names)} |"
            for line in lines]
    return "\n".join([head, "|---|---|" + "---|" * len(names), *rows])


def card(config: BundleConfig, file: Path, digest: str, runs: dict[str, Path]) -> str:
    """Markdown of a bundle; `runs` are the folders in which its parts were trained, by part."""
    strides = "x".join(str(stride) for stride in config.vae.strides)
    parts = ["---", "library_name: latentbit", "tags: [video-tokenizer, latentbit]", "---", "", f"# {config.name}", "",
             f"A bundle for [LatentBit](https://crates.io/crates/latentbit): `{file.name}`, "
             f"{file.stat().st_size / 1e6:.2f} MB, SHA-256 `{digest}`.", "",
             f"- VAE: {config.vae.latent_channels} channels, strides {strides} (time, height, width)"]
    if config.tokenizer is not None:
        token = config.tokenizer
        elastic = f", depths in steps of {token.depth_step}" if token.depth_step else ""
        parts.append(f"- tokenizer: {token.bits} bits a token, patch {'x'.join(map(str, token.patch))}, width "
                     f"{token.width}, {token.encoder_layers} + {token.decoder_layers} layers{elastic}")
    for part, past in config.training.items():
        parts.append(f"- {part}: {', '.join(f'{value} {name}' for name, value in past.items())} of training")
    if "decoder" in config.training:
        parts.append("- the decoder is a copy of the VAE's that was fine-tuned on tokens: the bits are those of the "
                     "VAE's own encoder, but what it decodes is not what the VAE's own decoder makes of them, nor of "
                     "latents of others")
    parts += ["", "```sh", f"latentbit models add {file.name} --name {config.name}",
              f"latentbit encode in.mp4 -o out.lbit --model {config.name}", "```"]
    for part, run in runs.items():
        lines = _curve(run)
        if lines:
            parts += ["", f"## {part} on held-out data", "", "PSNR in dB.", "", _table(lines)]
        options = _options(run)
        if options:
            told = json.dumps(options, indent=1)
            parts += ["", f"## options of the {part}'s training", "", "```json", told, "```"]
    whole = {"vae": vae_json(config.vae), "tokenizer": tokenizer_json(config.tokenizer) if config.tokenizer else None,
             "training": asdict(config)["training"]}
    parts += ["", "## configuration", "", "```json", json.dumps(whole, indent=1), "```", ""]
    return "\n".join(parts)
