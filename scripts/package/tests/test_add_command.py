from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from add_command import add


def write_wheel(place: Path) -> Path:
    wheel = place / "thing-1.0-py3-none-any.whl"
    about = "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n"
    kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(wheel, "w") as out:
        out.writestr("thing/__init__.py", "")
        out.writestr("thing-1.0.dist-info/METADATA", about)
        out.writestr("thing-1.0.dist-info/WHEEL", kind)
        names = ["thing/__init__.py", "thing-1.0.dist-info/METADATA", "thing-1.0.dist-info/WHEEL"]
        out.writestr("thing-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in names))
    return wheel


def test_pip_installs_the_command(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path)
    command = tmp_path / "thing"
    for text in ("old", "new"):
        command.write_text(f"#!/bin/sh\necho {text}\n")
        # Whoever builds twice has one command.
        add(wheel, command)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--prefix", str(tmp_path / "p"), str(wheel)], check=True)
    installed = tmp_path / "p/bin/thing"
    assert os.access(installed, os.X_OK)
    assert subprocess.run([installed], check=True, stdout=subprocess.PIPE, text=True).stdout == "new\n"
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_other_zips_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "a.zip"
    with zipfile.ZipFile(other, "w") as out:
        out.writestr("a", "b")
    before = other.read_bytes()
    with pytest.raises(ValueError, match="no RECORD"):
        add(other, other)
    assert other.read_bytes() == before
