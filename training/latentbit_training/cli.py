"""`latentbit-train`: every step from data to a published bundle is a command of it.

    latentbit-train COMMAND --help
    latentbit-train vae --options vae.yaml --minutes 60
    torchrun --nproc-per-node 8 -m latentbit_training tokenizer --options tokenizer.yaml

A file of options has the names of the command line (`--print-options` writes one).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from .options import PROGRAM


class Command(NamedTuple):
    """Where a command is, and what it does."""

    module: str
    about: str
    function: str = "main"


COMMANDS = {
    "cache": Command("cache", "decode a small set of images and videos into flat arrays"),
    "shard": Command("shards", "put any amount of images and videos into WebDataset shards"),
    "throughput": Command("throughput", "how fast workers decode shards"),
    "pack": Command("pack", "a part of a cache as one small file, and back"),
    "latents": Command("latents", "encode a cache with a frozen VAE"),
    "tokens": Command("tokens", "encode the clips of a cache to tokens"),
    "vae": Command("train_vae", "train a VAE"),
    "tokenizer": Command("train_tokenizer", "train a tokenizer on a frozen VAE"),
    "decoder": Command("train_decoder", "fine-tune a copy of a VAE's decoder on tokens"),
    "predictor": Command("train_maskgit", "train a predictor of tokens"),
    "slim": Command("slim", "a checkpoint small enough to carry, and back"),
    "export": Command("export", "join a VAE and a tokenizer into a bundle"),
    "export-onnx": Command("export_onnx", "a bundle's networks as ONNX, for other runtimes"),
    "push": Command("hub", "publish a bundle on the Hugging Face hub", "push"),
    "pull": Command("hub", "get a bundle or weights from the Hugging Face hub", "pull"),
    "evaluate": Command("measure", "PSNR, SSIM and MS-SSIM of a bundle on whole files"),
    "elastic": Command("elastic", "PSNR against bits, with a depth for each token"),
    "likelihood": Command("likelihood", "bits that a predictor leaves"),
    "search": Command("search", "train several VAEs with the same number of operations"),
    "cost": Command("cost", "weights and operations of each part"),
    "estimate": Command("estimate", "what training a tokenizer takes on given GPUs: memory, operations, time"),
    "golden": Command("golden", "write the tensors that the tests of the codec compare with"),
}


def usage() -> str:
    """The list of commands."""
    rows = [f"  {name:<12} {command.about}" for name, command in COMMANDS.items()]
    return "\n".join([f"usage: {PROGRAM} COMMAND [OPTIONS]", "", *rows, "", f"{PROGRAM} COMMAND --help tells more."])


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; the exit code."""
    try:
        try:
            return run(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough, as `head` has; nothing must be flushed into the closed pipe at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run(argv: Sequence[str] | None) -> int:
    """The command that is named; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else 2
    name, *rest = words
    if name not in COMMANDS:
        print(f"{PROGRAM}: there is no command {name}\n\n{usage()}", file=sys.stderr)
        return 2
    command = importlib.import_module(f".{COMMANDS[name].module}", __package__)
    try:
        getattr(command, COMMANDS[name].function)(rest)
    except BrokenPipeError:
        raise
    except (OSError, ValueError, FloatingPointError) as error:
        # What users can mend is told in a line; LATENTBIT_TRACEBACK shows where it came from.
        if os.environ.get("LATENTBIT_TRACEBACK"):
            raise
        print(f"{PROGRAM} {name}: {error}", file=sys.stderr)
        return 1
    return 0
