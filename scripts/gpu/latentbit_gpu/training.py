"""Continues training the shipped bundle in calls of a few minutes: `scripts/gpu/train`.

    scripts/gpu/train vae --data cache.zip --total 60 --minutes 9 --keep carried/vae
    scripts/gpu/train tokenizer --data cache.zip --vae runs/gpu-train/vae/vae.pt --total 60 --minutes 9
    scripts/gpu/train predictor --data runs/tokens --total 30 --minutes 9 -- --latent 0.3
    scripts/gpu/train export --vae runs/gpu-train/vae/vae.pt --export bundle.safetensors

With --config it trains a network of another shape, from scratch unless --init is given:

    scripts/gpu/train vae --config training/configs/light.json --data cache.zip --total 60 --minutes 9
    scripts/gpu/train tokenizer --config training/configs/tokenizer/light.json --vae runs/gpu-train/vae/vae.pt \\
        --data cache.zip --total 60 --minutes 9 -- --depths token

--rehearse runs two small steps of the same command on the CPU, in a folder of its own, to show that data and options
fit.

A call ends with a checkpoint before its minutes are over; the same command resumes, until the run has had --total
minutes. Arguments after two dashes go to the training command.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from latentbit_training import bundle, pack, slim
from latentbit_training.config import vae_json

from .paths import ROOT, SHIPPED, environment

TRAIN = [sys.executable, "-m", "latentbit_training"]
WEIGHTS = {"vae": "vae.pt", "tokenizer": "tokenizer.pt", "predictor": "predictor.safetensors"}
BATCHES = {
    "vae": ["--image-batch", "128", "--clip-batch", "24"],
    "tokenizer": ["--image-batch", "64", "--clip-batch", "8"],
    "predictor": ["--batch", "16"],
}
"""Larger than those for a CPU: otherwise so small a network leaves a GPU idle."""
FOLDER = ROOT / "runs" / "gpu-train"


def arguments(argv: list[str] | None) -> tuple[argparse.Namespace, list[str]]:
    p = argparse.ArgumentParser(prog="train", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("part", choices=[*WEIGHTS, "export"])
    p.add_argument("--data", type=Path, help="cache folder, or file of latentbit-train pack; predictor: tokens")
    p.add_argument("--run", type=Path, help="folder of checkpoints; default runs/gpu-train/PART")
    p.add_argument("--total", type=float, default=60, help="minutes of the whole run")
    p.add_argument("--minutes", type=float, default=9, help="minutes of this call")
    p.add_argument("--init", type=Path,
                   help="bundle (or weights) to start from; default: the shipped one, with --config none")
    p.add_argument("--config", type=Path, help="JSON file of the network's shape (training/configs)")
    p.add_argument("--vae", type=Path, help="VAE to train the tokenizer on, or to export; default: that of --init")
    p.add_argument("--tokenizer", type=Path, help="tokenizer to export; default: that of --init")
    p.add_argument("--keep", type=Path, metavar="FOLDER",
                   help="write the checkpoint there too, small and in parts; a run without one resumes from there")
    p.add_argument("--export", type=Path, help="write a bundle (or the predictor's file) at the end")
    p.add_argument("--name", default="latentbit-light", help="name of the bundle")
    p.add_argument("--device", default="cuda")
    p.add_argument("--rehearse", "--dry-run", action="store_true", help="two small steps on the CPU, beside the run")
    words = sys.argv[1:] if argv is None else argv
    split = words.index("--") if "--" in words else len(words)
    options = p.parse_args(words[:split])
    if options.part != "export" and options.data is None:
        p.error("--data is missing")
    if options.part == "export" and options.export is None:
        p.error("--export is missing")
    if options.part == "predictor" and options.config:
        p.error("--config is for vae and tokenizer")
    if options.part == "tokenizer" and options.config and not (options.vae or options.init):
        p.error("--config needs --vae: the VAE that the tokenizer is for")
    if options.init is None and not options.config:
        options.init = SHIPPED
    return options, words[split + 1 :]


def main(argv: list[str] | None = None) -> int:
    options, rest = arguments(argv)
    if options.part == "export":
        export(options, options.vae, options.tokenizer)
        return 0
    run: Path = options.run or FOLDER / options.part
    if options.rehearse:
        return rehearse(options, run.with_name(f"{run.name}-rehearsal"), rest)
    checkpoint = run / "checkpoint.pt"
    if options.keep and not checkpoint.exists() and any(options.keep.glob("part-*")):
        slim.restore(options.keep, checkpoint)
        print(f"train: resuming from {options.keep}", flush=True)
    code = subprocess.run(command(options, run, rest), env=compiling(run), check=False).returncode
    if code:
        return code
    if options.keep:
        for path in slim.slim(checkpoint, options.keep):
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    if options.export:
        finish(options, run)
    return 0


def rehearse(options: argparse.Namespace, run: Path, rest: list[str]) -> int:
    """Two steps on the CPU, from the beginning each time."""
    shutil.rmtree(run, ignore_errors=True)
    options.device = "cpu"
    small = ["--minutes", "0", "--steps", "2", "--no-compile", "--log-every", "1"]
    small += ["--batch", "1"] if options.part == "predictor" else ["--image-batch", "2", "--clip-batch", "1"]
    code = subprocess.run(command(options, run, [*rest, *small]), env=environment(), check=False).returncode
    if not code:
        print(f"train: the rehearsal made {run / WEIGHTS[options.part]}")
    return code


def command(options: argparse.Namespace, run: Path, rest: list[str]) -> list[str]:
    """The training command of this call. Arguments given by hand come last and take precedence."""
    part = options.part
    words = [*TRAIN, part, "--out", str(run)]
    words += ["--device", options.device, "--minutes", str(options.total)]
    # The rest is for checkpoint and export.
    words += ["--pause-after", str(max(0.5 * options.minutes, options.minutes - 1)), "--save-every", "1000"]
    words += BATCHES[part]
    if part == "predictor":
        words += ["--tokens", str(options.data), "--bundle", str(options.init)]
        if options.init == SHIPPED:
            words += ["--init", str(SHIPPED.with_name("default-predictor.safetensors"))]
    else:
        words += ["--cache", str(cache_of(options.data, run))]
        words += ["--init", str(options.init)] if options.init else []
    if part == "vae":
        words += ["--config", str(options.config or config_file(options.init, run))]
    if part == "tokenizer":
        words += ["--config", str(options.config)] if options.config else []
        words += ["--vae", str(options.vae or options.init)]
    return words + rest


def compiling(run: Path) -> dict[str, str]:
    """The environment of a run: what is compiled is kept beside it, so that the next call starts at once."""
    return {"TORCHINDUCTOR_CACHE_DIR": str(run.parent / "inductor"), **environment()}


def cache_of(data: Path, run: Path) -> Path:
    """The folder itself, or the unpacked folder of a packed file."""
    if data.is_dir():
        return data
    folder = run.parent / f"{data.stem}-cache"
    if not (folder / "cache.json").exists():
        pack.unpack(data, folder)
    return folder


def config_file(init: Path, run: Path) -> Path:
    """The configuration of a bundle's VAE, for the run to use."""
    config, _, _ = bundle.load(init)
    run.mkdir(parents=True, exist_ok=True)
    path = run / "config.json"
    path.write_text(json.dumps(vae_json(config.vae)))
    return path


def finish(options: argparse.Namespace, run: Path) -> None:
    """Writes the run's result."""
    weights = run / WEIGHTS[options.part]
    if options.part == "predictor":
        options.export.write_bytes(weights.read_bytes())
    elif options.part == "vae":
        export(options, weights, options.tokenizer)
    else:
        export(options, options.vae, weights)


def export(options: argparse.Namespace, vae: Path | None, tokenizer: Path | None) -> None:
    """A bundle of two parts; missing ones are taken from --init."""
    words = [*TRAIN, "export", "--name", options.name]
    words += ["--vae", str(vae or options.init)]
    # A VAE of another shape has no tokenizer yet.
    words += ["--tokenizer", str(tokenizer or options.init)] if tokenizer or options.init else []
    subprocess.run([*words, "--out", str(options.export)], env=environment(), check=True)


if __name__ == "__main__":
    sys.exit(main())
