"""The processes of one run: a single one, or several ranks that torchrun started, on one machine or many.

Ranks draw the same random numbers for a step and take their parts of its samples, so a run has the same batches and the
same schedule whatever their number. What is averaged over a batch is averaged over ranks (`Ranks.mean`).
"""

from __future__ import annotations

import copy
import datetime
import os
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .noise_scale import square_of

PARALLEL = ("auto", "ddp", "fsdp")
SHARDED_FROM = 200_000_000
"""Weights from which `auto` shards a model: weights, gradients and optimizer of it take more than 3 GB."""
APART = 1_000_003
"""Between the seeds of two ranks."""
PATIENCE = datetime.timedelta(minutes=60)
"""How long ranks wait for one another: the first one measures and saves alone. One that died is noticed in seconds."""

Value = TypeVar("Value")


def device_of(name: str) -> torch.device:
    """`auto` takes a GPU when there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


class Ranks:
    """This process among those of the run."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device_of(device)
        self.rank, self.size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        if self.size == 1:
            self.rank = 0
            return
        gpu = self.device.type == "cuda"
        if gpu:
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(self.device)
        dist.init_process_group("nccl" if gpu else "gloo", timeout=PATIENCE, device_id=self.device if gpu else None)

    def close(self) -> None:
        """Leaves the other ranks."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes, measures and tells."""
        return self.rank == 0

    def mean(self, value: Tensor) -> Tensor:
        """The mean over ranks, with the gradient of this rank's own part.

        Gradients are averaged over ranks afterwards: together that is the gradient of a function of the mean.
        """
        return value if self.size == 1 else self._mean(value)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _mean(self, value: Tensor) -> Tensor:
        total = value.detach().clone()
        dist.all_reduce(total)
        return value + (total / self.size - value.detach())

    def means(self, values: list[float]) -> list[float]:
        """Means over ranks of numbers; every rank gives as many."""
        if self.size == 1 or not values:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        found: list[float] = (total / self.size).tolist()
        return found

    def gathered(self, value: Tensor) -> Tensor:
        """The tensors of all ranks, which are of one shape, one behind the other along the first dimension."""
        if self.size == 1:
            return value
        parts = [torch.empty_like(value) for _ in range(self.size)]
        dist.all_gather(parts, value.contiguous())
        return torch.cat(parts)

    def agreed(self, *values: float) -> list[float]:
        """The numbers of the first rank."""
        if self.size == 1:
            return list(values)
        box = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.broadcast(box, src=0)
        found: list[float] = box.tolist()
        return found

    def all(self, value: Value) -> list[Value]:
        """What each rank says."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def part(self, count: int, index: int = 0, parts: int = 1) -> slice:
        """Which of `count` samples of a step are this rank's, in pass `index` of `parts`."""
        each = count // (self.size * parts)
        start = (self.rank * parts + index) * each
        return slice(start, start + each)


def same(value: Tensor) -> Tensor:
    """`Ranks.mean` of a single rank."""
    return value


class Whole(nn.Module):
    """A model and the function of it whose outputs make the loss: the module that is made parallel."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.function: Callable[..., Any] | None = None

    def forward(self, *values: Any) -> Any:
        assert self.function is not None
        return self.function(*values)


def _layers(module: nn.Module) -> list[nn.Module]:
    """The outermost members of lists of modules: a model's layers or blocks."""
    found: list[nn.Module] = []
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            found += [layer for layer in child if any(True for _ in layer.parameters())]
        else:
            found += _layers(child)
    return found


def _compiled(function: Callable[..., Value], usual: Callable[..., bool] | None) -> Callable[..., Value]:
    fast = torch.compile(function, dynamic=False)
    if usual is None:
        return fast
    return lambda *values: (fast if usual(*values) else function)(*values)


class Parallel:
    """A model on several ranks: copied to each (DDP), or its weights spread over them (FSDP2)."""

    def __init__(self, ranks: Ranks, model: nn.Module, kind: str = "auto", partly: bool = False) -> None:
        """`partly`: some steps leave some of the weights alone."""
        self.ranks, self.model = ranks, model.to(ranks.device)
        weights = sum(p.numel() for p in model.parameters())
        self.sharded = ranks.size > 1 and (kind == "fsdp" or (kind == "auto" and weights >= SHARDED_FROM))
        self.inner = Whole(self.model)
        self.whole: nn.Module = self.inner
        self.plain: nn.Module | None = None
        """On the first rank, a module with whole weights to fill and to measure with, where the model's are spread."""
        if self.sharded:
            from torch.distributed.device_mesh import init_device_mesh
            from torch.distributed.fsdp import fully_shard

            if ranks.first:
                self.plain = copy.deepcopy(model).to("cpu").requires_grad_(False)
            mesh = init_device_mesh(ranks.device.type, (ranks.size,))
            for layer in _layers(self.model):
                fully_shard(layer, mesh=mesh)
            fully_shard(self.whole, mesh=mesh)
            # Of outputs that are views: nothing here changes one in place.
            warnings.filterwarnings("ignore", message="FSDP2-wrapped module")
        elif ranks.size > 1:
            from torch.nn.parallel import DistributedDataParallel

            self.whole = DistributedDataParallel(
                self.whole, device_ids=[ranks.device] if ranks.device.type == "cuda" else None,
                find_unused_parameters=partly, gradient_as_bucket_view=True)
            self.whole.register_comm_hook(None, lambda _, bucket: self._averaged(bucket))
        self._own_squares: list[Tensor] = []

    def _averaged(self, bucket: Any) -> Any:
        """DDP's own average over ranks, after a look at what this rank brings to it."""
        from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

        self._own_squares.append(square_of([bucket.buffer()]))
        assert dist.group.WORLD is not None
        return allreduce_hook(dist.group.WORLD, bucket)

    def own_square(self) -> Tensor | None:
        """The squared length of this rank's own gradient of the step that ends, where DDP has averaged it."""
        squares, self._own_squares = self._own_squares, []
        return torch.stack(squares).sum() if squares else None

    def wrap(
        self, function: Callable[..., Value], compiled: bool, usual: Callable[..., bool] | None = None
    ) -> Callable[..., Value]:
        """`function` of the model, so that gradients of what it returns are averaged over ranks.

        `usual` tells for which arguments it is worth compiling.
        """
        if compiled and self.sharded:
            for layer in _layers(self.model):
                layer.compile(dynamic=False)
        elif compiled:
            function = _compiled(function, usual)
        if self.ranks.size == 1:
            return function
        self.inner.function = function
        return self.whole

    def last_pass(self, last: bool) -> None:
        """Whether the next backward pass ends a step: only then are gradients averaged."""
        if self.sharded:
            self.inner.set_requires_gradient_sync(last)  # type: ignore[operator] # FSDP2 gave it this
        elif self.ranks.size > 1:
            self.whole.require_backward_grad_sync = last  # type: ignore[assignment] # of DDP


# FSDP2 makes tensors `DTensor`s. Importing what knows them takes a second, which a single rank does without.


def is_spread(value: Any) -> bool:
    """Whether a tensor is spread over ranks."""
    return hasattr(value, "full_tensor")


def local(value: Tensor) -> Tensor:
    """What this rank holds of a tensor, to be changed in place."""
    return value.to_local() if is_spread(value) else value  # type: ignore[attr-defined]


def whole(value: Any) -> Any:
    """A tensor put together from all ranks, on the CPU where it was spread; all ranks call it. Anything else as is."""
    return value.full_tensor().cpu() if is_spread(value) else value


def spread(value: Tensor, like: Any) -> Tensor:
    """A whole tensor spread as another one is."""
    if not is_spread(like):
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


def joined(part: Tensor, like: Any) -> Tensor:
    """The whole tensor of which `part` is what this rank holds, if it is spread as `like` is; all ranks call it."""
    if not is_spread(like):
        return part
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(part, like.device_mesh, like.placements, shape=like.shape, stride=like.stride(),
                              run_check=False).full_tensor()


def gathered_state(state: dict[str, Any]) -> dict[str, Any]:
    """A state dictionary, of a model or an optimizer, with whole tensors."""
    return {name: gathered_state(value) if isinstance(value, dict) else whole(value) for name, value in state.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Takes a state with whole tensors, whatever the optimizer's are."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    shared = {
        index: {name: spread(value, parameters[index])
                if isinstance(value, Tensor) and value.shape == parameters[index].shape else value
                for name, value in values.items()}
        for index, values in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": shared})


@torch.no_grad()
def load_model(model: nn.Module, state: dict[str, Tensor]) -> None:
    """As `load_state_dict`, from whole tensors."""
    own = model.state_dict()
    model.load_state_dict({name: spread(value, own[name]) if name in own else value for name, value in state.items()})
