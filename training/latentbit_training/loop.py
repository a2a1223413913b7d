"""The parts of a training: schedule, averaged weights, checkpoints, logs, device and number type."""

from __future__ import annotations

import copy
import fcntl
import json
import math
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from .optimizer import Muon
from .ranks import local, same, spread, whole

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, the peak, then a cosine to a twentieth. Progress is in steps, or in time when a budget is given.

    `anneal` is the part of the run, at its end, over which the rate falls; 1 makes it fall from the start.
    """

    peak: float
    steps: int
    minutes: float = 0.0
    warmup: int = 100
    anneal: float = 1.0

    def progress(self, step: int, seconds: float) -> float:
        """0 at the start, 1 at the end."""
        return min(1.0, seconds / (self.minutes * 60) if self.minutes else step / self.steps)

    def annealing(self, step: int, seconds: float) -> bool:
        """Whether the rate has begun to fall after a phase at its peak."""
        return self.anneal < 1 and self.progress(step, seconds) >= 1 - self.anneal

    def rate(self, step: int, seconds: float) -> float:
        """The learning rate of a step."""
        fall = max(0.0, self.progress(step, seconds) - (1 - self.anneal)) / self.anneal
        cosine = 0.5 * (1 + math.cos(math.pi * fall))
        return self.peak * min(1.0, (step + 1) / self.warmup) * (0.05 + 0.95 * cosine)


class Ema(Generic[Model]):
    """An exponential average of the weights, with a ramp so that early noise is forgotten."""

    def __init__(self, model: Model, decay: float = 0.999) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @property
    def weights(self) -> list[Tensor]:
        """The averages, in the order of the model's parameters."""
        return list(self.model.parameters())

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Takes in the weights after a step."""
        decay = min(self.decay, (step + 1) / (step + 10))
        current = [local(p.detach()) for p in model.parameters()]
        torch._foreach_lerp_([local(p) for p in self.weights], current, 1 - decay)

    def take(self, state: dict[str, Tensor]) -> None:
        """The averages of a checkpoint."""
        self.model.load_state_dict(state)


class SpreadEma(Ema[Model]):
    """The average of weights that are spread over ranks, spread as they are."""

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        self.decay = decay
        self.names = [name for name, _ in model.named_parameters()]
        self.spread = [p.detach().clone() for p in model.parameters()]

    @property
    def weights(self) -> list[Tensor]:
        """The averages, in the order of the model's parameters."""
        return self.spread

    def take(self, state: dict[str, Tensor]) -> None:
        """The averages of a checkpoint."""
        for name, own in zip(self.names, self.spread, strict=True):
            local(own).copy_(local(spread(state[name], own)))


PRECISIONS = ("auto", "bf16", "f32")


def autocast(device: torch.device, precision: str = "auto") -> AbstractContextManager[Any]:
    """bf16 for the operators that gain from it; `auto`: where the device has instructions for it.

    Emulated it is slower.
    """
    fast = device.type != "cpu" or bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
    return torch.autocast(device.type, torch.bfloat16, enabled=fast if precision == "auto" else precision == "bf16")


OPTIMIZERS = ("muon", "adamw")


def optimizer_for(model: nn.Module, rate: float, kind: str = "muon", decay: float = 0.01) -> torch.optim.Optimizer:
    """Muon or AdamW without weight decay on norms and biases.

    Muon takes what maps features to features; the ends of a network, where one side is pixels, latent channels or bits,
    stay with AdamW.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    vectors = [p for _, p in named if p.ndim <= 1]
    if kind == "adamw":
        groups = [{"params": [p for _, p in named if p.ndim > 1], "weight_decay": decay},
                  {"params": vectors, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), fused=True)
    ends = ("conv1.weight", "conv2.weight", "head.2.weight", "embed.weight", "head.weight")
    inner = [p for name, p in named if p.ndim > 1 and not name.endswith(ends)]
    outer = [p for name, p in named if p.ndim > 1 and name.endswith(ends)]
    return Muon(inner, outer, vectors, rate, decay)


def check_loss(loss: float, step: int) -> None:
    """A loss that is not finite ends the run: the weights themselves are broken, or the data is."""
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss of step {step} is {loss}, not a finite number; nothing was saved since the last "
            "checkpoint: go on from it with a lower --rate, or look at the data"
        )


def descend(optimizer: torch.optim.Optimizer, rate: float, clip: float = 1.0) -> float:
    """One update from the gradients; returns their norm, and changes nothing where that is not finite."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    parameters = [p for g in optimizer.param_groups for p in g["params"]]
    norm = whole(torch.nn.utils.clip_grad_norm_(parameters, clip, foreach=True))
    if torch.isfinite(norm):
        optimizer.step()
    return float(norm)


OBJECTIVES = ("psnr", "mse")


def pixel_loss(
    output: Tensor, video: Tensor, objective: str, floor: float = 5e-4, mean: Callable[[Tensor], Tensor] = same
) -> tuple[Tensor, Tensor]:
    """The pixel term of samples (B, 3, T, H, W) in -1…1, and the plain mean squared error for the log.

    `mse` is that error itself. `psnr` weighs each sample by one over its own error, as the gradient of a mean of PSNRs
    does, so that calm pictures count as much as busy ones; weights have a mean of one, so the scale stays that of
    `mse`. The floor (39 dB) keeps empty crops from outweighing all others. `mean` takes the mean over ranks.
    """
    errors = (output - video).square().mean(dim=(1, 2, 3, 4))
    plain = errors.mean()
    if objective == "mse":
        return plain, plain
    weights = 1 / (errors.detach() + floor)
    return (errors * weights).mean() / mean(weights.mean()), plain


def same_pixels(count: int, size: int, other: int) -> int:
    """How many crops of side `other` have about as many pixels as `count` of side `size`."""
    return max(1, round(count * (size / other) ** 2))


def share(text: str) -> float:
    """An argument above 0 and at most 1."""
    value = float(text)
    if not 0 < value <= 1:
        raise ValueError(text)
    return value


class Clock:
    """Seconds that this process could run: time in which it is stopped (SIGSTOP, a sleeping machine) hardly counts.

    A thread looks at the time every `beat` seconds; a gap between two looks counts as `most` seconds at most.
    """

    def __init__(self, beat: float = 0.5, most: float = 5.0) -> None:
        self.beat, self.most = beat, most
        self._counted, self._last = 0.0, time.monotonic()
        self._lock = threading.Lock()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(self.beat)
            _ = self.seconds

    @property
    def seconds(self) -> float:
        """Since the clock was made."""
        with self._lock:
            now = time.monotonic()
            self._counted += min(now - self._last, self.most)
            self._last = now
            return self._counted


class Lock:
    """Keeps a folder for one run: a second process that wants it is told who has it.

    The system lets go of it when the process ends, however it ends.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "lock"
        # Not emptied when opened: it may be another's.
        self._file = open(path, "a+")  # noqa: SIM115 (open for as long as the run)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            owner = self._file.read().strip() or "another process"
            self._file.close()
            raise BlockingIOError(
                f"{folder} is in use by {owner}: give this run another --out, or end that one") from error
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        self._file.flush()

    def close(self) -> None:
        """Lets others have the folder."""
        self._file.close()


class Run:
    """A folder with checkpoints and a log of JSON lines."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.clock = Clock()
        self.spent = 0.0
        self.annealing = False
        """Whether the rate had begun to fall when the last checkpoint was written."""

    @property
    def seconds(self) -> float:
        """Training time, earlier parts of a resumed run included."""
        return self.spent + self.clock.seconds

    def paused(self, minutes: float) -> bool:
        """Whether this process has had its time; 0 is without end. Running the same command again goes on."""
        return minutes > 0 and self.clock.seconds >= minutes * 60

    def log(self, **values: float | int | str) -> None:
        """Prints a line and appends it to `log.jsonl`."""
        record = {"minutes": round(self.seconds / 60, 2), **values}
        print(json.dumps(record), flush=True)
        with open(self.folder / "log.jsonl", "a") as sink:
            sink.write(json.dumps(record) + "\n")

    def due(self, schedule: Schedule, step: int, every: int, seconds: float | None = None) -> bool:
        """Whether it is time for a checkpoint: every so many steps, and when the rate begins to fall."""
        seconds = self.seconds if seconds is None else seconds
        return step % every == 0 or (schedule.annealing(step, seconds) and not self.annealing)

    def save(self, schedule: Schedule, step: int, seconds: float | None = None, **state: Any) -> None:
        """Writes `checkpoint.pt` whole or not at all, and `stable.pt` too when the rate begins to fall."""
        seconds = self.seconds if seconds is None else seconds
        annealing = schedule.annealing(step, seconds)
        temporary = self.folder / "checkpoint.tmp"
        place = {"step": step, "seconds": seconds, "progress": schedule.progress(step, seconds), "annealing": annealing}
        torch.save({**state, **place}, temporary)
        if annealing and not self.annealing:
            shutil.copyfile(temporary, self.folder / "stable.tmp")
            os.replace(self.folder / "stable.tmp", self.folder / "stable.pt")
        self.annealing = annealing
        os.replace(temporary, self.folder / "checkpoint.pt")

    def resume(self, schedule: Schedule) -> dict[str, Any] | None:
        """The last checkpoint, if there is one.

        A run that is made longer after its rate has begun to fall goes on from `stable.pt`, the state before that.
        """
        path, stable = self.folder / "checkpoint.pt", self.folder / "stable.pt"
        if not path.exists():
            return None
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
        self.annealing = state.get("annealing", False)
        longer = self.annealing and schedule.progress(state["step"], state["seconds"]) < state["progress"]
        if longer and stable.exists():
            state = torch.load(stable, map_location="cpu", weights_only=False)
            self.annealing = False
        self.spent = state["seconds"]
        self.clock = Clock()
        return state


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in -1…1, rounded to bytes as a viewer would get them."""
    a, b = (((x.clamp(-1, 1) + 1) * 127.5).round() for x in (a.float(), b.float()))
    error = (a - b).square().mean().item()
    return 10 * math.log10(255**2 / max(error, 1e-10))
