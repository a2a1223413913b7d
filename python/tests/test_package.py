"""The package as it is installed."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import latentbit
from conftest import ROOT


def installed() -> importlib.metadata.Distribution:
    """The wheel that the tests run against, and not a folder of sources."""
    place = Path(latentbit.__file__).parents[1]
    found = [d for d in importlib.metadata.distributions(path=[str(place)]) if d.metadata["Name"] == "latentbit"]
    if not found:
        pytest.skip("the package is not installed from a wheel")
    return found[0]


def test_it_brings_licences_types_and_one_binary_interface() -> None:
    files = [str(file) for file in installed().files or []]
    names = [Path(file).name for file in files]
    assert {"LICENSE-MIT", "LICENSE-APACHE", "py.typed", "_latentbit.pyi"} <= set(names)
    assert any(name.endswith((".abi3.so", ".pyd")) for name in names)


def test_it_brings_the_command() -> None:
    commands = [file for file in installed().files or [] if Path(str(file)).stem == "latentbit" and "bin" in str(file)]
    if not commands:
        pytest.skip("the wheel was built without the command; scripts/package/add_command.py puts it in")
    out = subprocess.run([Path(str(commands[0].locate())), "--version"], check=True, stdout=subprocess.PIPE, text=True)
    assert out.stdout.split() == ["latentbit", latentbit.__version__]


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other Pythons write signatures in another way")
def test_the_reference_is_that_of_the_docstrings() -> None:
    page = (ROOT / "docs/python-reference.md").read_text("utf-8")
    made = subprocess.run(
        [sys.executable, "-P", str(ROOT / "python/reference.py")], check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    assert page == made.stdout, "make it again: python -P python/reference.py > docs/python-reference.md"
