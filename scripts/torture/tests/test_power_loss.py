"""The simulation of power cuts finds the faults that programs are known to have, and none in the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from power_loss import ROOT, Runner, Scenario, scenarios, simulate

COMMAND = ROOT / "target" / "debug" / "latentbit"


def can_trace() -> bool:
    try:
        return (
            subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode
            == 0
        )
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not can_trace(), reason="strace is not there, or may not trace")

# Ways to replace `out.lbit`; the last one is right.
WRITERS = {
    "in place": "open('out.lbit', 'wb').write(NEW)",
    "without syncing": "f = open('t', 'wb'); f.write(NEW); f.close(); os.rename('t', 'out.lbit')",
    "synced after the rename": (
        "f = open('t', 'wb'); f.write(NEW); f.flush(); os.rename('t', 'out.lbit'); os.fsync(f.fileno()); folder()"
    ),
    "without syncing the folder": (
        "f = open('t', 'wb'); f.write(NEW); f.flush(); os.fsync(f.fileno()); os.rename('t', 'out.lbit')"
    ),
    "removed first": (
        "f = open('t', 'wb'); f.write(NEW); f.flush(); os.fsync(f.fileno()); os.remove('out.lbit'); folder(); "
        "os.rename('t', 'out.lbit'); folder()"
    ),
    "right": (
        "f = open('t', 'wb'); f.write(NEW); f.flush(); os.fsync(f.fileno()); os.rename('t', 'out.lbit'); folder()"
    ),
}
SCRIPT = """
import os
NEW = b'n' * 3000
def folder():
    fd = os.open('.', os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
"""


@pytest.mark.parametrize("way", WRITERS)
def test_faults_are_found(way: str, tmp_path: Path) -> None:
    script = tmp_path / "writer.py"
    script.write_text(SCRIPT + WRITERS[way] + "\n", encoding="utf-8")

    def before(work: Path, run: Runner) -> None:
        (work / "out.lbit").write_bytes(b"old")

    judge = next(scenario for scenario in scenarios() if scenario.name == "encode-over").judge
    outcome = simulate(Scenario("writer", way, before, str(script), judge), sys.executable, 100, seed=1)
    assert outcome.states > 1
    assert (outcome.worse == []) == (way == "right"), outcome


@pytest.mark.skipif(not COMMAND.exists(), reason="target/debug/latentbit is not built")
@pytest.mark.parametrize("name", ["encode", "encode-over", "trim-over", "index", "models-add", "models-pull"])
def test_the_command_survives(name: str) -> None:
    scenario = next(scenario for scenario in scenarios() if scenario.name == name)
    outcome = simulate(scenario, str(COMMAND), 12, seed=2)
    assert outcome.worse == [] and outcome.states > 2
    assert outcome.verdicts["new"] > 0
