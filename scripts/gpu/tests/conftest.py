"""Fakes of the compiled programs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from latentbit_gpu.paths import ROOT, Built


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def built(tmp_path: Path) -> Built:
    """A command, a benchmark (PyTorch's) and a test program."""
    folder = tmp_path / "built"
    fake = Path(__file__).with_name("fake_latentbit.py")
    script(folder / "bin" / "latentbit", f'exec "{sys.executable}" "{fake}" "$@"')
    path = f"{ROOT}/training:{ROOT}/scripts/bench"
    script(folder / "bin" / "model",
           f'PYTHONPATH="{path}" exec "{sys.executable}" "{ROOT}/scripts/bench/peer.py" --threads 1 "$@"')
    script(folder / "bin" / "tests" / "golden", 'echo "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured"')
    (folder / "manifest.json").write_text(f'{{"root": "{ROOT}", "commit": "abc"}}')
    return Built(folder)
