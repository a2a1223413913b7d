"""A program's requirements: shared libraries, and a version of glibc."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

EVERYWHERE = re.compile(r"^(lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+|util)\.so\.\d+|ld-linux[\w-]*\.so\.\d+)$")


def needed(text: str) -> list[str]:
    """Shared libraries, from the output of `readelf -d`."""
    return re.findall(r"\(NEEDED\).*\[(.+?)\]", text)


def glibc(text: str) -> str:
    """The newest required version of glibc, from the output of `readelf -V`."""
    versions = {tuple(map(int, found.split("."))) for found in re.findall(r"GLIBC_(\d+(?:\.\d+)+)", text)}
    return ".".join(map(str, max(versions))) if versions else "none"


def wants(program: Path) -> tuple[list[str], str]:
    """Libraries and glibc of a program."""
    def read(option: str) -> str:
        command = ["readelf", option, "-W", str(program)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    return needed(read("-d")), glibc(read("-V"))


def foreign(libraries: list[str]) -> list[str]:
    """Libraries that a bare machine may lack."""
    return [name for name in libraries if not EVERYWHERE.match(name)]
