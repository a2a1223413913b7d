"""The results so far, in a file: each call continues where the previous one ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Report = dict[str, Any]


@dataclass
class Results:
    """All results."""

    about: Report = field(default_factory=dict)
    checks: dict[str, Report] = field(default_factory=dict)
    """By name: `state` (ok, failed or skipped), `detail`, `seconds`."""
    rates: Report = field(default_factory=dict)
    """The card's peak operations and bytes per second."""
    work: dict[str, Report] = field(default_factory=dict)
    """By case: operations, bytes and the floor of seconds."""
    runs: dict[str, dict[str, Report]] = field(default_factory=dict)
    """By case and program: its report, or `failed`."""
    left: list[str] = field(default_factory=list)
    """Steps for which there was no time."""

    @staticmethod
    def read(path: Path) -> Results:
        """The results of an earlier call, or none."""
        return Results(**json.loads(path.read_text())) if path.exists() else Results()

    def write(self, path: Path) -> None:
        """Saves them atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=1) + "\n")
        partial.replace(path)

    def forget(self, words: list[str]) -> None:
        """Drops failed steps and those that match any of the words, so that they are repeated."""
        def again(name: str) -> bool:
            return any(word in name for word in words)

        self.checks = {name: r for name, r in self.checks.items() if r["state"] != "failed" and not again(name)}
        self.runs = {
            label: {name: r for name, r in runs.items() if "failed" not in r and not again(f"{label} {name}")}
            for label, runs in self.runs.items()
        }

    @property
    def wrong(self) -> list[str]:
        """Checks that failed."""
        return [name for name, report in self.checks.items() if report["state"] == "failed"]
