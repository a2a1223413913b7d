"""Measures the cases: ours and PyTorch's in turn, each in its own process: speed, memory, work and time by operator."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import clip
import numpy as np
import torch
from agreement import agreement
from latentbit_training import bundle
from latentbit_training.config import VAE_PRESETS
from latentbit_training.vae import WanVae

from . import count
from .cases import OURS, PEERS, Case
from .context import Context
from .deadline import FailedError, LateError, run
from .memory import watched
from .paths import ROOT, SHIPPED, TINY, environment
from .rates import DTYPES
from .results import Report

ENCODERS = {"decode": "encode", "vae-decode": "vae-encode"}


def measure_rates(context: Context) -> None:
    """Measures the card's peak rates."""
    if context.results.rates:
        return
    command = [sys.executable, "-m", "latentbit_gpu.rates", "--device", context.device]
    if context.rehearse:
        command += ["--side", "256", "--mib", "16"]
    try:
        outcome = run(command, context.deadline, 120, environment=environment())
    except LateError:
        context.results.left.append("rates")
        return
    except FailedError as error:
        print(f"failed  rates: {error}", flush=True)
        return
    context.results.rates = json.loads(outcome.stdout)
    context.save()


def measure(context: Context, cases: list[Case]) -> None:
    """Runs all programs of all cases that are not done yet."""
    measure_rates(context)
    for case in cases:
        runs = context.results.runs.setdefault(case.label, {})
        for name in (OURS, *PEERS):
            if name in runs:
                continue
            try:
                runs[name] = measured(context, case, name)
                text = f"{runs[name]['fps']:.2f} frames/s"
            except LateError:
                context.results.left.append(f"{case.label} {name}")
                continue
            except (FailedError, ValueError, OSError, KeyError, RuntimeError) as error:
                runs[name] = {"failed": str(error)}
                text = f"failed: {error}"
            print(f"{case.label} {name}: {text}", flush=True)
            context.save()
        if len(runs) == 1 + len(PEERS):
            compare(context, case, runs)
            weigh(context, case)
            context.save()


def model(context: Context, case: Case) -> Path:
    """The bundle's file; random weights of the official architecture are made when needed."""
    if case.model == "shipped":
        return TINY if context.rehearse else SHIPPED
    path = context.path("wan2.1-random.safetensors")
    if context.rehearse:
        return TINY
    if not path.exists():
        command: list[str | Path] = [sys.executable, ROOT / "scripts" / "bench" / "wan.py", path]
        run(command, context.deadline, 240, least=90, environment=environment())
    return path


def source(context: Context, case: Case) -> Path:
    """A task's input: frames, random latents, or the tokens of our encoder (if it fails, of PyTorch's)."""
    if case.task not in ENCODERS:
        path = context.path(f"clip-{case.frames}x{case.size}.rgb")
        if not path.exists():
            context.deadline.limit(60)
            partial = path.with_suffix(".partial")
            clip.write(partial, case.width, case.height, case.frames, None)
            partial.replace(path)
        return path
    if case.task == "vae-decode":
        return latents(context, case)
    path = context.path(f"tokens-{case.model}-{case.frames}x{case.size}.bin")
    if not path.exists():
        needed = Case(case.model, "encode", case.width, case.height, case.frames, case.dtype, repeats=1)
        for name in (OURS, "torch-eager"):
            partial = path.with_suffix(".partial")
            try:
                run([*command_of(context, needed, name), "--output", partial, "--warmup", "0"], context.deadline, 180,
                    environment=environment())
            except FailedError:
                continue
            partial.replace(path)
            break
        else:
            raise FailedError("no program made tokens to decode")
    return path


def latents(context: Context, case: Case) -> Path:
    """Normalised latents, seeded: (T', h, w, C) of f32."""
    path = context.path(f"latents-{case.model}-{case.frames}x{case.size}.bin")
    if not path.exists():
        config = config_of(context, case)
        time, rows, columns = config.strides
        shape = (-(-case.frames // time), case.height // rows, case.width // columns, config.latent_channels)
        np.random.default_rng(1).standard_normal(shape, np.float32).tofile(path)
    return path


def config_of(context: Context, case: Case) -> Any:
    """The VAE's configuration."""
    if case.model == "wan" and not context.rehearse:
        return VAE_PRESETS["wan21"]()
    return bundle.load(model(context, case))[0].vae


def command_of(context: Context, case: Case, name: str) -> list[str | Path]:
    """A program with the options that ours and PyTorch's share."""
    options: list[str | Path] = [
        "--bundle", model(context, case), "--task", case.task, "--input", source(context, case), "--size", case.size,
        "--frames", str(case.frames), "--dtype", case.dtype, "--repeats", str(case.repeats),
        *(["--clips", str(case.clips)] if case.clips > 1 else []),
    ]
    if name == OURS:
        # A bench program without CUDA knows no --device.
        on = [] if context.rehearse and context.device == "cpu" else ["--device", context.device]
        return [context.built.model, *options, "--json", "--operators", *on]
    mode = name.removeprefix("torch-")
    options += ["--mode", mode, "--device", context.device, "--pace", str(case.pace)]
    if context.rehearse:
        # Compiling for a CPU takes minutes and says nothing about a GPU.
        options += ["--backend", "eager"]
    return [sys.executable, "-m", "latentbit_gpu.peer", *options]


def output(context: Context, case: Case, name: str) -> Path:
    """The path of a program's output."""
    return context.path(f"output-{case.label}-{name}".replace(" ", "-"))


def measured(context: Context, case: Case, name: str) -> Report:
    """Runs one program on one case."""
    command = command_of(context, case, name)
    command += ["--output", output(context, case, name), "--warmup", "1" if name == "torch-eager" else "2"]
    if name != OURS:
        command.append("--profile")
    most = 300.0 if case.large or name == "torch-compile" else 120.0
    if name == "torch-compile" and case.large:
        most = 420.0
    least = 5 if context.rehearse else most / 3
    cache = environment(TORCHINDUCTOR_CACHE_DIR=str(context.path("inductor")))
    output(context, case, name).unlink(missing_ok=True)
    with watched() as peak:
        outcome = run(command, context.deadline, most, least=least, environment=cache)
    report: Report = json.loads(outcome.stdout.strip().splitlines()[-1])
    report["card_peak_mb"] = peak.mb if context.device != "cpu" else None
    if report.get("operators"):
        # The longest ones suffice.
        report["operators"] = report["operators"][:40] if isinstance(report["operators"], list) else report["operators"]
    return report


def compare(context: Context, case: Case, runs: dict[str, Report]) -> None:
    """Compares the outputs with ours, then deletes them, because they are large."""
    ours = output(context, case, OURS)
    for name in PEERS:
        theirs = output(context, case, name)
        if "failed" in runs[OURS] or "failed" in runs[name] or not ours.exists() or not theirs.exists():
            continue
        try:
            # JSON has no infinity.
            runs[name]["agreement"] = min(agreement(case.task, ours.read_bytes(), theirs.read_bytes()), 999.0)
        except ValueError as error:
            runs[name]["disagreement"] = str(error)
    for name in (OURS, *PEERS):
        output(context, case, name).unlink(missing_ok=True)


def weigh(context: Context, case: Case) -> None:
    """Counts the case's operations and bytes, and the least time that they take on this card."""
    results = context.results
    if case.label in results.work or not results.rates:
        return
    size = (case.width, case.height)
    if case.model == "wan" and not context.rehearse:
        with torch.device("meta"):
            vae = WanVae(VAE_PRESETS["wan21"]())
        work = count.of_task(vae, None, case.task, size, case.frames, DTYPES[case.dtype])
    else:
        work = count.of_bundle(model(context, case), case.task, size, case.frames, DTYPES[case.dtype])
    floor = work.floor(results.rates[f"product_{case.dtype}"], results.rates["copy"])
    # A batch reads its weights once, but they are small next to activations, so costs scale with the number of clips.
    results.work[case.label] = {
        "flops": case.clips * work.flops, "bytes": case.clips * work.bytes, "floor_seconds": case.clips * floor,
        "flops_by_kind": work.by_kind(),
    }
