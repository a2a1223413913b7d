"""Time limits of a call and of its steps."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


class LateError(Exception):
    """No time is left for a step: the next call continues with it."""


class FailedError(Exception):
    """A step failed, with its last words."""


@dataclass
class Deadline:
    """The end of a call."""

    seconds: float
    now: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.end = self.now() + self.seconds

    @property
    def left(self) -> float:
        return self.end - self.now()

    def limit(self, most: float, least: float = 20) -> float:
        """The time limit of a step that needs `least` seconds and gets at most `most`."""
        if self.left < min(least, most):
            raise LateError
        return min(most, self.left)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a program."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_words(self) -> str:
        """The end of its output."""
        lines = [line for line in (self.stderr + self.stdout).splitlines() if line.strip()] or ["no message"]
        return " / ".join(line.strip()[:200] for line in lines[-4:])


def run(
    command: Sequence[str | Path], deadline: Deadline, most: float, *, least: float = 20,
    environment: dict[str, str] | None = None, folder: Path | None = None, check: bool = True,
) -> Outcome:
    """Runs a program within its limit. One stopped by the end of the call counts as late, not as failed."""
    limit = deadline.limit(most, least)
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=limit, env=environment, cwd=folder,
            check=False, stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        if limit < most:
            raise LateError from error
        raise FailedError(f"{Path(words[0]).name} took more than {limit:.0f} s and was stopped") from error
    except OSError as error:
        raise FailedError(str(error)) from error
    outcome = Outcome(done.returncode, done.stdout, done.stderr)
    if check and outcome.code:
        raise FailedError(f"{Path(words[0]).name} ended with {outcome.code}: {outcome.last_words}")
    return outcome
