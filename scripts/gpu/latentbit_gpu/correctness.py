"""The correctness checks on a GPU, each with its own time limit."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import clips
from .compare import digest, equal_bits, relative, tensor
from .context import Context
from .deadline import FailedError, LateError
from .golden import place, run_tests
from .memory import watched

CLOSE = 1e-4
"""GPU against CPU in f32: the largest difference over the largest value."""
NEAR_DB = 0.05
"""bf16 against f32: PSNR of pictures."""
EQUAL = 99.0
"""bf16 against f32: percent of bits."""
GROWTH = 1.05
"""Memory of a clip four times as long."""


class SkipError(Exception):
    """A check that does not apply here, with the reason."""


@dataclass(frozen=True)
class Check:
    """A check: its name, and the function that runs it (and returns a detail to show)."""

    name: str
    hold: Callable[[Context], str]


def run_checks(context: Context) -> None:
    """Runs all checks that are not done yet."""
    results = context.results
    for check in checks(context):
        if check.name in results.checks:
            continue
        start = time.monotonic()
        try:
            state, detail = "ok", check.hold(context)
        except LateError:
            results.left.append(check.name)
            continue
        except SkipError as reason:
            state, detail = "skipped", str(reason)
        except (FailedError, ValueError, OSError, KeyError) as error:
            state, detail = "failed", str(error)
        seconds = round(time.monotonic() - start, 1)
        results.checks[check.name] = {"state": state, "detail": detail, "seconds": seconds}
        print(f"{state:8}{check.name}: {detail} ({seconds} s)", flush=True)
        context.save()


def checks(context: Context) -> Iterator[Check]:
    """In order of execution: an early failure explains later ones."""
    yield Check("device", device)
    yield Check("messages", messages)
    for program in context.built.tests:
        yield Check(f"tests: {program.name}", lambda c, program=program: golden(c, program))  # type: ignore[misc]
    for clip in clips_of(context):
        name = clip.stem
        yield Check(f"f32 as on the CPU: {name}", lambda c, clip=clip: as_on_cpu(c, clip))  # type: ignore[misc]
        for dtype in ("bf16",) if context.rehearse else ("bf16", "f16"):
            hold = lambda c, clip=clip, dtype=dtype: near_f32(c, clip, dtype)  # noqa: E731
            yield Check(f"{dtype} close to f32: {name}", hold)
        yield Check(f"same every time: {name}", lambda c, clip=clip: same(c, clip))  # type: ignore[misc]
    yield Check("memory flat in length", flat)


def clips_of(context: Context) -> list[Path]:
    """The packed clips, or the pattern."""
    if context.rehearse or not context.built.clips:
        size = (48, 32, 9) if context.rehearse else (256, 256, 29)
        return [clips.pattern(context.path("pattern.y4m"), *size)]
    return context.built.clips


def device(context: Context) -> str:
    """The command sees the device."""
    report = json.loads(context.latentbit("info", "--device", context.device, "--json").stdout)
    shown = {name: value for name, value in report.items() if name not in ("schema", "available")}
    found = str(report.get("device", ""))
    if not found.startswith(context.device.split(":")[0]):
        raise FailedError(f"--device {context.device} reports {found!r}")
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def messages(context: Context) -> str:
    """Without a GPU, or with the number of none, it fails with a message; `auto` uses the CPU."""
    said = []
    wrong = [("cuda", True)] if context.rehearse else [("cuda", True), ("cuda:99", False)]
    for name, hidden in wrong:
        outcome = context.latentbit("info", "--device", name, check=False, hide_gpu=hidden)
        if outcome.code == 0:
            raise FailedError(f"--device {name} is accepted{' without a GPU' if hidden else ''}")
        text = outcome.stderr.strip()
        if "panicked" in text or not any(word in text.lower() for word in ("cuda", "gpu")):
            raise FailedError(f"--device {name} says: {outcome.last_words}")
        said.append(f"{name}: {text.splitlines()[0]}")
    clip, coded = clips.pattern(context.path("tiny.y4m"), 48, 32, 9), context.path("tiny.lbit")
    report = encoded(context, clip, coded, "auto", "f32", hide_gpu=True)
    if report["device"] != "cpu":
        raise FailedError(f"--device auto without a GPU reports {report['device']}")
    return "; ".join(said)


def golden(context: Context, program: Path) -> str:
    """Networks against the tensors that PyTorch made, on both devices."""
    place(Path(context.built.manifest().get("root", "/tmp/latentbit-gpu")))
    return run_tests(program, context.deadline, on_gpu=context.device != "cpu")


def encoded(
    context: Context, clip: Path, coded: Path, device: str, dtype: str, *, hide_gpu: bool = False
) -> dict[str, Any]:
    """Encodes, and returns the command's report."""
    outcome = context.latentbit("encode", clip, "-o", coded, "-y", "-q", "--json", "--bits", "48", "--device", device,
                                "--dtype", dtype, hide_gpu=hide_gpu)
    report: dict[str, Any] = json.loads(outcome.stdout)
    return report


def tokens(context: Context, coded: Path) -> np.ndarray[Any, np.dtype[Any]]:
    """The tokens of a file, without a network."""
    path = coded.with_suffix(".npy")
    context.latentbit("tokens", "export", coded, "-o", path, "-y", "-q")
    return np.asarray(np.load(path))


def decoded(context: Context, coded: Path, device: str, dtype: str, name: str) -> Path:
    """The frames of a file as a tensor."""
    path = context.path(f"{coded.stem}-{name}.safetensors")
    context.latentbit("decode", coded, "-o", path, "-y", "-q", "--device", device, "--dtype", dtype)
    return path


def as_on_cpu(context: Context, clip: Path) -> str:
    """In f32 latents and frames match the CPU's, and so do nearly all bits."""
    latents, files = [], []
    for name in ("cpu", context.device):
        label = f"{clip.stem}-{name.replace(':', '')}"
        path = context.path(f"{label}-latents.safetensors")
        context.latentbit("latents", "encode", clip, "-o", path, "-y", "-q", "--device", name, "--dtype", "f32")
        latents.append(tensor(path))
        coded = context.path(f"{label}-f32.lbit")
        encoded(context, clip, coded, name, "f32")
        files.append(coded)
    latent = relative(latents[1], latents[0])
    # Both decode the same file: a differing bit would change the picture.
    frames = [tensor(decoded(context, files[0], name, "f32", f"on-{index}"))
              for index, name in enumerate(("cpu", context.device))]
    picture = relative(frames[1], frames[0])
    share = equal_bits(tokens(context, files[1]), tokens(context, files[0]), bits_of(context, files[0]))
    detail = f"latents {latent:.1e}, frames {picture:.1e}, {share:.3f} % equal bits"
    if latent > CLOSE or picture > CLOSE or share < EQUAL:
        raise FailedError(f"{detail}; expected at most {CLOSE} and at least {EQUAL} %")
    return detail


def bits_of(context: Context, coded: Path) -> int:
    """Bits per token, from the file's token sidecar."""
    tokens(context, coded)
    sidecar = json.loads(coded.with_suffix(".npy.json").read_text())
    return int(sidecar["video"]["bits"])


def near_f32(context: Context, clip: Path, dtype: str) -> str:
    """In a 16-bit type pictures are as close to the clip as in f32, and nearly all bits are equal."""
    files, quality = [], []
    for kind in ("f32", dtype):
        coded = context.path(f"{clip.stem}-{kind}.lbit")
        encoded(context, clip, coded, context.device, kind)
        files.append(coded)
        outcome = context.latentbit("eval", clip, coded, "--no-vae", "--json", "--device", context.device,
                                    "--dtype", kind)
        quality.append(float(json.loads(outcome.stdout)["tokens"]["psnr"]))
    share = equal_bits(tokens(context, files[1]), tokens(context, files[0]), bits_of(context, files[0]))
    detail = f"PSNR {quality[1]:.3f} dB against {quality[0]:.3f}, {share:.2f} % equal bits"
    if quality[1] < quality[0] - NEAR_DB or share < EQUAL:
        raise FailedError(f"{detail}; expected at most {NEAR_DB} dB less and at least {EQUAL} %")
    return detail


def same(context: Context, clip: Path) -> str:
    """Encoding twice gives the same file, decoding it twice the same frames, and reading it twice the same tokens."""
    dtype = "f32" if context.rehearse else "bf16"
    files = [context.path(f"{clip.stem}-{turn}.lbit") for turn in ("once", "twice")]
    for coded in files:
        encoded(context, clip, coded, context.device, dtype)
    first, again = tokens(context, files[0]), tokens(context, files[0])
    frames = [digest(decoded(context, files[0], context.device, dtype, turn)) for turn in ("once", "twice")]
    wrong = [
        *(["tokens read from one file differ"] if not np.array_equal(first, again) else []),
        *(["frames decoded from one file differ"] if frames[0] != frames[1] else []),
        *(["files encoded from one clip differ"] if digest(files[0]) != digest(files[1]) else []),
    ]
    if wrong:
        raise FailedError("; ".join(wrong))
    return f"file {digest(files[0])[:12]}, frames {frames[0][:12]}"


def flat(context: Context) -> str:
    """A clip four times as long takes no more memory."""
    side, short = (32, 26) if context.rehearse else (256, 130)
    peaks = []
    for frames in (short, 4 * short):
        path = context.path(f"long-{frames}.y4m")
        clips.pattern(path, side, side, frames)
        with watched() as peak:
            report = encoded(context, path, context.path("long.lbit"), context.device,
                             "f32" if context.rehearse else "bf16")
        host = report.get("peak_mem_bytes")
        peaks.append(peak.mb if context.device != "cpu" else (host or 0) / 1e6)
        path.unlink()
    if None in peaks or not peaks[0]:
        raise SkipError("memory use is unknown here")
    before, after = (float(peak or 0) for peak in peaks)
    detail = f"{short} frames {before:.0f} MB, {4 * short} frames {after:.0f} MB"
    if after > GROWTH * before:
        raise FailedError(detail)
    return detail
