"""Ratios, tables and turns, on made-up results."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import document
import numpy as np
import operators
import pytest
from agreement import agreement, in_words
from cases import Case, Clip, select, shorter, whole_models
from report import Results
from table import figure, rows
from turns import FailedError, Program, in_turn

MACHINE: dict[str, str | float] = {
    "date": "2020-01-01", "cpu": "A CPU", "instructions": "avx2", "cores": 2, "system": "Linux", "latentbit": "abc",
    "rustc": "1.95.0", "torch": "2.0", "python": "3.11", "load": 0.25,
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
        "ours_base_mb": 1.0, "peer_base_mb": 1.0, "unfinished": False,
    }
    assert (compiled["peer"], compiled["ratio"]) == ("torch-compile", 0.5)


def test_figures_of_a_peer_that_did_not_finish_are_bounds() -> None:
    results = Results(MACHINE, 2)
    results.add("480x832", OURS, [EAGER | {"seconds": [4000.0], "fps": 0.0025, "unfinished": True}, COMPILED])
    text = results.as_markdown()
    assert "| tiny | encode | 480×832 | 10 | bf16 | 5.00 | < 0.0025 | > 2000.00 | 10.0 | 0.50 |" in text
    assert "| tiny | encode | 480×832 | 10 | bf16 | 50 | ≥ 800 | 900 | 49 | ≥ 799 | 899 |" in text
    assert "are bounds" in text
    assert "### Agreement" not in text


GEMM = [{"dtype": "f32", "threads": 1, "gflops": 60.0}, {"dtype": "f32", "threads": 2, "gflops": 123.4}]


def operator(name: str, gflops: float, dtype: str = "f32") -> dict[str, Any]:
    return {
        "operator": name, "dtype": dtype, "threads": 2, "cpu": "AVX512", "seconds": 0.0125, "gflops": gflops,
        "share": 0.5,
    }


OPERATORS = [
    operator("product 1x1x1 2048-2048, of 1x1x2048", 100.0),
    operator("conv 1x3x3 48-96, stride 2, of 4x64x64", 61.7),
    operator("product 1x1x1 2048-2048, of 1x1x2048", 300.0, "bf16"),
]


def test_the_tables_have_a_line_for_each_case_and_a_dash_for_what_is_missing() -> None:
    results = Results(MACHINE, 2, GEMM, OPERATORS)
    results.add("480x832", OURS, [EAGER, COMPILED])
    wide = [report("latentbit", [1.0, 1.0, 1.0], 60.0, "f32"), report("torch-eager", [2.0, 2.0, 2.0], 700.0, "f32")]
    results.add("480x832", wide[0], wide[1:])
    results.agree(EAGER, 99.5)
    results.agree(EAGER, 99.25)
    results.failures.append("something: it broke")
    text = results.as_markdown()
    assert "| f32 | 2 | 123 | 100 |" in text
    assert "| f32 | 1 | 60 | – |" in text
    assert "| conv 1×3×3 48→96, stride 2, of 4×64×64 | 12.50 | 62 | 50 % | – | – | – |" in text
    assert "| tiny | encode | 480×832 | 10 | bf16 | 5.00 | 2.00 | 2.50 | 10.0 | 0.50 |" in text
    assert "| tiny | encode | 480×832 | 10 | f32 | 10.0 | 5.00 | 2.00 | – | – |" in text
    assert "| tiny | encode | 480×832 | 10 | bf16 | 50 | 800 | 900 | 49 | 799 | 899 |" in text
    assert "| tiny | encode | 480×832 | 10 | f32 | 60 | 700 | – | 59 | 699 | – |" in text
    assert "| tiny | encode | bf16 | 99.25 % equal bits |" in text
    assert "- something: it broke" in text
    assert "| A CPU, 2 cores |" in text
    assert "| load before | 0.2 |" in text
    tables = [part for part in text.split("\n\n") if part.startswith("|")]
    assert len(tables) == 6
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_the_share_is_that_of_the_fastest_product_with_as_many_threads() -> None:
    ours, conv, bf16 = operators.rows(OPERATORS, GEMM)
    assert conv == {
        "operator": "conv 1x3x3 48-96, stride 2, of 4x64x64", "dtype": "f32", "threads": 2, "seconds": 0.0125,
        "gflops": 61.7, "gemm_gflops": 123.4, "share": 0.5,
    }
    assert ours["share"] == 0.81
    # Nothing else was measured in this type.
    assert bf16["share"] == 1


def test_results_can_be_read_again() -> None:
    results = Results(MACHINE, 2, GEMM, OPERATORS)
    results.add("480x832", OURS, [EAGER])
    results.agree(EAGER, math.inf)
    again = Results(**json.loads(json.dumps(results.everything())))
    assert again.as_markdown() == results.as_markdown()


def test_a_report_replaces_what_is_between_the_marks(tmp_path: Path) -> None:
    path = tmp_path / "document.md"
    path.write_text(f"before\n\n{document.BEGIN}\nold\n{document.END}\n\nafter\n")
    for text in ("new\n", "newer\n"):
        document.check(path)
        document.write(path, text)
        assert path.read_text() == f"before\n\n{document.BEGIN}\n{text}{document.END}\n\nafter\n"


def test_a_report_makes_a_new_file_but_leaves_one_without_marks_alone(tmp_path: Path) -> None:
    path = tmp_path / "document.md"
    document.check(path)
    document.write(path, "new\n")
    assert path.read_text() == f"{document.BEGIN}\nnew\n{document.END}\n"
    for text in ("nothing", f"{document.END}\n{document.BEGIN}", document.BEGIN):
        path.write_text(text)
        with pytest.raises(SystemExit, match="has no"):
            document.check(path)


def test_the_json_has_a_row_for_each_peer() -> None:
    results = Results(MACHINE, 2, GEMM, OPERATORS)
    results.add("480x832", OURS, [EAGER, COMPILED])
    data = json.loads(json.dumps(results.as_json()))
    assert [row["peer"] for row in data["rows"]] == ["torch-eager", "torch-compile"]
    assert len(data["operators"]) == 3
    assert data["machine"]["cpu"] == "A CPU"


def test_results_without_a_case_have_no_table() -> None:
    text = Results(MACHINE, 2).as_markdown()
    assert "A CPU" in text
    assert "ratio" not in text


@pytest.mark.parametrize(("value", "text"), [(0.01234, "0.012"), (0.1234, "0.12"), (12.34, "12.3"), (1234.5, "1234")])
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert figure(value) == text


def test_cases_are_chosen_by_words() -> None:
    cases = list(whole_models(Path("models/default.safetensors")))
    assert len(cases) == 24
    chosen = select(cases, ["encode", "256x256", "f32"], ("torch-eager",))
    assert [case.label for case in chosen] == ["default encode 1x256x256 f32", "default encode 17x256x256 f32"]
    assert {case.peers for case in chosen} == {("torch-eager",)}


def test_clips_can_be_made_shorter() -> None:
    chosen = select(list(whole_models(Path("models/default.safetensors"))), ["encode", "256x256", "f32"], ())
    assert [case.clip.frames for case in shorter(chosen, 5)] == [1, 5]
    assert [case.clip.frames for case in shorter(chosen, 1)] == [1]
    assert shorter(chosen, 17) == chosen


def test_short_runs_are_repeated_more_often() -> None:
    bundle = Path("models/default.safetensors")
    assert Case(bundle, "encode", Clip(128, 128, 1), "f32").repeats == 10
    assert Case(bundle, "encode", Clip(128, 128, 17), "f32").repeats == 2
    assert Case(bundle, "encode", Clip(832, 480, 5), "f32").repeats == 1
    assert Case(bundle, "encode", Clip(128, 128, 1), "f32", weight=20).repeats == 2


def test_agreement_is_told_in_the_unit_of_the_task() -> None:
    tokens = np.array([0b1001, 0b0110], "<u8")
    assert agreement("encode", tokens.tobytes(), (tokens ^ np.uint64(1)).tobytes()) == 75
    assert agreement("decode", bytes([10, 20]), bytes([10, 20])) == math.inf
    assert agreement("decode", bytes([0, 0]), bytes([255, 255])) == 0
    latent = np.array([10, 0], "<f4")
    assert agreement("vae-encode", latent.tobytes(), (latent + np.float32(1)).tobytes()) == 20
    with pytest.raises(ValueError, match="1 and 2 bytes"):
        agreement("decode", b"a", b"ab")
    assert in_words("encode", 99.123) == "99.12 % equal bits"
    assert in_words("decode", math.inf) == "identical"
    assert in_words("decode", 51.23) == "51.2 dB"


# Writes its name to a shared file, and answers.
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


def test_a_program_that_gave_up_has_no_more_turns(tmp_path: Path) -> None:
    quitter = "print('{\"seconds\": [7.5], \"frames\": 3, \"fps\": 0.4, \"unfinished\": true}', flush=True)"
    programs = [talker(tmp_path, "a"), Program([sys.executable, "-c", quitter], tmp_path / "b.log", {})]
    in_turn(programs, 3)
    assert (tmp_path / "shared").read_text() == "aaa"
    assert programs[1].unfinished
    assert programs[1].summary()["seconds"] == [7.5]


def test_a_program_that_fails_ends_all_and_says_why(tmp_path: Path) -> None:
    programs = [talker(tmp_path, "a"), talker(tmp_path, "b", turns=1)]
    with pytest.raises(FailedError, match="I am tired"):
        in_turn(programs, 3)
    assert all(program.process and program.process.poll() is not None for program in programs)
