"""The tokenizer as ONNX: the normalised latent of a chunk to bits, and bits to a latent.

Windows are made by one look-up of tokens and undone by another; their order depends on the sizes of the chunk and is
computed in whole numbers, once for all layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .config import TokenizerConfig
from .onnx_graph import TYPES, Graph, Weights
from .quantize import QUANTIZERS
from .vit import axis_pairs

LONGEST = (64, 2048, 2048)
"""Tokens along time, rows and columns at most. Angles come from tables: sines of GPUs are inexact."""
REGIONS = 4096
"""More than there are windows along an axis."""


@dataclass(frozen=True)
class Windows:
    """How the tokens of a chunk are cut into windows."""

    order: str
    """(windows * keys): the token at each place; places of padding have any."""
    back: str
    """(tokens): the place of each."""
    keys: str
    """Tokens in a window."""
    bias: str
    """(windows, 1, keys, keys): what keeps tokens from seeing those that they may not."""
    cos: str
    """(windows, 1, keys, head_dim / 2)."""
    sin: str


class Axis(NamedTuple):
    """An axis of the grid in windows: vectors of one, and vectors over the axis."""

    length: str
    """Tokens along it."""
    window: str
    """Places in a window."""
    windows: str
    """How many there are."""
    token: str
    """The token at each place of the padded and rolled axis; behind the last one the last one."""
    region: str
    """Of each place, from 1; 0 where it is padding."""
    place: str
    """Of each token."""


class VitGraph:
    """Builds one transformer on tokens (tokens, width)."""

    def __init__(self, graph: Graph, weights: Weights, name: str, config: TokenizerConfig, grid: list[str]) -> None:
        self.graph, self.weights, self.name, self.config = graph, weights, name, config
        self.grid = grid
        self.head_dim = config.width // config.heads
        self.cos, self.sin = self._tables()
        self.windows: dict[tuple[int, ...], Windows] = {}

    def linear(self, x: str, name: str, order: npt.NDArray[np.int64] | None = None,
               factors: npt.NDArray[np.float32] | None = None, into: float = 1.0, wide: bool = False) -> str:
        """A matrix and a bias; `order` and `factors` are of its outputs, `into` is of all inputs; `wide`: in f32."""
        weight, bias = self.weights[f"{name}.weight"], self.weights.vector(f"{name}.bias")
        if order is not None:
            weight, bias = weight.rows(order), bias[order]
        if factors is not None:
            weight, bias = weight.times(factors), bias * factors
        if into != 1:
            weight = weight.times(np.full(len(bias), into, np.float32))
        g = self.graph
        return g.op("Gemm", g.widen(x) if wide else x, g.weight(f"{name}.weight", weight, wide),
                    g.wide(bias) if wide else g.real(bias), transB=1)

    def norm(self, x: str, name: str) -> str:
        """Unit RMS times a learned gain, in the steps that runtimes know as one operator."""
        g = self.graph
        wide = g.widen(x)
        power = g.op("ReduceMean", g.op("Pow", wide, g.wide(2)), axes=[-1], keepdims=1)
        unit = g.op("Div", wide, g.op("Sqrt", g.op("Add", power, g.wide(1e-6))))
        return g.op("Mul", g.narrow(unit), g.real(self.weights.vector(f"{name}.gamma")))

    def gelu(self, x: str) -> str:
        """The tanh form."""
        g = self.graph
        inner = g.op("Mul", g.op("Mul", x, g.real(0.044715)), x)
        inner = g.op("Mul", g.op("Add", inner, g.real(1)), g.op("Mul", x, g.real(0.7978845608028654)))
        return g.op("Mul", g.op("Mul", x, g.real(0.5)), g.op("Add", g.op("Tanh", inner), g.real(1)))

    def layer(self, x: str, index: int) -> str:
        """`Layer`."""
        g, name = self.graph, f"{self.name}.layers.{index}"
        shift = self.config.shift if index % 2 else (0, 0, 0)
        x = g.op("Add", x, self.attention(self.norm(x, f"{name}.norm1"), f"{name}.attention", shift))
        h = self.gelu(self.linear(self.norm(x, f"{name}.norm2"), f"{name}.mlp.0"))
        return g.op("Add", x, self.linear(h, f"{name}.mlp.1"))

    def attention(self, x: str, name: str, shift: tuple[int, ...]) -> str:
        """`Attention`."""
        g, heads, width = self.graph, self.config.heads, self.config.width
        windows = self._windows(shift)
        if windows.order:
            x = g.op("Gather", x, windows.order, axis=0)
        # The first values of all pairs, then the second ones: turning them is then a matter of halves.
        within = np.arange(self.head_dim).reshape(-1, 2).T.reshape(-1)
        turned = (np.arange(heads)[:, None] * self.head_dim + within).reshape(-1)
        order = np.concatenate([turned, width + turned, 2 * width + np.arange(width)])
        # The queries take the factor of the scores.
        factors = np.ones(3 * width, np.float32)
        factors[:width] = self.head_dim**-0.5
        x = self.linear(x, f"{name}.qkv", order, factors)
        x = g.reshape(x, -1, windows.keys, 3 * heads, self.head_dim)
        x = g.op("Transpose", x, perm=[0, 2, 1, 3])
        q, k, v = g.ops("Split", [x, g.ints(heads, heads, heads)], 3, axis=1)
        q, k = (self._turn(y, windows) for y in (q, k))
        scores = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
        if windows.bias:
            scores = g.op("Add", scores, windows.bias)
        x = g.op("MatMul", g.op("Softmax", scores, axis=-1), v)
        x = g.reshape(g.op("Transpose", x, perm=[0, 2, 1, 3]), -1, width)
        x = self.linear(x, f"{name}.proj")
        return g.op("Gather", x, windows.back, axis=0) if windows.order else x

    def _turn(self, x: str, windows: Windows) -> str:
        g, half = self.graph, self.head_dim // 2
        a, b = g.ops("Split", [x, g.ints(half, half)], 2, axis=3)
        left = g.op("Sub", g.op("Mul", a, windows.cos), g.op("Mul", b, windows.sin))
        right = g.op("Add", g.op("Mul", a, windows.sin), g.op("Mul", b, windows.cos))
        return g.op("Concat", left, right, axis=3)

    def _tables(self) -> tuple[str, str]:
        """Cosine and sine of (tokens, head_dim / 2) angles, in f32."""
        g, found = self.graph, []
        shapes = [[self.grid[a] if a == axis else g.ints(1) for a in range(3)] for axis in range(3)]
        for turn in (np.cos, np.sin):
            parts = []
            for axis, count in enumerate(axis_pairs(self.head_dim)):
                if count == 0:
                    continue
                frequency = self.config.rope_theta ** (-np.arange(count, dtype=np.float64) / count)
                table = g.wide(turn(np.arange(LONGEST[axis])[:, None] * frequency))
                part = g.reshape(g.cut(table, 0, self.grid[axis]), *shapes[axis], count)
                parts.append(g.op("Expand", part, g.op("Concat", *self.grid, g.ints(count), axis=0)))
            found.append(g.reshape(g.op("Concat", *parts, axis=3), -1, self.head_dim // 2))
        return found[0], found[1]

    def _windows(self, shift: tuple[int, ...]) -> Windows:
        if self.config.window is None:
            shift = (0, 0, 0)
        if shift not in self.windows:
            self.windows[shift] = self._cut(shift) if self.config.window else self._whole()
        return self.windows[shift]

    def _whole(self) -> Windows:
        """One window over all tokens."""
        g = self.graph
        tokens = g.op("Mul", g.op("Mul", self.grid[0], self.grid[1]), self.grid[2])
        cos, sin = (g.narrow(g.reshape(table, 1, 1, tokens, self.head_dim // 2)) for table in (self.cos, self.sin))
        return Windows("", "", tokens, "", cos, sin)

    def _axis(self, axis: int, shift: int) -> Axis:
        g, length = self.graph, self.grid[axis]
        zero, one = g.constant(np.array(0, np.int64)), g.constant(np.array(1, np.int64))
        assert self.config.window
        most = g.ints(self.config.window[axis])
        window = g.op("Min", length, most)
        # An axis that one window covers has nothing to shift.
        by = g.op("Mul", g.ints(shift), g.op("Cast", g.op("Greater", length, most), to=TYPES["i64"]))
        count = g.op("Div", g.op("Sub", g.op("Add", length, window), g.ints(1)), window)
        padded = g.op("Mul", count, window)
        places = g.op("Range", zero, g.scalar(padded), one)
        token = g.op("Mod", g.op("Add", places, by), padded)
        region = g.op("Add", g.op("Div", g.op("Sub", g.op("Add", token, window), by), window), g.ints(1))
        known = g.op("Cast", g.op("Less", token, length), to=TYPES["i64"])
        tokens = g.op("Range", zero, g.scalar(length), one)
        place = g.op("Mod", g.op("Sub", g.op("Add", tokens, padded), by), padded)
        last = g.op("Sub", length, g.ints(1))
        return Axis(length, window, count, g.op("Min", token, last), g.op("Mul", region, known), place)

    def _cut(self, shift: tuple[int, ...]) -> Windows:
        g = self.graph
        axes = [self._axis(axis, shift[axis]) for axis in range(3)]
        t, h, w = axes
        one = g.ints(1)

        def times(*values: str) -> str:
            product = values[0]
            for value in values[1:]:
                product = g.op("Mul", product, value)
            return product

        def plus(*values: str) -> str:
            total = values[0]
            for value in values[1:]:
                total = g.op("Add", total, value)
            return total

        def spread(axis: int, value: str) -> str:
            """A vector over places of an axis, as (windows along time, rows, columns, places along each)."""
            sides = [axes[a].windows if a == axis else one for a in range(3)]
            sides += [axes[a].window if a == axis else one for a in range(3)]
            return g.reshape(value, *sides)

        keys = times(t.window, h.window, w.window)
        token = plus(spread(0, times(t.token, h.length, w.length)), spread(1, times(h.token, w.length)),
                     spread(2, w.token))
        order = g.reshape(token, -1)
        known = times(*(spread(axis, g.op("Min", axes[axis].region, one)) for axis in range(3)))
        region = plus(spread(0, times(t.region, g.ints(REGIONS**2))), spread(1, times(h.region, g.ints(REGIONS))),
                      spread(2, w.region))
        region = times(region, known)
        same = g.op("Equal", g.reshape(region, -1, one, keys, one), g.reshape(region, -1, one, one, keys))
        bias = g.op("Where", same, g.real(0), g.real(-60000.0 if g.dtype == "f16" else -1e30))
        # Which window, and where in it.
        strides = [(times(h.windows, w.windows, keys), times(h.window, w.window)), (times(w.windows, keys), w.window),
                   (keys, one)]
        parts = []
        for index, (axis, (outer, inner)) in enumerate(zip(axes, strides, strict=True)):
            where = plus(times(g.op("Div", axis.place, axis.window), outer),
                         times(g.op("Mod", axis.place, axis.window), inner))
            parts.append(g.reshape(where, *(-1 if a == index else 1 for a in range(3))))
        back = g.reshape(plus(*parts), -1)
        cos, sin = (g.narrow(g.reshape(g.op("Gather", table, order, axis=0), -1, 1, keys, self.head_dim // 2))
                    for table in (self.cos, self.sin))
        return Windows(order, back, keys, bias, cos, sin)

    def trunk(self, x: str, layers: int) -> str:
        """What the heads read, of tokens that are embedded already."""
        for index in range(layers):
            x = self.layer(x, index)
        return self.norm(x, f"{self.name}.norm")


def encoder(graph: Graph, weights: Weights, config: TokenizerConfig) -> None:
    """The normalised latent (T', h, w, C) of a chunk to bits (t, rows, columns, D), and what the depth head says."""
    g, name = graph, "tokenizer.encoder"
    channels = config.latent_channels
    latent = g.input("latent", "f32", ["steps", "rows", "columns", channels])
    kt, kh, kw = config.patch
    sides = [g.side(latent, axis) for axis in range(3)]
    x, grid = latent, sides
    if config.patch != (1, 1, 1):
        grid = [g.op("Div", g.op("Add", side, g.ints(k - 1)), g.ints(k))
                for side, k in zip(sides, config.patch, strict=True)]
        missing = [g.op("Sub", g.op("Mul", count, g.ints(k)), side)
                   for count, k, side in zip(grid, config.patch, sides, strict=True)]
        x = g.op("Pad", x, g.op("Concat", g.ints(0, 0, 0, 0), *missing, g.ints(0), axis=0), g.wide(0))
        x = g.reshape(x, grid[0], kt, grid[1], kh, grid[2], kw * channels)
        x = g.op("Transpose", x, perm=[0, 2, 4, 1, 3, 5])
    x = g.reshape(x, -1, kt * kh * kw * channels)
    vit = VitGraph(g, weights, name, config, grid)
    # Both ends are in f32, as those of the VAE.
    x = vit.trunk(g.narrow(vit.linear(x, f"{name}.embed", wide=True)), config.encoder_layers)
    bits = g.op("Greater", vit.linear(x, f"{name}.head", wide=True), g.wide(0))
    g.output(g.reshape(bits, *grid, config.bits), "bits", "bool", ["t", "h", "w", config.bits])
    if config.depth_step:
        estimates = vit.linear(x, "tokenizer.depth_head", wide=True)
        count = len(config.depths)
        g.output(g.reshape(estimates, *grid, count), "estimates", "f32", ["t", "h", "w", count])


def decoder(graph: Graph, weights: Weights, config: TokenizerConfig) -> None:
    """Bits (t, rows, columns, D) and the depth of each token to the normalised latent, in whole patches."""
    g, name = graph, "tokenizer.decoder"
    bits = g.input("bits", "bool", ["t", "h", "w", config.bits])
    depths = g.input("depths", "i32", ["t", "h", "w"])
    grid = [g.side(bits, axis) for axis in range(3)]
    kept = g.op("Less", g.constant(np.arange(config.bits, dtype=np.int32)), g.reshape(depths, -1, 1))
    signs = g.op("Where", g.reshape(bits, -1, config.bits), g.real(1), g.real(-1))
    vit = VitGraph(g, weights, name, config, grid)
    code = g.op("Where", kept, signs, g.real(0))
    scale = QUANTIZERS[config.quantizer](config.bits).scale
    x = vit.trunk(vit.linear(code, f"{name}.embed", into=scale), config.decoder_layers)
    x = vit.linear(x, f"{name}.head", wide=True)
    channels = config.latent_channels
    kt, kh, kw = config.patch
    if config.patch != (1, 1, 1):
        x = g.reshape(x, *grid, kt, kh, kw * channels)
        x = g.op("Transpose", x, perm=[0, 3, 1, 4, 2, 5])
    sides = [side if k == 1 else g.op("Mul", side, g.ints(k)) for side, k in zip(grid, config.patch, strict=True)]
    g.output(g.reshape(x, *sides, channels), "latent", "f32", ["steps", "rows", "columns", channels])
