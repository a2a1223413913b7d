"""What training a tokenizer takes on given GPUs: batches that fit, memory, operations, time. Estimates, not promises.

    latentbit-train estimate
    latentbit-train estimate --vae wan21 --tokenizer small --machines 1x24@71 --size 128

Memory and operations are counted on shapes, without running anything: what the forward pass keeps for the backward
pass on a GPU in bf16, the largest tensors beside that, and weights, gradients, optimizer and averages. What the driver,
fragmentation and kernels' own workspace take is not in it, hence `--fill`. The time follows from an assumed MFU.
"""

from __future__ import annotations

import argparse
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .config import TOKENIZER_PRESETS, VAE_PRESETS, TokenizerConfig, VaeConfig
from .loop import OPTIMIZERS, optimizer_for
from .options import Parser
from .ranks import SHARDED_FROM
from .tokenizer import Tokenizer
from .vae import ResidualBlock, WanVae
from .work import Counted, Shape, tokenizer_step

MACHINES = ("1x24@71", "1x80@989", "8x80@989")
"""An RTX 3090, an H100, eight of them."""
TEMPORARIES = 3
"""How many of the largest tensors live at once in the backward pass, beside what was kept for it."""


class Live(TorchDispatchMode):
    """Counts the bytes of tensors that are made while it is on and are still there."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch's own
        self.now = self.peak = self.largest = 0
        self._known: set[int] = set()

    def _freed(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {v.untyped_storage()._cdata for v in tree_leaves((args, kwargs)) if isinstance(v, Tensor)}
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if not isinstance(value, Tensor):
                continue
            storage = value.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            # A view of what goes in is nothing new.
            if key in self._known or key in before:
                continue
            self._known.add(key)
            weakref.finalize(storage, self._freed, key, size)
            self.now += size
            self.peak, self.largest = max(self.peak, self.now), max(self.largest, size)
        return out


class Kept(NamedTuple):
    """Bytes of a forward pass."""

    saved: int
    """Still there at its end, for the backward pass."""
    peak: int
    block: int
    """The most that one of the VAE's residual blocks keeps, if its inside is kept."""
    largest: int

    def step(self, recompute: bool) -> int:
        """The most that a step holds beside weights and what belongs to them."""
        return max(self.peak, self.saved + (self.block if recompute else 0) + TEMPORARIES * self.largest)


def kept(step: Callable[[], Tensor], blocks: list[ResidualBlock]) -> Kept:
    """What a step's loss keeps; `blocks` are those of a decoder."""
    inside = [0]
    with Live() as live:
        def before(_module: nn.Module, _inputs: Any) -> None:
            starts.append(live.now)

        def after(_module: nn.Module, _inputs: Any, _output: Any) -> None:
            inside.append(live.now - starts.pop())

        starts: list[int] = []
        hooks = [h for b in blocks for h in (b.register_forward_pre_hook(before), b.register_forward_hook(after))]
        loss = step()
        saved = live.now
        for hook in hooks:
            hook.remove()
        found = Kept(saved, live.peak, max(inside), live.largest)
        del loss
    return found


@contextmanager
def pretended(bf16: bool) -> Iterator[str]:
    """Inside, tensors are on a GPU that does not exist, and have no values; yields the name of that device."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    # `torch.autocast` looks for a real GPU first.
    before = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")
    with FakeTensorMode(allow_non_fake_inputs=True):
        torch.set_autocast_enabled("cuda", bf16)
        torch.set_autocast_dtype("cuda", torch.bfloat16)
        try:
            yield "cuda"
        finally:
            torch.set_autocast_enabled("cuda", before[0])
            torch.set_autocast_dtype("cuda", before[1])
            torch.clear_autocast_cache()


def _keep_tables(vae: VaeConfig, tokenizer: TokenizerConfig, shape: Shape) -> None:
    """Has tables of positions and windows made of values, and kept: on a pretended GPU there are none."""
    with torch.device("meta"):
        model = Tokenizer(replace(tokenizer, encoder_layers=min(2, tokenizer.encoder_layers), decoder_layers=0))
    time, rows, columns = vae.strides
    frames = min(tokenizer.chunk_latent_frames, 1 + (shape.frames - 1) // time)
    side = (shape.size // rows, shape.size // columns)
    model.encode(torch.zeros(1, vae.latent_channels, frames, *side, device="meta"))


def tokenizer_memory(vae: VaeConfig, tokenizer: TokenizerConfig, shape: Shape, recompute: bool,
                     bf16: bool = True) -> int:
    """Bytes of a step beside weights and what belongs to them."""
    _keep_tables(vae, tokenizer, shape)

    def of(again: bool) -> Kept:
        with pretended(bf16) as device:
            with torch.device(device):
                frozen, model = WanVae(vae).requires_grad_(False), Tokenizer(tokenizer)
            frozen.decoder.recompute(again)
            blocks = [module for module in frozen.decoder.modules() if isinstance(module, ResidualBlock)]
            return kept(lambda: tokenizer_step(frozen, model, shape, device), blocks)

    found = of(False)
    return of(True)._replace(block=found.block).step(True) if recompute else found.step(False)


def state_bytes(vae: VaeConfig, tokenizer: TokenizerConfig, optimizer: str, ranks: int) -> int:
    """Bytes of weights, gradients, optimizer and averages on the first rank, all f32."""
    with torch.device("meta"):
        model, frozen = Tokenizer(tokenizer), WanVae(vae)
    own, others = (sum(p.numel() for p in module.parameters()) for module in (model, frozen))
    groups = optimizer_for(model, 1e-3, optimizer).param_groups
    moments = sum(p.numel() * (1 if group.get("muon") else 2) for group in groups for p in group["params"])
    spread = ranks if ranks > 1 and own >= SHARDED_FROM else 1
    return 4 * ((3 * own + moments) // spread + others)


class Run(NamedTuple):
    """A training on given GPUs."""

    images: int
    """Of a step, all ranks together; 0: not one fits."""
    clips: int
    gigabytes: float
    """Of one GPU."""
    latent_tflop: float
    """Of a step that matches latents alone, of images and clips on average."""
    pixel_tflop: float


class Needs:
    """What steps of a tokenizer on a VAE need, per sample."""

    def __init__(self, vae: VaeConfig, tokenizer: TokenizerConfig, size: int, clip_chunks: int,
                 recompute: bool) -> None:
        self.vae, self.tokenizer = vae, replace(tokenizer, latent_channels=vae.latent_channels)
        frames = 1 + vae.strides[0] * (tokenizer.chunk_latent_frames * clip_chunks - 1)
        counted = Counted(tokenizer_step, vae, self.tokenizer)
        self.flops: dict[int, tuple[float, float]] = {}
        """Of an image (1 frame) and a clip: matched by their latents alone, and through the VAE."""
        self.bytes: dict[int, tuple[int, int]] = {}
        """What a pass needs for none of them, and for each."""
        self.frames = (1, frames)
        for length in self.frames:
            self.flops[length] = (counted.flops(Shape(1, length, size, False, False)),
                                  counted.flops(Shape(1, length, size)))
            one, two = (tokenizer_memory(vae, self.tokenizer, Shape(n, length, size), recompute) for n in (1, 2))
            self.bytes[length] = (max(0, 2 * one - two), max(1, two - one))

    def on(self, ranks: int, gigabytes: float, fill: float, most: tuple[int, int], clip_share: float,
           optimizer: str) -> Run:
        """The largest steps that fit, of at most so many images and clips, in powers of two for each GPU."""
        state = state_bytes(self.vae, self.tokenizer, optimizer, ranks)
        free = gigabytes * 1e9 * fill - state
        counts, used = [], 0.0
        for length, limit in zip(self.frames, most, strict=True):
            base, each = self.bytes[length]
            count = int(min((free - base) // each, limit // ranks))
            count = 1 << (count.bit_length() - 1) if count > 0 else 0
            counts.append(count * ranks)
            used = max(used, base + count * each)
        shares = (1 - clip_share, clip_share)
        tflops = [sum(share * count * self.flops[length][phase] for share, count, length in
                      zip(shares, counts, self.frames, strict=True)) / 1e12 for phase in (0, 1)]
        return Run(counts[0], counts[1], (state + used) / 1e9, tflops[0], tflops[1])


def machine(text: str) -> tuple[int, float, float]:
    """An argument RANKSxGIGABYTES@TFLOPS."""
    ranks, _, rest = text.partition("x")
    gigabytes, _, tflops = rest.partition("@")
    return int(ranks), float(gigabytes), float(tflops)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    p = Parser("estimate", __doc__)
    p.add_argument("--vae", choices=sorted(VAE_PRESETS), nargs="+", default=["wan21", "wan22"])
    p.add_argument("--tokenizer", choices=sorted(TOKENIZER_PRESETS), nargs="+", default=["small", "large"])
    p.add_argument("--machines", type=machine, nargs="+", metavar="NxGB@TFLOPS",
                   default=[machine(text) for text in MACHINES],
                   help=f"GPUs, the gigabytes of each, what each does at most in bf16; default: {' '.join(MACHINES)}")
    p.add_argument("--size", type=int, default=128, help="side of the crops, pixels")
    p.add_argument("--clip-chunks", type=int, default=1, help="chunks of each clip")
    p.add_argument("--clip-share", type=float, default=0.35, help="part of the steps that train on clips")
    p.add_argument("--most", type=int, nargs=2, default=(64, 16), metavar="N",
                   help="images and clips of a step, at most")
    p.add_argument("--optimizer", choices=OPTIMIZERS, default="muon")
    p.add_argument("--recompute", action=argparse.BooleanOptionalAction, default=True,
                   help="as in latentbit-train tokenizer")
    p.add_argument("--fill", type=float, default=0.8, help="part of the memory that may be planned with")
    p.add_argument("--steps", type=int, default=100_000)
    p.add_argument("--pixel-start", type=float, default=0.8, help="part of the run that matches latents alone")
    p.add_argument("--mfu", type=float, default=0.15, help="part of the TFLOP/s that is reached: an assumption")
    args = p.parse_args(argv)
    print("| VAE | tokenizer | GPUs | images, clips of a step | GB of each GPU | TFLOP of a step: latents, pixels | "
          f"hours for {args.steps:,} steps |\n|---|---|---|---|---|---|---|")
    for vae in args.vae:
        for tokenizer in args.tokenizer:
            needs = Needs(VAE_PRESETS[vae](), TOKENIZER_PRESETS[tokenizer](), args.size, args.clip_chunks,
                          args.recompute)
            for ranks, gigabytes, tflops in args.machines:
                run = needs.on(ranks, gigabytes, args.fill, tuple(args.most), args.clip_share, args.optimizer)
                mean = args.pixel_start * run.latent_tflop + (1 - args.pixel_start) * run.pixel_tflop
                hours = args.steps * mean / (args.mfu * tflops * ranks) / 3600
                fits = run.images and run.clips
                print(f"| {vae} | {tokenizer} | {ranks} x {gigabytes:g} GB | " + (
                    f"{run.images}, {run.clips} | {run.gigabytes:.0f} | {run.latent_tflop:.2g}, "
                    f"{run.pixel_tflop:.2g} | {hours:.2g} |" if fits else "do not fit | - | - | - |"), flush=True)
