"""Builds our side of the comparison and finds its programs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

NAMES = ("model", "operators")


def build() -> dict[str, Path]:
    """The programs of codec/benches in a release build, by name."""
    command = ["cargo", "build", "--release", "--locked", "-p", "latentbit-codec"]
    command += [word for name in NAMES for word in ("--bench", name)]
    result = subprocess.run(
        [*command, "--message-format", "json-render-diagnostics"], stdout=subprocess.PIPE, text=True, check=False
    )
    if result.returncode != 0:
        raise SystemExit("bench: codec/benches does not build")
    programs = {}
    for line in result.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] in NAMES:
            programs[message["target"]["name"]] = Path(message["executable"])
    if missing := set(NAMES).difference(programs):
        raise SystemExit(f"bench: cargo built no program named {' or '.join(sorted(missing))}")
    return programs
