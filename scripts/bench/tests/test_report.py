"""Ratios, tables and turns, on results that were made up."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agreement import agreement
from cases import Case, Clip, select, whole_models
from report import Results
from table import figure, rows
from turns import FailedError, Program, in_turn

MACHINE: dict[str, str | int] = {
    "date": "2020-01-01", "cpu": "A CPU", "instructions": "avx2", "cores": 2, "system": "Linux", "latentbit": "abc",
    "rustc": "1.95.0", "torch": "2.0", "python": "3.11",
}


def report(implementation: str, seconds: list[float], peak: float, dtype: str = "bf16") -> dict[str, Any]:
    return {
        "implementation": implementation, "bundle": "tiny", "task": "encode", "size": "832x480", "frames": 10,
        "dtype": dtype, "threads": 2, "cpu": "AVX512", "seconds": seconds, "fps": 10 / sorted(seconds)[1],
        "base_mb": 1.0, "peak_mb": peak,
    }


OURS = report("latentbit", [2.0, 1.0, 9.0], 50.04)
EAGER = report("torch-eager", [3.0, 5.0, 5.0], 800.0)
COMPILED = report("torch-compile", [1.0, 1.0, 1.0], 900.0)


def test_the_ratio_is_the_peers_median_over_ours() -> None:
    eager, compiled = rows("480x832", OURS, [EAGER, COMPILED])
    assert eager == {
        "model": "tiny", "task": "encode", "size": "480x832", "frames": 10, "dtype": "bf16", "peer": "torch-eager",
        "ours_fps": 5.0, "peer_fps": 2.0, "ratio": 2.5, "ours_peak_mb": 50.0, "peer_peak_mb": 800.0,
    }
    assert (compiled["peer"], compiled["ratio"]) == ("torch-compile", 0.5)


def test_the_table_has_a_line_for_each_case_and_a_dash_for_what_is_missing() -> None:
    results = Results(MACHINE, 2, [{"dtype": "f32", "threads": 2, "gflops": 123.4}])
    results.add("480x832", OURS, [EAGER, COMPILED])
    wide = [report("latentbit", [1.0, 1.0, 1.0], 60.0, "f32"), report("torch-eager", [2.0, 2.0, 2.0], 700.0, "f32")]
    results.add("480x832", wide[0], wide[1:])
    results.failures.append("something: it broke")
    text = results.as_markdown()
    assert "| f32 | 2 | 123 |" in text
    assert "| tiny | encode | 480×832 | 10 | bf16 | 5.00 | 2.00 | 2.50 | 10.0 | 0.50 | 50 | 800 | 900 |" in text
    assert "| tiny | encode | 480×832 | 10 | f32 | 10.0 | 5.00 | 2.00 | – | – | 60 | 700 | – |" in text
    assert "- something: it broke" in text
    assert "A CPU, 2 cores, avx2" in text
    table = [line for line in text.splitlines() if line.startswith(("| model", "| ---", "| tiny"))]
    assert len({line.count("|") for line in table}) == 1


def test_the_json_has_a_row_for_each_peer() -> None:
    results = Results(MACHINE, 2)
    results.add("480x832", OURS, [EAGER, COMPILED])
    data = json.loads(json.dumps(results.as_json()))
    assert [row["peer"] for row in data["rows"]] == ["torch-eager", "torch-compile"]
    assert data["machine"]["cpu"] == "A CPU"


def test_results_without_a_case_have_no_table() -> None:
    text = Results(MACHINE, 2).as_markdown()
    assert "A CPU" in text
    assert "ratio" not in text


@pytest.mark.parametrize(("value", "text"), [(0.1234, "0.12"), (12.34, "12.3"), (1234.5, "1234")])
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


def test_cases_are_chosen_by_words() -> None:
    cases = list(whole_models(Path("models/default.safetensors")))
    assert len(cases) == 24
    chosen = select(cases, ["encode", "256x256", "f32"], ("torch-eager",))
    assert [case.label for case in chosen] == ["default encode 1x256x256 f32", "default encode 17x256x256 f32"]
    assert {case.peers for case in chosen} == {("torch-eager",)}


def test_short_runs_are_repeated_more_often() -> None:
    bundle = Path("models/default.safetensors")
    assert Case(bundle, "encode", Clip(128, 128, 1), "f32").repeats == 20
    assert Case(bundle, "encode", Clip(832, 480, 9), "f32").repeats == 1
    assert Case(bundle, "encode", Clip(128, 128, 1), "f32", weight=20).repeats == 3


def test_agreement_is_told_in_the_unit_of_the_task() -> None:
    tokens = np.array([0b1001, 0b0110], "<u8")
    assert agreement("encode", tokens.tobytes(), (tokens ^ np.uint64(1)).tobytes()) == "75.000 % equal bits"
    assert agreement("decode", bytes([10, 20]), bytes([10, 20])) == "identical"
    assert agreement("decode", bytes([0, 0]), bytes([255, 255])) == "0.0 dB"
    latent = np.array([10, 0], "<f4")
    assert agreement("vae-encode", latent.tobytes(), (latent + np.float32(1)).tobytes()) == "20.0 dB"
    assert agreement("decode", b"a", b"ab") == "not comparable: 1 and 2 bytes"


# Tells its name in a file that all programs share, and answers.
TALKER = """
import json, sys
path, name, turns = sys.argv[1:]
count = 0
while True:
    count += 1
    if count > int(turns):
        sys.exit("I am tired")
    with open(path, "a") as shared:
        shared.write(name)
    print(json.dumps({"seconds": [float(count)], "frames": 6}), flush=True)
    if not sys.stdin.readline():
        break
"""


def talker(folder: Path, name: str, turns: int = 9) -> Program:
    command = [sys.executable, "-c", TALKER, str(folder / "shared"), name, str(turns)]
    return Program(command, folder / f"{name}.log", {})


def test_programs_take_turns(tmp_path: Path) -> None:
    programs = [talker(tmp_path, "a"), talker(tmp_path, "b")]
    in_turn(programs, 3)
    assert (tmp_path / "shared").read_text() == "ababab"
    assert programs[0].summary() == {"seconds": [1.0, 2.0, 3.0], "frames": 6, "fps": 3.0}


def test_a_program_that_fails_ends_all_and_says_why(tmp_path: Path) -> None:
    programs = [talker(tmp_path, "a"), talker(tmp_path, "b", turns=1)]
    with pytest.raises(FailedError, match="I am tired"):
        in_turn(programs, 3)
    assert all(program.process and program.process.poll() is not None for program in programs)
