"""The transformer of the tokenizer: pre-norm, 3D rotary positions, attention in (shifted) windows."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Kernel

Grid = tuple[int, int, int]


class RmsNorm(nn.Module):
    """Unit RMS over the last dimension times a learned gain; epsilon 1e-6 under the root."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        return (wide * (wide.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * self.gamma.float()).to(x.dtype)


def axis_pairs(head_dim: int) -> tuple[int, int, int]:
    """How many rotary pairs of a head turn with time, row and column: a quarter, then half of the rest each."""
    pairs = head_dim // 2
    time = pairs // 4
    rows = (pairs - time) // 2
    return time, rows, pairs - time - rows


@functools.lru_cache(maxsize=64)
def _rotary_tables(grid: Grid, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine of (tokens, head_dim / 2) angles: position times theta^(-i/n) for pair i of an axis' n."""
    angles = []
    for axis, count in enumerate(axis_pairs(head_dim)):
        frequency = theta ** (-torch.arange(count, dtype=torch.float64) / max(count, 1))
        position = torch.arange(grid[axis], dtype=torch.float64).view([-1 if a == axis else 1 for a in range(3)])
        angles.append((position.expand(grid).flatten()[:, None]) * frequency)
    table = torch.cat(angles, dim=1)
    return table.cos().float(), table.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns neighbouring pairs (2i, 2i+1) of (B, ..., heads, head_dim), with tables of (..., head_dim / 2)."""
    pairs = x.float().unflatten(-1, (-1, 2))
    cos, sin = cos[..., None, :], sin[..., None, :]
    if not x.is_cuda and not torch.compiler.is_compiling():
        # One product of complex numbers takes a CPU a sixth of the time of the six steps below, backwards too.
        return torch.view_as_real(torch.view_as_complex(pairs) * torch.complex(cos, sin)).flatten(-2).to(x.dtype)
    a, b = pairs.unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2).to(x.dtype)


def to_windows(x: Tensor, grid: Grid, window: tuple[int, ...], shift: tuple[int, ...]) -> Tensor:
    """(B, tokens, ...) to (B, windows, tokens per window, ...), zero-padded to whole windows and rolled."""
    x = x.unflatten(1, grid)
    padding = [0, 0] * (x.ndim - 4)
    for size, w in zip(reversed(grid), reversed(window), strict=True):
        padding += [0, -size % w]
    x = F.pad(x, padding) if any(padding) else x
    if any(shift):
        x = torch.roll(x, [-s for s in shift], dims=(1, 2, 3))
    b, t, h, w = x.shape[:4]
    x = x.reshape(b, t // window[0], window[0], h // window[1], window[1], w // window[2], window[2], *x.shape[4:])
    x = x.transpose(2, 3).transpose(4, 5).transpose(3, 4)
    return x.flatten(4, 6).flatten(1, 3)


def from_windows(x: Tensor, grid: Grid, window: tuple[int, ...], shift: tuple[int, ...]) -> Tensor:
    """The way back of `to_windows`."""
    counts = [-(-size // w) for size, w in zip(grid, window, strict=True)]
    x = x.unflatten(2, window).unflatten(1, counts)
    x = x.transpose(3, 4).transpose(4, 5).transpose(2, 3)
    x = x.flatten(5, 6).flatten(3, 4).flatten(1, 2)
    if any(shift):
        x = torch.roll(x, shift, dims=(1, 2, 3))
    return x[:, : grid[0], : grid[1], : grid[2]].flatten(1, 3)


@functools.lru_cache(maxsize=64)
def _window_mask(grid: Grid, window: tuple[int, ...], shift: tuple[int, ...]) -> Tensor | None:
    """(windows, keys, keys): who may see whom once windows are rolled and padded; none when all may.

    Along an axis of length n, token i belongs to the window (i + window - shift) // window (all shifts < window).
    """
    region = torch.zeros(grid, dtype=torch.long)
    for axis in range(3):
        index = (torch.arange(grid[axis]) + window[axis] - shift[axis]) // window[axis]
        region = region * 4096 + index.view([-1 if a == axis else 1 for a in range(3)])
    tagged = to_windows(region.flatten()[None] + 1, grid, window, shift)[0]
    mask = tagged[:, :, None] == tagged[:, None, :]
    return None if bool(mask.all()) else mask


# torch.compile looks through a cache and would break the graph at what is computed behind it; these results depend
# on sizes alone, so they are constants of a graph.
@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def rotary_tables(grid: Grid, head_dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """`_rotary_tables`, computed once."""
    return _rotary_tables(grid, head_dim, theta)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def window_mask(grid: Grid, window: tuple[int, ...], shift: tuple[int, ...]) -> Tensor | None:
    """`_window_mask`, computed once."""
    return _window_mask(grid, window, shift)


@functools.lru_cache(maxsize=64)
def _windowed_tables(
    grid: Grid, head_dim: int, theta: float, window: tuple[int, ...], shift: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    cos, sin = (to_windows(table[None], grid, window, shift)[0] for table in _rotary_tables(grid, head_dim, theta))
    return cos, sin


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def windowed_tables(
    grid: Grid, head_dim: int, theta: float, window: tuple[int, ...], shift: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """`rotary_tables` in the order of `to_windows`: (windows, tokens per window, head_dim / 2)."""
    return _windowed_tables(grid, head_dim, theta, window, shift)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of (B, windows, heads, tokens, head_dim); `mask` is (1, windows, 1, tokens, tokens).

    The kernels that keep scores out of memory take four dimensions, on a CPU as on a GPU; any other way is slower, on a
    GPU many times.
    """
    batch = q.shape[:2]
    if mask is not None:
        mask = mask.expand(batch[0], -1, -1, -1, -1).flatten(0, 1)
    q, k, v = (x.flatten(0, 1) for x in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return out.unflatten(0, batch)


class Attention(nn.Module):
    """Multi-head self-attention within windows."""

    def __init__(self, width: int, heads: int, window: Kernel | None, shift: Kernel, theta: float) -> None:
        super().__init__()
        self.heads, self.window, self.shift, self.theta = heads, window, shift, theta
        self.qkv = nn.Linear(width, width * 3)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        head_dim = x.shape[-1] // self.heads
        window: tuple[int, ...] = self.window or grid
        # An axis that one window covers has nothing to shift.
        shift = tuple(0 if n <= w else s for n, w, s in zip(grid, window, self.shift, strict=True))
        window = tuple(min(n, w) for n, w in zip(grid, window, strict=True))
        # Windows come first: the tokens are a third of what their queries, keys and values are. The mask keeps what is
        # made of padding from everyone else.
        x = to_windows(x, grid, window, shift)
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, head_dim)).unbind(-3)
        cos, sin = (t.to(x.device) for t in windowed_tables(grid, head_dim, self.theta, window, shift))
        q, k, v = (y.transpose(2, 3) for y in (rotate(q, cos, sin), rotate(k, cos, sin), v))
        mask = window_mask(grid, window, shift)
        if mask is not None:
            mask = mask[None, :, None].to(x.device)
        out = attention(q, k, v, mask)
        return from_windows(self.proj(out.transpose(2, 3).flatten(3, 4)), grid, window, shift)


class Layer(nn.Module):
    """Attention and a GELU MLP (tanh form), each behind a norm and beside a skip."""

    def __init__(self, width: int, heads: int, mlp_ratio: int, window: Kernel | None, shift: Kernel,
                 theta: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = RmsNorm(width), RmsNorm(width)
        self.attention = Attention(width, heads, window, shift, theta)
        self.mlp = nn.ModuleList([nn.Linear(width, width * mlp_ratio), nn.Linear(width * mlp_ratio, width)])

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        x = x + self.attention(self.norm1(x), grid)
        return x + self.mlp[1](F.gelu(self.mlp[0](self.norm2(x)), approximate="tanh"))


class Vit(nn.Module):
    """(B, tokens, inputs) to (B, tokens, outputs) over a (time, rows, columns) grid of tokens."""

    def __init__(self, inputs: int, outputs: int, width: int, heads: int, layers: int, mlp_ratio: int,
                 window: Kernel | None, shift: Kernel, theta: float) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, width)
        shifts = [shift if index % 2 else (0, 0, 0) for index in range(layers)]
        self.layers = nn.ModuleList([Layer(width, heads, mlp_ratio, window, s, theta) for s in shifts])
        self.norm = RmsNorm(width)
        self.head = nn.Linear(width, outputs)

    def trunk(self, x: Tensor, grid: Grid) -> Tensor:
        """(B, tokens, width): what the head reads."""
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x, grid)
        return self.norm(x)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        return self.head(self.trunk(x, grid))
