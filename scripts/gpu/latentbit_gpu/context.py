"""The context of all steps of a call."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .deadline import Deadline, Outcome, run
from .paths import ROOT, Built
from .results import Results


@dataclass
class Context:
    """Programs, device, time, and a working folder."""

    built: Built
    device: str
    rehearse: bool
    deadline: Deadline
    work: Path
    results: Results
    store: Path
    """The file for results."""

    def save(self) -> None:
        """Saves the results so far."""
        self.results.write(self.store)

    def latentbit(
        self, *words: str | Path, most: float = 120, check: bool = True, hide_gpu: bool = False
    ) -> Outcome:
        """Runs the command."""
        environment = os.environ | ({"CUDA_VISIBLE_DEVICES": ""} if hide_gpu else {})
        return run([self.built.latentbit, *words], self.deadline, most, check=check, environment=environment,
                   folder=ROOT)

    def path(self, name: str) -> Path:
        """A path in the working folder."""
        self.work.mkdir(parents=True, exist_ok=True)
        return self.work / name
