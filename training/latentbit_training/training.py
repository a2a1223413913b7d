"""What every training has: its options, and a model with its optimizer, its average and its checkpoints."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from . import options
from .loop import (
    OPTIMIZERS,
    PRECISIONS,
    Ema,
    Lock,
    Model,
    Run,
    Schedule,
    SpreadEma,
    check_loss,
    descend,
    optimizer_for,
    share,
)
from .noise_scale import NoiseScale, square_of
from .ranks import APART, PARALLEL, Parallel, Ranks, gathered_state, load_model, load_optimizer
from .seeing import Seeing
from .warm import Past
from .work import Pace, peak_of

Value = TypeVar("Value")


def add_options(p: argparse.ArgumentParser, rate: float) -> None:
    """The options of every training; `rate` is the usual learning rate."""
    p.add_argument("--out", type=Path, required=True, help="folder for checkpoints, logs and what was trained")
    p.add_argument("--steps", type=int, default=20000, help="length of the run")
    p.add_argument("--minutes", type=float, default=0, help="stop (and anneal) by time instead of steps")
    p.add_argument("--pause-after", type=float, default=0, metavar="MINUTES",
                   help="save and end after so many minutes of this call; the same command goes on")
    p.add_argument("--pause-steps", type=int, default=0, metavar="N", help="the same after so many steps of this call")
    p.add_argument("--optimizer", choices=OPTIMIZERS, default="muon",
                   help="muon for matrices and kernels with AdamW for the rest, or AdamW for all")
    p.add_argument("--rate", type=float, default=rate, help="highest learning rate")
    p.add_argument("--anneal", type=share, default=1.0, help="part of the run, at its end, in which the rate falls")
    p.add_argument("--accumulate", type=int, default=1, metavar="N",
                   help="passes of a step, each with a part of its batch: less memory, the same step")
    p.add_argument("--parallel", choices=PARALLEL, default="auto",
                   help="with several ranks (torchrun): a copy of the model on each (ddp), or its weights spread over "
                   "them (fsdp); auto spreads models of 200 million weights and more")
    p.add_argument("--device", default="auto", help="cpu, cuda, or auto: a GPU if there is one")
    p.add_argument("--precision", choices=PRECISIONS, default="auto",
                   help="of what gains from bf16; auto: bf16 where the processor has instructions for it")
    p.add_argument("--threads", type=int, default=1, help="of each rank, on a CPU")
    p.add_argument("--peak-tflops", type=float, metavar="N",
                   help="what a device does at most, for the log's mfu; by default as the data sheets of some GPUs say")
    p.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True, help="compile the model")
    p.add_argument("--seed", type=int, default=1, help="of everything random")
    p.add_argument("--log-every", type=int, default=50, metavar="N", help="steps between lines of the log")
    p.add_argument("--tensorboard", action=argparse.BooleanOptionalAction, default=False,
                   help="write the log for TensorBoard too, in OUT/tensorboard, with pictures of --val")
    p.add_argument("--save-every", type=int, default=500, metavar="N", help="steps between checkpoints")


def tell_options(args: argparse.Namespace) -> None:
    """Keeps the options with the run, and tells on stderr what they are, or what is other than in the call before."""
    first = not (args.out / options.FILE).exists()
    changed = options.store(args.out, args)
    for name, value in (options.plain(args) if first else {}).items():
        print(f"{name}: {value}", file=sys.stderr)
    for name, (before, now) in changed.items():
        print(f"{name} is {now} now; it was {before} in the call before", file=sys.stderr)


class Start:
    """What there is before the model: the ranks, the folder of the run, and its last checkpoint if it goes on.

    While it is open (`with Start(args) as start`) no other run can have the folder.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        torch.set_num_threads(args.threads)
        torch.manual_seed(args.seed)
        self.args = args
        self.ranks = Ranks(args.device)
        self.device = self.ranks.device
        self.schedule = Schedule(args.rate, args.steps, args.minutes, anneal=args.anneal)
        self._lock: Lock | None = None
        self.seeing: Seeing | None = None
        try:
            self._claim()
            self.run = Run(args.out)
            if self.ranks.first:
                tell_options(args)
            self.state = self.run.resume(self.schedule)
            steps = self.ranks.all(self.state["step"] if self.state else None)
            if len(set(steps)) > 1:
                raise ValueError(f"ranks see different checkpoints in {args.out} (steps {steps}): it must be a folder "
                                 "that all machines share")
        except BaseException:
            self.close()
            raise

    def _claim(self) -> None:
        refused: OSError | None = None
        if self.ranks.first:
            try:
                self._lock = Lock(self.args.out)
            except OSError as error:
                refused = error
        free = self.ranks.agreed(float(refused is None))[0]
        if refused is not None:
            raise refused
        if not free:
            raise BlockingIOError(f"the first rank could not have {self.args.out}")

    def __enter__(self) -> Start:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Gives the folder back."""
        if self.seeing is not None:
            self.seeing.close()
        if self._lock is not None:
            self._lock.close()
        self.ranks.close()

    @property
    def fresh(self) -> bool:
        """Whether nothing was trained yet."""
        return self.state is None

    @property
    def before(self) -> Past:
        """What the weights that this run began with had been through, as its checkpoint tells."""
        past: Past = (self.state or {}).get("before", {})
        return past


class Source(Protocol):
    """Something that draws data."""

    @property
    def state(self) -> dict[str, Any]:
        """Where it is: what it draws next follows from it."""

    @state.setter
    def state(self, value: dict[str, Any]) -> None: ...


class Training(Generic[Model]):
    """A model on its way, from the first step or from the last checkpoint.

    A step is `backward` for each pass over a part of its batch, then `update`.
    """

    def __init__(self, start: Start, model: Model, own_noise: bool = False, partly: bool = False) -> None:
        """`own_noise`: the model draws noise, other numbers on each rank; `partly`: steps may leave weights alone."""
        self.args, self.schedule, self.run, self.ranks = start.args, start.schedule, start.run, start.ranks
        self.model, self.own_noise = model, own_noise
        self.parallel = Parallel(self.ranks, model, self.args.parallel, partly)
        self.optimizer = optimizer_for(self.model, self.args.rate, self.args.optimizer)
        self.ema: Ema[Model] | None = None
        if self.parallel.sharded:
            self.ema = SpreadEma(self.model)
        elif self.ranks.first:
            self.ema = Ema(self.model)
        self.step = 0
        self.sources: dict[str, Source] = {}
        self.extra: dict[str, Any] = {}
        """What else a run needs to go on, in checkpoints."""
        self.noise = NoiseScale()
        self._part_square: Tensor | None = None
        self._random: dict[str, Any] = {}
        self._sums: dict[str, list[Tensor]] = {}
        if start.state:
            self._take(start.state)
        elif own_noise and self.ranks.rank:
            torch.manual_seed(self.args.seed + APART * self.ranks.rank)
        self.first_step = self.step
        self.seeing: Seeing | None = None
        """On the first rank."""
        if self.ranks.first:
            self.seeing = start.seeing = Seeing(self.args.out, self.args.tensorboard, self.step)
        self.seconds = self.run.seconds
        self._passes = 0
        peak = self.args.peak_tflops * 1e12 if self.args.peak_tflops else None
        if peak is None and self.ranks.device.type == "cuda":
            peak = peak_of(torch.cuda.get_device_name(self.ranks.device))
        self._pace = Pace(peak * self.ranks.size if peak else None)

    def _take(self, state: dict[str, Any]) -> None:
        load_model(self.model, state["model"])
        if self.ema is not None:
            self.ema.take(state["ema"])
        # A checkpoint that was made small has weights alone.
        if "optimizer" in state:
            load_optimizer(self.optimizer, state["optimizer"])
        self.step = state["step"]
        self.extra = state.get("extra", {})
        self.noise.state = state.get("noise", {})
        seed, rank = self.args.seed + self.step, self.ranks.rank
        torch.manual_seed(seed + APART * rank * self.own_noise)
        # Another seed is a wish for other numbers.
        if state.get("random", {}).get("seed") != self.args.seed:
            return
        self._random = state["random"]
        torches: list[dict[str, Tensor]] = self._random["torch"]
        if rank < len(torches) or not self.own_noise:
            own = torches[min(rank, len(torches) - 1)]
            torch.set_rng_state(own["cpu"])
            if self.ranks.device.type == "cuda" and "cuda" in own:
                torch.cuda.set_rng_state(own["cuda"], self.ranks.device)

    def draws_from(self, name: str, source: Source) -> None:
        """Keeps the state of a source of data in checkpoints: a run that goes on draws what comes next."""
        self.sources[name] = source
        if name in self._random.get("data", {}):
            source.state = self._random["data"][name]

    def split(self, option: str, counts: dict[int, int]) -> None:
        """Checks that steps of so many samples, by the side of the crops, can be split over ranks and passes."""
        parts = self.ranks.size * self.args.accumulate
        for size, count in counts.items():
            if count % parts:
                raise ValueError(
                    f"--{option} makes steps of {count} crops of {size}x{size}, which {self.ranks.size} ranks with "
                    f"{self.args.accumulate} passes each cannot share: they must be a multiple of {parts}")

    def parts(self, count: int) -> list[slice]:
        """Of `count` samples of a step those of this rank, one part for each pass."""
        passes = self.args.accumulate
        return [self.ranks.part(count, index, passes) for index in range(passes)]

    def wrap(self, function: Callable[..., Value], usual: Callable[..., bool] | None = None) -> Callable[..., Value]:
        """A function of the model, made parallel, and compiled if asked for (for arguments that are `usual`)."""
        return self.parallel.wrap(function, self.args.compile, usual)

    @property
    def progress(self) -> float:
        """0 at the start, 1 at the end."""
        return self.schedule.progress(self.step, self.seconds)

    @property
    def goes_on(self) -> bool:
        """Whether there is another step, in this process."""
        done = self.args.pause_steps and self.step - self.first_step >= self.args.pause_steps
        paused = done or self.run.paused(self.args.pause_after)
        self.seconds, ends = self.ranks.agreed(self.run.seconds, float(paused))
        self._pace.begin()
        return self.progress < 1 and not ends

    @property
    def minutes(self) -> float:
        """Training time, earlier parts included."""
        return self.run.seconds / 60

    def backward(self, loss: Tensor, **terms: Tensor) -> None:
        """The gradients of one pass; `terms` are averaged until the next line of the log."""
        passes = self.args.accumulate
        if self._passes == 0:
            self.optimizer.zero_grad(set_to_none=True)
        self._passes += 1
        # On every rank alike: they end together.
        check_loss(self.ranks.means([loss.item()])[0], self.step)
        self.parallel.last_pass(self._passes == passes)
        (loss / passes if passes > 1 else loss).backward()
        if self._passes == 1 and passes > 1 and self.ranks.size == 1:
            gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
            self._part_square = square_of(gradients) * passes**2
        for name, value in terms.items():
            self._sums.setdefault(name, []).append(value.detach())

    def _take_noise(self, kind: str, samples: int, norm: float) -> None:
        """Compares the gradient of a step with that of its first pass or, on copies of the model, of each rank."""
        parts = self.ranks.size if self.ranks.size > 1 else self.args.accumulate
        square = self._part_square if self.ranks.size == 1 else self.parallel.own_square()
        self._part_square = None
        if square is not None:
            mean = self.ranks.means([float(square)])[0]
            if math.isfinite(mean) and math.isfinite(norm):
                self.noise.take(kind, samples // parts, mean, samples, norm**2)

    def update(self, kind: str, samples: int, work: Callable[[], float] | None = None) -> dict[str, float]:
        """Ends a step of so many samples of a kind, whose FLOP `work` counts, of all ranks; what the log tells."""
        rate = self.schedule.rate(self.step, self.seconds)
        norm = descend(self.optimizer, rate)
        self._take_noise(kind, samples, norm)
        if self.ema is not None:
            self.ema.update(self.model, self.step)
        self.step += 1
        self._passes = 0
        self._pace.end(samples, work)
        if self.seeing is not None:
            self.seeing.advance(self.progress, self.step, f"rate {rate:.2g} norm {norm:.2g}")
        return {"rate": round(rate, 6), "norm": round(norm, 3), **self.noise.told()}

    def averages(self, digits: int) -> dict[str, float]:
        """Means of the terms since the last line of the log, over all ranks."""
        own = {name: sum(v.item() for v in values) / len(values) for name, values in sorted(self._sums.items())}
        self._sums = {}
        means = self.ranks.means(list(own.values()))
        return {name: round(value, digits) for name, value in zip(own, means, strict=True)}

    def pace(self) -> dict[str, float]:
        """How fast the steps since the last line of the log went."""
        return self._pace.told()

    @property
    def logs(self) -> bool:
        """Whether it is time for a line of the log."""
        return self.step % int(self.args.log_every) == 0

    @property
    def saves(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self.run.due(self.schedule, self.step, self.args.save_every, self.seconds)

    def log(self, **values: float | int | str) -> None:
        """A line of the log, with the step."""
        if self.ranks.first:
            self.run.log(step=self.step, **values)
        if self.seeing is not None:
            self.seeing.scalars(self.step, values)

    def log_size(self, **values: float | int | str) -> None:
        """The first line of the log: how many parameters there are, and the ranks if there are several."""
        ranks = {"ranks": self.ranks.size} if self.ranks.size > 1 else {}
        self.log(parameters=sum(p.numel() for p in self.model.parameters()), **ranks, **values)

    def averaged(self) -> Model | None:
        """The averaged model, on the first rank; all ranks call it."""
        if isinstance(self.ema, SpreadEma):
            state = gathered_state(dict(zip(self.ema.names, self.ema.weights, strict=True)))
            if self.parallel.plain is None:
                return None
            self.parallel.plain.load_state_dict(state)
            found: Model = self.parallel.plain.to(self.ranks.device).eval()  # type: ignore[assignment]
            return found
        return self.ema.model if self.ema is not None else None

    def _random_state(self) -> dict[str, Any]:
        own = {"cpu": torch.get_rng_state()}
        if self.ranks.device.type == "cuda":
            own["cuda"] = torch.cuda.get_rng_state(self.ranks.device)
        data = {name: source.state for name, source in self.sources.items()}
        return {"seed": self.args.seed, "torch": self.ranks.all(own), "data": data}

    def save(self, **more: Any) -> None:
        """Writes a checkpoint, with `more` in it; all ranks call it."""
        (self.seconds,) = self.ranks.agreed(self.run.seconds)
        random = self._random_state()
        model, optimizer = gathered_state(self.model.state_dict()), gathered_state(self.optimizer.state_dict())
        if isinstance(self.ema, SpreadEma):
            averages = gathered_state(dict(zip(self.ema.names, self.ema.weights, strict=True)))
        else:
            averages = self.ema.model.state_dict() if self.ema is not None else {}
        if not self.ranks.first:
            self.run.annealing = self.schedule.annealing(self.step, self.seconds)
            return
        self.run.save(self.schedule, self.step, seconds=self.seconds, model=model, ema=averages, optimizer=optimizer,
                      random=random, extra=self.extra, noise=self.noise.state, **more)
