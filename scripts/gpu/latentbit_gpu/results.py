"""What was found so far, in a file: a call goes on where the one before it ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Report = dict[str, Any]


@dataclass
class Results:
    """Everything."""

    about: Report = field(default_factory=dict)
    checks: dict[str, Report] = field(default_factory=dict)
    """By name: `state` (ok, failed or skipped), `detail`, `seconds`."""
    rates: Report = field(default_factory=dict)
    """Operations and bytes per second that the card reaches."""
    work: dict[str, Report] = field(default_factory=dict)
    """By case: operations, bytes and the floor of seconds."""
    runs: dict[str, dict[str, Report]] = field(default_factory=dict)
    """By case and program: its report, or `failed`."""
    left: list[str] = field(default_factory=list)
    """What there was no time for."""

    @staticmethod
    def read(path: Path) -> Results:
        """Those of an earlier call, or none."""
        return Results(**json.loads(path.read_text())) if path.exists() else Results()

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=1) + "\n")
        partial.replace(path)

    def forget(self, words: list[str]) -> None:
        """Drops what failed, and what any of the words tells of, so that it is done again."""
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
