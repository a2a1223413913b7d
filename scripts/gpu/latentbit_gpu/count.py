"""The work of a task, operator by operator: operations, and bytes that must move, counted without computing.

The modules run on PyTorch's meta device, which knows shapes and no values, so that the largest sizes take seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from latentbit_training.tokenizer import Tokenizer, patchify
from latentbit_training.vae import WanVae
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from .streaming import StreamingVae

aten = torch.ops.aten
CONVOLUTIONS = (aten.convolution, aten._convolution)
PRODUCTS = (aten.mm, aten.addmm)
"""Operators whose operands and results count in bytes. Those of attention do not: they could stay on the chip."""


@dataclass(frozen=True)
class Operator:
    """One call: operations (two per multiply-add), and bytes read and written once each."""

    kind: str
    flops: float
    bytes: float


@dataclass
class Work:
    """All of a task."""

    operators: list[Operator] = field(default_factory=list)

    @property
    def flops(self) -> float:
        return sum(each.flops for each in self.operators)

    @property
    def bytes(self) -> float:
        return sum(each.bytes for each in self.operators)

    def floor(self, rate: float, bandwidth: float) -> float:
        """Lower bound in seconds: each operator takes the longer of computing and moving."""
        return sum(max(each.flops / rate, each.bytes / bandwidth) for each in self.operators)

    def by_kind(self) -> dict[str, float]:
        """Operations of each kind."""
        found: dict[str, float] = {}
        for each in self.operators:
            found[each.kind] = found.get(each.kind, 0.0) + each.flops
        return found


class Counter(TorchDispatchMode):
    """Records the operators that have operations."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.work = Work()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        if packet in flop_registry:
            flops = float(flop_registry[packet](*args, **(kwargs or {}), out_val=out))
            kind = "convolution" if packet in CONVOLUTIONS else "product" if packet in PRODUCTS else "attention"
            moved = 0 if kind == "attention" else sum(t.numel() * t.itemsize for t in tensors((args, out)))
            self.work.operators.append(Operator(kind, flops, moved))
        return out


def tensors(values: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples and lists."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (tuple, list)):
        for value in values:
            yield from tensors(value)


@contextmanager
def counted(work: Work) -> Iterator[None]:
    """Adds what runs inside."""
    with torch.no_grad(), Counter() as counter:
        yield
    work.operators += counter.work.operators


def of_task(vae: WanVae, tokenizer: Tokenizer | None, task: str, size: tuple[int, int], frames: int,
            dtype: torch.dtype) -> Work:
    """The work of `encode`, `decode`, `vae-encode` or `vae-decode` for frames of `size` (width, height).

    Modules are moved to the meta device and lose their values.
    """
    time, rows, columns = vae.config.strides
    width, height = size
    length = -(-frames // time)
    latent = torch.empty(1, vae.config.latent_channels, length, height // rows, width // columns, device="meta",
                         dtype=dtype)
    encodes = task in ("encode", "vae-encode")
    work = of_vae(vae.to("meta", dtype), latent.new_empty(1, 3, 1 + time, height, width) if encodes else latent, length)
    if task in ("encode", "decode"):
        assert tokenizer
        work.operators += of_tokenizer(tokenizer.to("meta", dtype), task, latent).operators
    return work


def of_vae(vae: WanVae, x: Tensor, length: int) -> Work:
    """Half of the VAE: the encoder if `x` is frames, else the decoder; for `length` latent frames.

    It works in steps of one latent frame, in which no tap of a convolution meets the zeros before the first frame. All
    steps but the first are the same.
    """
    stream, first, later = StreamingVae(vae), Work(), Work()
    step = stream.encode_step if x.shape[1] == 3 else stream.decode_step
    with counted(first):
        _, state = step(x[:, :, :1], [])
    if length > 1:
        with counted(later):
            step(x[:, :, 1 : 1 + vae.config.strides[0]] if x.shape[1] == 3 else x[:, :, 1:2], state)
    return Work(first.operators + later.operators * (length - 1))


def of_tokenizer(tokenizer: Tokenizer, task: str, latent: Tensor) -> Work:
    """Half of the tokenizer, chunk by chunk."""
    work = Work()
    for chunk in latent.split(tokenizer.config.chunk_latent_frames, dim=2):
        x, grid = patchify(chunk, tokenizer.config.patch)
        code = x.new_empty(*x.shape[:2], tokenizer.config.bits)
        half: Callable[..., Tensor] = tokenizer.encoder if task == "encode" else tokenizer.decoder
        with counted(work):
            half(x if task == "encode" else code, grid)
    return work


def of_bundle(path: Path, task: str, size: tuple[int, int], frames: int, dtype: torch.dtype) -> Work:
    """Likewise for a bundle's file."""
    from latentbit_training import bundle

    _, vae, tokenizer = bundle.load(path)
    return of_task(vae, tokenizer, task, size, frames, dtype)
