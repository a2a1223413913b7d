"""A graph of plain ONNX operators, put together one operator after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from .bundle import restored, tensors_of

Array = npt.NDArray[Any]
OPSET = 17
"""What ONNX Runtime from 1.12, its builds for browsers, OpenVINO from 2023 and TensorRT from 8.6 read."""
IR_VERSION = 8
TYPES = {"f32": TensorProto.FLOAT, "f16": TensorProto.FLOAT16, "bool": TensorProto.BOOL,
         "i32": TensorProto.INT32, "i64": TensorProto.INT64}
REST = np.iinfo(np.int64).max
"""As the end of a slice: all that is left."""


@dataclass(frozen=True)
class Weight:
    """A matrix or kernel (outputs, ...): f32, or int8 with a factor for each output."""

    values: Array
    scale: Array | None = None

    @property
    def full(self) -> Array:
        """In f32."""
        if self.scale is None:
            return self.values.astype(np.float32)
        return self.values.astype(np.float32) * self._column(self.scale)

    def shaped(self, values: Array) -> Weight:
        """The same with what is not an output in another order."""
        return Weight(values, self.scale)

    def rows(self, index: Array) -> Weight:
        """Some of the outputs, in this order."""
        return Weight(self.values[index], None if self.scale is None else self.scale[index])

    def times(self, factors: Array) -> Weight:
        """Each output times a factor."""
        if self.scale is not None:
            return Weight(self.values, (self.scale * factors).astype(np.float32))
        return Weight((self.values * self._column(factors)).astype(np.float32))

    def _column(self, vector: Array) -> Array:
        return vector.reshape(-1, *[1] * (self.values.ndim - 1))


class Weights:
    """The tensors of a bundle by name, as they are stored."""

    def __init__(self, path: Path) -> None:
        raw = tensors_of(path)
        self._int8 = {name[: -len(".scale")]: value.numpy() for name, value in raw.items() if name.endswith(".scale")}
        self._raw = {name: raw[name].numpy() for name in self._int8}
        self._full = {name: value.numpy() for name, value in restored(raw).items() if name not in self._int8}

    @property
    def are_int8(self) -> bool:
        """Whether the bundle stores bytes."""
        return bool(self._int8)

    def __getitem__(self, name: str) -> Weight:
        if name in self._int8:
            return Weight(self._raw[name], self._int8[name])
        return Weight(self._full[name])

    def vector(self, name: str) -> Array:
        """One that is stored in f32."""
        return self._full[name]


class Graph:
    """Operators in the order in which they run; values are known by their names.

    `dtype` is the type that networks compute in, `int8` whether weights that are stored as bytes stay bytes in the
    file: runtimes make floats of them once, when they load it.
    """

    def __init__(self, name: str, dtype: str, int8: bool) -> None:
        self.name, self.dtype, self.int8 = name, dtype, int8
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._known: dict[tuple[str, bytes, tuple[int, ...]], str] = {}
        self._count = 0

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """One operator with one output."""
        return self.ops(kind, inputs, 1, **attributes)[0]

    def ops(self, kind: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """One operator with several outputs."""
        self._count += 1
        names = [f"{kind}.{self._count}" + (f".{index}" if outputs > 1 else "") for index in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, f"{kind}.{self._count}", **attributes))
        return names

    def input(self, name: str, dtype: str, shape: Sequence[int | str]) -> str:
        """A value that the caller gives."""
        self._inputs.append(helper.make_tensor_value_info(name, TYPES[dtype], list(shape)))
        return name

    def output(self, value: str, name: str, dtype: str, shape: Sequence[int | str]) -> None:
        """A value that the caller gets, under a name of its own."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name))
        self._outputs.append(helper.make_tensor_value_info(name, TYPES[dtype], list(shape)))

    def constant(self, values: Array, name: str | None = None) -> str:
        """An array as it is; equal ones are stored once."""
        values = np.ascontiguousarray(values)
        key = (str(values.dtype), hashlib.sha256(values.data).digest(), values.shape)
        if key not in self._known:
            self._known[key] = name or f"constant.{len(self._constants)}"
            self._constants[self._known[key]] = numpy_helper.from_array(values, self._known[key])
        return self._known[key]

    def ints(self, *values: int) -> str:
        """A vector of whole numbers."""
        return self.constant(np.array(values, np.int64))

    def wide(self, value: Any) -> str:
        """A constant in f32."""
        return self.constant(np.asarray(value, np.float32))

    def real(self, value: Any) -> str:
        """A constant in the type that networks compute in."""
        return self.constant(self._narrowed(np.asarray(value, np.float32), "a vector"))

    def _narrowed(self, values: Array, name: str) -> Array:
        if self.dtype == "f32":
            return values.astype(np.float32)
        with np.errstate(over="ignore"):
            narrow = values.astype(np.float16)
        if not np.isfinite(narrow).all():
            raise ValueError(f"{name} has values that f16 cannot hold; export f32")
        return narrow

    def weight(self, name: str, weight: Weight, wide: bool = False) -> str:
        """A weight in the type that networks compute in, or in f32."""
        full = weight.full.astype(np.float32) if wide else self._narrowed(weight.full, name)
        if not self.int8 or weight.scale is None:
            return self.constant(full, name)
        # In f32 at first: runtimes on a CPU can fold that into a constant, but hardly know f16.
        scale = weight.scale.reshape(-1, *[1] * (weight.values.ndim - 1)).astype(np.float32)
        values = self.op("Cast", self.constant(weight.values, name), to=TYPES["f32"])
        values = self.op("Mul", values, self.constant(scale, f"{name}.scale"))
        return values if wide else self.narrow(values)

    def widen(self, x: str) -> str:
        """In f32, from the type that networks compute in."""
        return x if self.dtype == "f32" else self.op("Cast", x, to=TYPES["f32"])

    def narrow(self, x: str) -> str:
        """From f32 to the type that networks compute in."""
        return x if self.dtype == "f32" else self.op("Cast", x, to=TYPES[self.dtype])

    def side(self, x: str, axis: int) -> str:
        """The length of an axis, as a vector of one."""
        return self.op("Shape", x, start=axis, end=axis + 1)

    def reshape(self, x: str, *shape: int | str) -> str:
        """To sides that are numbers (0 keeps that of the same place, -1 is what is left) or vectors of one."""
        if all(isinstance(side, int) for side in shape):
            return self.op("Reshape", x, self.ints(*(int(side) for side in shape)))
        sides = [self.ints(side) if isinstance(side, int) else side for side in shape]
        return self.op("Reshape", x, self.op("Concat", *sides, axis=0))

    def scalar(self, x: str) -> str:
        """A vector of one as a number."""
        return self.op("Squeeze", x, self.ints(0))

    def cut(self, x: str, start: int | str, end: int | str, axis: int = 0, step: int = 1) -> str:
        """A part of an axis, between numbers or vectors of one."""
        start, end = (self.ints(side) if isinstance(side, int) else side for side in (start, end))
        return self.op("Slice", x, start, end, self.ints(axis), self.ints(step))

    def sides(self) -> dict[str, list[dict[str, Any]]]:
        """Names, types and shapes of what goes in and out; sides that depend on the input are texts."""
        types = {int(value): name for name, value in TYPES.items()}
        found = {}
        for kind, values in (("inputs", self._inputs), ("outputs", self._outputs)):
            found[kind] = [
                {"name": value.name, "dtype": types[value.type.tensor_type.elem_type],
                 "shape": [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]}
                for value in values
            ]
        return found

    def model(self, metadata: dict[str, str]) -> onnx.ModelProto:
        """The whole graph."""
        graph = helper.make_graph(self._nodes, self.name, self._inputs, self._outputs, list(self._constants.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                                  producer_name="latentbit-train")
        helper.set_model_props(model, metadata)
        return model
