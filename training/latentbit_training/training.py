"""What every training has: its options, and a model with its optimizer, its average and its checkpoints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Generic

import torch
from torch import Tensor

from . import options
from .loop import OPTIMIZERS, Ema, Model, Run, Schedule, device_of, optimizer_for, share, step_with
from .warm import Past


def add_options(p: argparse.ArgumentParser, rate: float) -> None:
    """The options of every training; `rate` is the usual learning rate."""
    p.add_argument("--out", type=Path, required=True, help="folder for checkpoints, logs and what was trained")
    p.add_argument("--steps", type=int, default=20000)
    p.add_argument("--minutes", type=float, default=0, help="stop (and anneal) by time instead of steps")
    p.add_argument("--pause-after", type=float, default=0, metavar="MINUTES",
                   help="save and end after so many minutes of this call; the same command goes on")
    p.add_argument("--optimizer", choices=OPTIMIZERS, default="muon")
    p.add_argument("--rate", type=float, default=rate)
    p.add_argument("--anneal", type=share, default=1.0, help="part of the run, at its end, in which the rate falls")
    p.add_argument("--device", default="auto")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--log-every", type=int, default=50)
    p.add_argument("--save-every", type=int, default=500)


def tell_options(args: argparse.Namespace) -> None:
    """Keeps the options with the run, and tells on stderr what they are, or what is other than in the call before."""
    first = not (args.out / options.FILE).exists()
    changed = options.store(args.out, args)
    for name, value in (options.plain(args) if first else {}).items():
        print(f"{name}: {value}", file=sys.stderr)
    for name, (before, now) in changed.items():
        print(f"{name} is {now} now; it was {before} in the call before", file=sys.stderr)


class Start:
    """What there is before the model: the folder of the run, and its last checkpoint if it goes on."""

    def __init__(self, args: argparse.Namespace) -> None:
        torch.set_num_threads(args.threads)
        torch.manual_seed(args.seed)
        self.args = args
        self.device = device_of(args.device)
        self.schedule = Schedule(args.rate, args.steps, args.minutes, anneal=args.anneal)
        self.run = Run(args.out)
        tell_options(args)
        self.state = self.run.resume(self.schedule)

    @property
    def fresh(self) -> bool:
        """Whether nothing was trained yet."""
        return self.state is None

    @property
    def before(self) -> Past:
        """What the weights that this run began with had been through, as its checkpoint tells."""
        past: Past = (self.state or {}).get("before", {})
        return past


class Training(Generic[Model]):
    """A model on its way, from the first step or from the last checkpoint."""

    def __init__(self, start: Start, model: Model) -> None:
        self.args, self.schedule, self.run = start.args, start.schedule, start.run
        self.model = model.to(start.device)
        self.optimizer = optimizer_for(self.model, self.args.rate, self.args.optimizer)
        self.ema = Ema(self.model)
        self.step = 0
        if start.state:
            self._take(start.state)

    def _take(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.ema.model.load_state_dict(state["ema"])
        # A checkpoint that was made small has weights alone.
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        torch.manual_seed(self.args.seed + self.step)

    @property
    def progress(self) -> float:
        """0 at the start, 1 at the end."""
        return self.schedule.progress(self.step, self.run.seconds)

    @property
    def goes_on(self) -> bool:
        """Whether there is another step, in this process."""
        return self.progress < 1 and not self.run.paused(self.args.pause_after)

    @property
    def minutes(self) -> float:
        """Training time, earlier parts included."""
        return self.run.seconds / 60

    def update(self, loss: Tensor) -> dict[str, float]:
        """A step; returns what the log tells of it."""
        rate = self.schedule.rate(self.step, self.run.seconds)
        norm = step_with(self.optimizer, loss, rate, self.step)
        self.ema.update(self.model, self.step)
        self.step += 1
        return {"rate": round(rate, 6), "norm": round(norm, 3)}

    @property
    def logs(self) -> bool:
        """Whether it is time for a line of the log."""
        return self.step % int(self.args.log_every) == 0

    @property
    def saves(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self.run.due(self.schedule, self.step, self.args.save_every)

    def log(self, **values: float | int | str) -> None:
        """A line of the log, with the step."""
        self.run.log(step=self.step, **values)

    def log_size(self, **values: float | int | str) -> None:
        """The first line of the log: how many parameters there are."""
        self.log(parameters=sum(p.numel() for p in self.model.parameters()), **values)

    def save(self, **more: Any) -> None:
        """Writes a checkpoint, with `more` in it."""
        self.run.save(self.schedule, self.step, model=self.model.state_dict(), ema=self.ema.model.state_dict(),
                      optimizer=self.optimizer.state_dict(), **more)
