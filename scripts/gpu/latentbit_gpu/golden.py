"""Runs the golden tests, which were compiled on another machine.

They look for their data below the folder in which they were compiled. `bundle` compiles them below a link in /tmp,
which anybody can make on any machine.
"""

from __future__ import annotations

import re
from pathlib import Path

from .deadline import Deadline, FailedError, run
from .paths import ROOT

RESULT = re.compile(r"test result: (\w+)\. (\d+) passed; (\d+) failed; (\d+) ignored")
PANIC = re.compile(r"panicked at [^\n]*\n([^\n]+)")
SKIPPED = re.compile(r"^.*\bskipp?(?:ed|ing|s)\b.*$", re.IGNORECASE | re.MULTILINE)


def place(root: Path) -> None:
    """Makes sure that the tests find their data below `root`."""
    # As the tests do: through the folder of their package.
    data = root / "codec" / ".." / "testdata" / "golden"
    if data.is_dir():
        return
    if root.is_symlink():
        # From another run, whose folder is gone.
        root.unlink()
    try:
        root.symlink_to(ROOT, target_is_directory=True)
    except OSError as error:
        raise FailedError(f"the tests look for data below {root}, which cannot be made: {error}") from error
    if not data.is_dir():
        raise FailedError(f"{ROOT} has no testdata/golden, or no codec next to it")


def counts(text: str) -> tuple[int, int]:
    """Numbers of passed and failed tests, from a test program's output."""
    found = RESULT.findall(text)
    if not found:
        raise FailedError("the program reports no result")
    return sum(int(passed) for _, passed, _, _ in found), sum(int(failed) for _, _, failed, _ in found)


def skipped(text: str) -> list[str]:
    """The lines that tests print when they skip the GPU."""
    lines = (match.strip() for match in SKIPPED.findall(text))
    return [line for line in lines if re.search(r"gpu|cuda", line, re.IGNORECASE)]


def run_tests(program: Path, deadline: Deadline, on_gpu: bool) -> str:
    """Runs a program and reports how many tests passed. On a GPU, tests that skip it fail."""
    outcome = run([program, "--nocapture"], deadline, 240, check=False)
    text = outcome.stdout + outcome.stderr
    passed, failed = counts(text) if RESULT.search(text) else (0, 0)
    if outcome.code or failed:
        names = re.findall(r"^test (\S+) \.\.\. FAILED", text, re.MULTILINE) or re.findall(r"^    (\w+)$", text, re.M)
        reason = PANIC.search(text)
        raise FailedError(f"{failed} of {passed + failed} failed: {', '.join(sorted(set(names)))[:100]}; "
                          f"{reason.group(1)[:300] if reason else outcome.last_words}")
    left_out = skipped(text)
    if on_gpu and left_out:
        raise FailedError(f"{passed} passed, but the GPU was skipped: {left_out[0]}")
    return f"{passed} tests passed" + (f", {len(left_out)} without the GPU" if left_out else "")
