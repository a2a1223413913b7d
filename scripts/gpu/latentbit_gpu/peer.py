"""Times a bundle's PyTorch modules on a GPU, warm.

    PYTHONPATH=scripts/gpu:scripts/bench:training python3 -m latentbit_gpu.peer --bundle models/default.safetensors \\
        --task encode --input clip.rgb --size 1920x1080 --frames 33 --mode compile --dtype bf16

It takes the options of codec/benches/model and prints the same line of JSON, with the memory asked of the card. A run
begins and ends in host memory, as ours does. Everything is in channels-last layout (2-d and 3-d), the faster one for
convolutions on tensor cores; cuDNN picks its algorithms by trial (`cudnn.benchmark`).
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from latentbit_training.vae import WanVae
from tasks import TASKS, Job, Model, load
from torch import Tensor

from .batch import Batch, first, repeated
from .profile import operators_of
from .rates import DTYPES
from .streaming import StreamingVae

MODES = ("eager", "compile")


class Runner:
    """A task from host memory to host memory."""

    def __init__(self, model: Model, job: Job, backend: str, pace: int, clips: int, device: torch.device) -> None:
        self.job, self.clips, self.device = job, clips, device
        vae, tokenizer = model.vae, model.tokenizer
        assert isinstance(vae, WanVae)
        vae.to(device)
        if tokenizer:
            tokenizer.to(device)
        replaced: Any = StreamingVae(vae, pace, backend) if pace else vae
        self.model = (Batch if clips > 1 else Model)(replaced, tokenizer, model.dtype)
        host = repeated(job.input, clips, job.task) if clips > 1 else job.input
        self.host = host.pin_memory() if device.type == "cuda" else host
        tasks = {"encode": self.model.encode, "vae-encode": self.model.vae_encode, "vae-decode": self.model.vae_decode}
        self.compute: Any = tasks.get(job.task) or (lambda bits: self.model.decode(bits, job.size))
        if backend and not pace:
            self.compute = torch.compile(self.compute, dynamic=False, backend=backend)

    def run(self) -> Tensor:
        """Runs the task once."""
        result: Tensor = self.compute(self.host.to(self.device, non_blocking=True))
        return result.cpu()

    def seconds(self, repeats: int) -> tuple[list[float], Tensor | None]:
        """Seconds of each run, and the last result."""
        found, result = [], None
        for _ in range(repeats):
            result = None
            start = time.perf_counter()
            # A copy to the host waits for all computation.
            result = self.run()
            found.append(time.perf_counter() - start)
        return found, first(result, self.job.task) if result is not None and self.clips > 1 else result


def arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bundle", type=Path, required=True)
    p.add_argument("--task", choices=TASKS, required=True)
    p.add_argument("--input", type=Path, required=True)
    p.add_argument("--output", type=Path)
    p.add_argument("--size", required=True, metavar="WxH")
    p.add_argument("--frames", type=int, required=True)
    p.add_argument("--mode", choices=MODES, default="eager")
    p.add_argument("--backend", default="inductor", help="backend of torch.compile")
    p.add_argument("--dtype", choices=DTYPES, default="bf16")
    p.add_argument("--device", default="cuda")
    p.add_argument("--pace", type=int, default=0, help="latent frames per step of the VAE; 0 for the whole clip")
    p.add_argument("--clips", type=int, default=1, help="clips per batch")
    p.add_argument("--warmup", type=int, default=2)
    p.add_argument("--repeats", type=int, default=5)
    p.add_argument("--profile", action="store_true", help="report the time of each operator too")
    return p.parse_args()


def main() -> None:
    options = arguments()
    logging.getLogger("torch").setLevel(logging.CRITICAL)
    device = torch.device(options.device)
    torch.backends.cudnn.benchmark = True
    # True f32, like ours.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    width, height = (int(side) for side in options.size.split("x"))
    name, model = load(options.bundle, DTYPES[options.dtype])
    job = Job(model, options.task, options.input, width, height, options.frames)
    with torch.inference_mode():
        backend = options.backend if options.mode == "compile" else ""
        runner = Runner(model, job, backend, options.pace, options.clips, device)
        warm, _ = runner.seconds(options.warmup)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds, result = runner.seconds(options.repeats)
        line = {
            "implementation": f"torch-{options.mode}", "bundle": name, "task": options.task, "size": options.size,
            "frames": options.frames, "clips": options.clips, "dtype": options.dtype, "device": str(device),
            "pace": options.pace, "seconds": seconds, "fps": options.clips * options.frames / median(seconds),
            "warmup_seconds": warm,
        }
        if device.type == "cuda":
            line["allocated_mb"] = round(torch.cuda.max_memory_allocated() / 1e6, 1)
            line["reserved_mb"] = round(torch.cuda.max_memory_reserved() / 1e6, 1)
        if options.output and result is not None:
            options.output.write_bytes(job.to_bytes(result))
        if options.profile:
            del result
            line["operators"] = operators_of(runner.run, device)
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
