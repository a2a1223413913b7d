"""The VAE as ONNX: the frames of one step and what is remembered of those before to a latent, and back.

Convolutions over time become 2D ones over the frames that each output frame sees, one after the other in channels: no
runtime in a browser has 3D ones. Frames are the batch axis, so any number of steps can be computed at once.

In f16 networks the convolutions at both ends stay in f32: they take little, and pixels and latents see each of their
roundings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .config import Kernel, StageConfig, VaeConfig
from .onnx_graph import REST, Graph, Weight, Weights

Vector = npt.NDArray[Any]


@dataclass(frozen=True)
class State:
    """What a network remembers of the frames before, as an input and an output.

    Its shape is (frames, channels, height / divide[0], width / divide[1]) for frames of height by width pixels.
    """

    input: str
    output: str
    frames: int
    channels: int
    divide: tuple[int, int]


class VaeGraph:
    """Builds one of the two networks of a VAE, layer by layer, on values (frames, channels, height, width)."""

    def __init__(self, graph: Graph, weights: Weights, config: VaeConfig, divide: int) -> None:
        self.graph, self.weights, self.config = graph, weights, config
        self.divide = divide
        """Pixels per position where the next layer works."""
        self.states: list[State] = []
        self.first = graph.input("first", "i64", [1])

    def remembered(self, name: str, frames: int, channels: int) -> str:
        """The frames before those of this step that a layer sees."""
        state = State(f"state.{name}", f"next.{name}", frames, channels, (self.divide, self.divide))
        self.states.append(state)
        return self.graph.input(state.input, self.graph.dtype, self._shape(state))

    def remember(self, name: str, value: str) -> None:
        """Gives the caller what the layer of that name will want to see in the next step."""
        state = next(state for state in self.states if state.input == f"state.{name}")
        self.graph.output(value, state.output, self.graph.dtype, self._shape(state))

    def _shape(self, state: State) -> list[int | str]:
        rows, columns = (f"{side}/{by}" if by > 1 else side
                         for side, by in zip(("height", "width"), state.divide, strict=True))
        return [state.frames, state.channels, rows, columns]

    def _later(self) -> str:
        """1 where the group goes on, 0 at its first frame."""
        return self.graph.op("Sub", self.graph.ints(1), self.first)

    def conv(self, x: str, name: str, weight: Weight | None = None, bias: Vector | None = None,
             pads: tuple[int, ...] = (), stride: int = 1, wide: bool = False) -> str:
        """A 2D convolution, with the weight and bias of that name unless others are given; `wide`: in f32."""
        if weight is None:
            weight = self.weights[f"{name}.weight"]
        if bias is None:
            bias = self.weights.vector(f"{name}.bias")
        side, g = list(weight.values.shape[2:]), self.graph
        return g.op(
            "Conv", g.widen(x) if wide else x, g.weight(f"{name}.weight", weight, wide),
            g.wide(bias) if wide else g.real(bias),
            kernel_shape=side, pads=list(pads) or [side[0] // 2, side[1] // 2] * 2, strides=[stride, stride],
        )

    def causal(self, x: str, name: str, weight: Weight | None = None, bias: Vector | None = None,
               wide: bool = False) -> str:
        """A convolution that sees the present and the past; `wide`: in f32, but for what is remembered."""
        weight = over_channels(self.weights[f"{name}.weight"] if weight is None else weight)
        time = self.kernel(name)[0]
        if time > 1:
            path = name.removeprefix("vae.")
            x = self.graph.narrow(x) if wide else x
            seen = self.graph.op("Concat", self.remembered(path, time - 1, weight.values.shape[1] // time), x, axis=0)
            self.remember(path, self.graph.cut(seen, 1 - time, REST))
            taps = [self.graph.cut(seen, tap, tap + 1 - time) for tap in range(time - 1)]
            x = self.graph.op("Concat", *taps, x, axis=1)
        return self.conv(x, name, weight, bias, wide=wide)

    def kernel(self, name: str) -> Kernel:
        """The extent of a convolution along time, rows and columns."""
        time, rows, columns = self.weights[f"{name}.weight"].values.shape[2:]
        return time, rows, columns

    def norm(self, x: str, name: str) -> str:
        """Unit RMS over channels times a learned gain."""
        g = self.graph
        wide = g.widen(x)
        power = g.op("ReduceSum", g.op("Mul", wide, wide), g.ints(1), keepdims=1)
        inverse = g.op("Div", g.wide(1), g.op("Sqrt", g.op("Max", power, g.wide(1e-24))))
        gamma = self.weights.vector(f"{name}.gamma")
        gain = (gamma * math.sqrt(gamma.size)).reshape(1, -1, 1, 1)
        return g.op("Mul", g.narrow(g.op("Mul", wide, inverse)), g.real(gain))

    def norm_silu(self, x: str, name: str) -> str:
        """A norm and SiLU."""
        x = self.norm(x, name)
        return self.graph.op("Mul", x, self.graph.op("Sigmoid", x))

    def block(self, x: str, name: str, cin: int, cout: int) -> str:
        """`ResidualBlock`."""
        h = self.causal(self.norm_silu(x, f"{name}.residual.0"), f"{name}.residual.2")
        h = self.causal(self.norm_silu(h, f"{name}.residual.3"), f"{name}.residual.6")
        return self.graph.op("Add", h, self.causal(x, f"{name}.shortcut") if cin != cout else x)

    def attention(self, x: str, name: str, channels: int) -> str:
        """`AttentionBlock`."""
        g = self.graph
        qkv = self.weights[f"{name}.to_qkv.weight"]
        bias = self.weights.vector(f"{name}.to_qkv.bias")
        # The queries take the factor of the scores.
        factors = np.concatenate([np.full(channels, channels**-0.5), np.ones(2 * channels)]).astype(np.float32)
        both = g.op("Conv", self.norm(x, f"{name}.norm"), g.weight(f"{name}.to_qkv.weight", qkv.times(factors)),
                    g.real(bias * factors), kernel_shape=[1, 1])
        flat = g.reshape(both, 0, 3 * channels, -1)
        q, k, v = g.ops("Split", [flat, g.ints(channels, channels, channels)], 3, axis=1)
        shares = g.op("Softmax", g.op("MatMul", g.op("Transpose", q, perm=[0, 2, 1]), k), axis=-1)
        h = g.op("MatMul", shares, g.op("Transpose", v, perm=[0, 2, 1]))
        h = g.op("Reshape", g.op("Transpose", h, perm=[0, 2, 1]), g.op("Shape", x))
        return g.op("Add", x, self.conv(h, f"{name}.proj"))

    def middle(self, x: str, name: str, channels: int) -> str:
        """The blocks and the attention at the coarsest resolution."""
        kinds = ["block"] * self.config.mid_blocks
        if self.config.mid_attention:
            kinds.insert(1, "attention")
        for index, kind in enumerate(kinds):
            if kind == "attention":
                x = self.attention(x, f"{name}.middle.{index}", channels)
            else:
                x = self.block(x, f"{name}.middle.{index}", channels, channels)
        return x

    def down(self, x: str, name: str, channels: int, space: bool, time: bool) -> str:
        """`Downsample`."""
        g = self.graph
        if space:
            x = self.conv(x, f"{name}.resample.1", pads=(0, 0, 1, 1), stride=2)
            self.divide *= 2
        if not time:
            return x
        path = f"{name}.time_conv"
        before = self.remembered(path.removeprefix("vae."), 1, channels)
        last = g.cut(x, -1, REST)
        self.remember(path.removeprefix("vae."), last)
        # With one frame more, which counts only where there is but one frame: that passes unchanged.
        seen = g.op("Concat", before, x, last, axis=0)
        taps = [g.cut(seen, tap, tap - 2 if tap < 2 else REST, step=2) for tap in range(3)]
        merged = self.conv(g.op("Concat", *taps, axis=1), path, over_channels(self.weights[f"{path}.weight"]))
        return g.op("Where", g.op("Cast", self.first, to=9), g.cut(x, 0, REST, step=2), merged)

    def up(self, x: str, name: str, channels: int, space: bool, time: bool) -> str:
        """`Upsample`."""
        g = self.graph
        if time:
            path = f"{name}.time_conv"
            count = g.side(x, 0)
            passed = g.op("Mul", count, self._later())
            seen = g.op("Concat", self.remembered(path.removeprefix("vae."), 2, channels), x, axis=0)
            # The first frame of a group stays one, and is not seen by those after it.
            self.remember(path.removeprefix("vae."), g.cut(seen, passed, g.op("Add", passed, g.ints(2))))
            taps = [g.cut(seen, 0, -2), g.cut(seen, 1, -1), x]
            pairs = self.conv(g.op("Concat", *taps, axis=1), path, over_channels(self.weights[f"{path}.weight"]))
            pairs = g.reshape(pairs, -1, channels, g.side(x, 2), g.side(x, 3))
            end = g.op("Add", count, g.op("Add", passed, passed))
            x = g.cut(g.op("Concat", x, pairs, axis=0), passed, end)
        if space:
            x = g.op("Resize", x, "", g.wide([1, 1, 2, 2]), mode="nearest",
                     coordinate_transformation_mode="asymmetric", nearest_mode="floor")
            self.divide //= 2
            x = self.conv(x, f"{name}.resample.1")
        return x

    def averaged(self, x: str, cin: int, cout: int, space: bool, time: bool) -> str:
        """The shortcut around a stage on the way down."""
        g = self.graph
        s, step = 2 if space else 1, 2 if time else 1
        if time:
            # A frame of zeros in front of the first one completes its pair.
            x = g.op("Pad", x, g.op("Concat", self.first, g.ints(*[0] * 7), axis=0), g.real(0))
        rows, columns = g.side(x, 2), g.side(x, 3)
        if space:
            rows, columns = (g.op("Div", side, g.ints(2)) for side in (rows, columns))
            x = g.reshape(x, 0, cin, rows, s, columns, s)
            x = g.op("Transpose", x, perm=[0, 1, 3, 5, 2, 4])
        x = g.reshape(x, -1, step, cin, s * s, rows, columns)
        x = g.op("Transpose", x, perm=[0, 2, 1, 3, 4, 5])
        x = g.reshape(x, 0, cout, cin * step * s * s // cout, rows, columns)
        return g.op("ReduceMean", x, axes=[2], keepdims=0)

    def repeated(self, x: str, cin: int, cout: int, space: bool, time: bool) -> str:
        """The shortcut around a stage on the way up."""
        g = self.graph
        s, step = 2 if space else 1, 2 if time else 1
        rows, columns = g.side(x, 2), g.side(x, 3)
        repeats = cout * step * s * s // cin
        x = g.reshape(x, 0, cin, 1, rows, columns)
        x = g.op("Concat", *[x] * repeats, axis=2)
        x = g.reshape(x, 0, cout, step, s * s, rows, columns)
        x = g.op("Transpose", x, perm=[0, 2, 1, 3, 4, 5])
        x = g.reshape(x, -1, cout, s, s, rows, columns)
        x = g.op("Transpose", x, perm=[0, 1, 4, 2, 5, 3])
        x = g.reshape(x, 0, cout, g.op("Mul", rows, g.ints(s)), g.op("Mul", columns, g.ints(s)))
        # Of a first frame the second half counts.
        return g.cut(x, self.first, REST) if time else x

    def down_stage(self, x: str, name: str, number: int, channels: int, stage: StageConfig) -> tuple[str, int, int]:
        """The layers of a stage of the encoder, the first of which has that number; channels and number go on."""
        for _ in range(stage.encoder_blocks):
            x = self.block(x, f"{name}.{number}", channels, stage.channels)
            channels, number = stage.channels, number + 1
        if stage.down_space or stage.down_time:
            x = self.down(x, f"{name}.{number}", channels, stage.down_space, stage.down_time)
            number += 1
        return x, channels, number

    def up_stage(self, x: str, name: str, number: int, channels: int, stage: StageConfig, space: bool,
                 time: bool) -> tuple[str, int, int]:
        """As `down_stage`, of the decoder."""
        for _ in range(stage.decoder_blocks):
            x = self.block(x, f"{name}.{number}", channels, stage.channels_up)
            channels, number = stage.channels_up, number + 1
        if space or time:
            x = self.up(x, f"{name}.{number}", channels, space, time)
            number += 1
        return x, channels, number


def over_channels(weight: Weight) -> Weight:
    """A kernel (outputs, inputs, time, rows, columns) as a 2D one over the frames that it sees, one after the other."""
    out, cin, time, rows, columns = weight.values.shape
    return weight.shaped(weight.values.swapaxes(1, 2).reshape(out, time * cin, rows, columns))


def _statistics(config: VaeConfig) -> tuple[Vector, Vector]:
    """Mean and standard deviation of each latent channel."""
    count = config.latent_channels
    mean, std = config.latent_mean or [0.0] * count, config.latent_std or [1.0] * count
    return np.array(mean, np.float64), np.array(std, np.float64)


def encoder(graph: Graph, weights: Weights, config: VaeConfig) -> list[State]:
    """Frames (T, H, W, 3) in -1…1 to the normalised latent (T', h, w, C)."""
    g, name, p = graph, "vae.encoder", config.patch
    x = g.input("frames", "f32", ["frames", "height", "width", 3])
    build = VaeGraph(g, weights, config, p)
    if p == 1:
        x = g.op("Transpose", x, perm=[0, 3, 1, 2])
    else:
        rows, columns = (g.op("Div", g.side(x, axis), g.ints(p)) for axis in (1, 2))
        x = g.op("Transpose", g.reshape(x, 0, rows, p, columns, p, 3), perm=[0, 5, 4, 2, 1, 3])
        x = g.reshape(x, 0, 3 * p * p, rows, columns)
    x = g.narrow(build.causal(x, f"{name}.conv1", wide=True))
    channels, number = config.stages[0].channels, 0
    for index, stage in enumerate(config.stages):
        if config.shortcuts:
            shortcut = build.averaged(x, channels, stage.channels, stage.down_space, stage.down_time)
            x, channels, _ = build.down_stage(x, f"{name}.downsamples.{index}.downsamples", 0, channels, stage)
            x = g.op("Add", x, shortcut)
        else:
            x, channels, number = build.down_stage(x, f"{name}.downsamples", number, channels, stage)
    x = build.norm_silu(build.middle(x, name, channels), f"{name}.head.0")
    # The last convolution, the one behind it and the statistics are one linear map.
    mean, std = _statistics(config)
    count = config.latent_channels
    matrix = weights["vae.conv1.weight"].full[:count, :, 0, 0, 0] / std[:, None]
    kernel = np.tensordot(matrix, weights[f"{name}.head.2.weight"].full.astype(np.float64), 1)
    bias = matrix @ weights.vector(f"{name}.head.2.bias") + (weights.vector("vae.conv1.bias")[:count] - mean) / std
    x = build.causal(x, f"{name}.head.2", Weight(kernel.astype(np.float32)), bias.astype(np.float32), wide=True)
    x = g.op("Transpose", x, perm=[0, 2, 3, 1])
    g.output(x, "latent", "f32", ["steps", "rows", "columns", count])
    return build.states


def decoder(graph: Graph, weights: Weights, config: VaeConfig) -> list[State]:
    """The normalised latent (T', h, w, C) to frames (T, H, W, 3), about -1…1 but not clamped."""
    g, name, p = graph, "vae.decoder", config.patch
    count = config.latent_channels
    x = g.input("latent", "f32", ["steps", "rows", "columns", count])
    x = g.op("Transpose", x, perm=[0, 3, 1, 2])
    build = VaeGraph(g, weights, config, config.strides[1])
    mean, std = _statistics(config)
    inner = weights["vae.conv2.weight"].full[:, :, 0, 0, 0].astype(np.float64)
    bias = weights.vector("vae.conv2.bias") + inner @ mean
    matrix = Weight((inner * std)[:, :, None, None].astype(np.float32))
    x = build.conv(x, "vae.conv2", matrix, bias.astype(np.float32), wide=True)
    channels = config.stages[-1].channels_up
    x = build.middle(g.narrow(build.causal(x, f"{name}.conv1", wide=True)), name, channels)
    number = 0
    for index, coarse in enumerate(reversed(range(len(config.stages)))):
        stage = config.stages[coarse]
        finer = config.stages[coarse - 1] if coarse else None
        space, time = (finer.down_space, finer.down_time) if finer else (False, False)
        if config.shortcuts:
            before, around = x, channels
            prefix = f"{name}.upsamples.{index}.upsamples"
            shortcut = build.repeated(before, around, stage.channels_up, space, time) if space or time else None
            x, channels, _ = build.up_stage(x, prefix, 0, channels, stage, space, time)
            x = g.op("Add", x, shortcut) if shortcut else x
        else:
            x, channels, number = build.up_stage(x, f"{name}.upsamples", number, channels, stage, space, time)
            channels = channels // 2 if space else channels
    x = build.causal(build.norm_silu(x, f"{name}.head.0"), f"{name}.head.2", wide=True)
    if p == 1:
        x = g.op("Transpose", x, perm=[0, 2, 3, 1])
    else:
        rows, columns = g.side(x, 2), g.side(x, 3)
        x = g.op("Transpose", g.reshape(x, 0, 3, p, p, rows, columns), perm=[0, 4, 3, 5, 2, 1])
        x = g.reshape(x, 0, *(g.op("Mul", side, g.ints(p)) for side in (rows, columns)), 3)
    g.output(x, "frames", "f32", ["frames", "height", "width", 3])
    return build.states
