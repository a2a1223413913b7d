"""Programs that measure in turn: each stays warm in its own process and waits while another one computes."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from statistics import median
from typing import Any

Report = dict[str, Any]


class FailedError(Exception):
    """A program that ended too early, with its last words."""


class Program:
    """A program with `--turns`: it measures when it starts and again for each line on its stdin."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        self.command, self.log, self.environment = command, log, environment
        self.process: subprocess.Popen[str] | None = None
        self.reports: list[Report] = []

    @property
    def unfinished(self) -> bool:
        """Whether it abandoned a run that took too long; then it has ended, and its seconds are only a bound."""
        return bool(self.reports) and bool(self.reports[-1].get("unfinished"))

    def turn(self) -> None:
        """Lets it measure once; the first turn starts it and warms it up. After abandoning a run it has no turns."""
        if self.unfinished:
            return
        if self.process is None:
            with self.log.open("w") as errors:
                self.process = subprocess.Popen(
                    self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                    env=self.environment,
                )
        else:
            self.ask()
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise FailedError(self.last_words())
        self.reports.append(json.loads(line))

    def ask(self) -> None:
        """Tells it to continue; if it is gone, reading its answer shows that."""
        assert self.process and self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("\n")
            self.process.stdin.flush()

    def end(self) -> None:
        """Lets it write its output and exit."""
        if self.process is None:
            return
        assert self.process.stdin and self.process.stdout
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        if self.process.wait() != 0:
            raise FailedError(self.last_words())

    def stop(self) -> None:
        """Kills it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def last_words(self) -> str:
        """The end of its log, as compilers log a lot."""
        lines = self.log.read_text(errors="replace").splitlines() or ["no message"]
        return "\n".join(line[:200] for line in lines[-5:])

    def summary(self) -> Report:
        """The runs of all turns as one report; only the abandoned run, if there is one."""
        report = dict(self.reports[-1])
        if self.unfinished:
            return report
        report["seconds"] = [second for r in self.reports for second in r["seconds"]]
        report["fps"] = report["frames"] / median(report["seconds"])
        return report


def in_turn(programs: list[Program], rounds: int) -> None:
    """Gives each a turn, repeatedly; never two at once."""
    try:
        for _ in range(rounds):
            for program in programs:
                program.turn()
        for program in programs:
            program.end()
    finally:
        for program in programs:
            program.stop()
