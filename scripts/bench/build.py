"""Builds our side of the comparison and tells where it is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path


def build() -> Path:
    """The program of codec/benches/model, built as a release."""
    command = ["cargo", "build", "--release", "--locked", "-p", "latentbit-codec", "--bench", "model"]
    result = subprocess.run(
        [*command, "--message-format", "json-render-diagnostics"], stdout=subprocess.PIPE, text=True, check=False
    )
    if result.returncode != 0:
        raise SystemExit("bench: codec/benches/model does not build")
    for line in result.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "model":
            return Path(message["executable"])
    raise SystemExit("bench: cargo built no program of the name model")
