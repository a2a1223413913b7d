"""Compiles the programs to pack.

Tests contain the path of the folder in which they were compiled. They are compiled below a link that can be made on
any machine, so that they find their data there.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from .paths import ROOT

TESTS = ("golden", "gpu", "official", "predictor")
"""Tests of codec/tests, if they exist; the library's own tests are packed too."""


def link(place: Path) -> Path:
    """Makes the link to this checkout."""
    if place.is_symlink():
        place.unlink()
    if place.exists():
        raise SystemExit(f"bundle: {place} is not a link; use another --root")
    place.symlink_to(ROOT, target_is_directory=True)
    return place


def executables(text: str) -> dict[str, Path]:
    """Programs by name, from cargo's messages. The library's tests have its name."""
    found = {}
    for line in text.splitlines():
        message = json.loads(line)
        if message.get("executable"):
            found[message["target"]["name"]] = Path(message["executable"])
    return found


def cargo(root: Path, package: str, command: str, features: str, *words: str) -> dict[str, Path]:
    """Builds parts of a package without its default features."""
    line = ["cargo", command, "--release", "--locked", "--manifest-path", str(root / package / "Cargo.toml")]
    line += ["--no-default-features", "--message-format", "json-render-diagnostics", *words]
    if features:
        line += ["--features", features]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False, cwd=root)
    if done.returncode:
        raise SystemExit(f"bundle: {package} does not build")
    return executables(done.stdout)


def programs(root: Path, features: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """The command and the benchmark, and the tests."""
    link(root)
    made = cargo(root, "cli", "build", features, "--bin", "latentbit")
    there = [name for name in TESTS if (ROOT / "codec" / "tests" / f"{name}.rs").exists()]
    words = [word for name in there for word in ("--test", name)]
    tests = cargo(root, "codec", "test", features, "--no-run", "--lib", "--bench", "model", *words)
    made["model"] = tests.pop("model")
    return made, tests
