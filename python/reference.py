"""Writes the reference of the package from its docstrings: python -P python/reference.py > docs/python-reference.md."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any

MODULES = (
    "latentbit", "latentbit.torch", "latentbit.webdataset", "latentbit.convert", "latentbit.convert.mds",
    "latentbit.convert.litdata", "latentbit.convert.zarr",
)
"""Those that import nothing that is not there when the package is tested."""


def lines() -> Iterator[str]:
    """The page."""
    yield "# Python reference"
    yield ""
    yield "Made from docstrings by `python -P python/reference.py > docs/python-reference.md`. [python.md](python.md)"
    yield "is a tour."
    for name in MODULES:
        module = importlib.import_module(name)
        yield ""
        yield f"## {name}"
        yield ""
        yield from _text(module)
        for member in sorted(getattr(module, "__all__", None) or _own(module)):
            thing = getattr(module, member)
            if inspect.isclass(thing):
                yield from _class(member, thing)
            elif callable(thing):
                yield from _function(member, thing, 3)


def _own(module: Any) -> list[str]:
    return [
        name for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", "") == module.__name__ and callable(thing)
    ]


def _class(name: str, thing: type) -> Iterator[str]:
    yield ""
    yield f"### class {name}"
    yield ""
    yield from _text(thing)
    for member, value in sorted(vars(thing).items()):
        if member == "__init__" and inspect.isfunction(value) and value.__doc__:
            yield from _function(name, value, 4)
        elif member.startswith("_"):
            continue
        elif isinstance(value, classmethod | staticmethod):
            yield from _function(f"{name}.{member}", getattr(thing, member), 4)
        elif inspect.isfunction(value) or inspect.ismethoddescriptor(value):
            yield from _function(f"{name}.{member}", value, 4)
        elif isinstance(value, property) or inspect.isgetsetdescriptor(value):
            yield ""
            yield f"- `{member}`: {' '.join(_text(value))}"


def _function(name: str, thing: Any, level: int) -> Iterator[str]:
    try:
        shown = str(inspect.signature(thing))
    except (TypeError, ValueError):
        shown = "(...)"
    # What is bound, and where types come from, tells a reader nothing.
    shown = re.sub(r"\((?:self|cls|/)(?:, /)?(?:, )?", "(", shown, count=1)
    shown = re.sub(r"(: |-> )'([^']*)'", r"\1\2", shown)
    yield ""
    yield f"{'#' * level} {name}"
    yield ""
    yield f"`{name}{shown}`"
    yield ""
    yield from _text(thing)


def _text(thing: Any) -> list[str]:
    text = (inspect.getdoc(thing) or "").replace("``", "`")
    return [line.rstrip() for line in text.splitlines()]


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
