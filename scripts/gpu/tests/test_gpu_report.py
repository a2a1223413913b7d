"""Tables, targets, and results that calls continue from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latentbit_gpu import tables
from latentbit_gpu.cases import OURS, Case, shipped, wan
from latentbit_gpu.results import Results
from latentbit_gpu.targets import targets


def report(name: str, case: Case, seconds: float, peak: float | None) -> dict[str, Any]:
    return {"implementation": name, "frames": case.frames, "seconds": [seconds] * 3, "fps": case.frames / seconds,
            "card_peak_mb": peak, "operators": [{"name": "conv", "seconds": 0.3}, {"name": "mul", "seconds": 0.1}]}


def results() -> Results:
    made = Results(about={"card": "a card"}, rates={"product_bf16": 8e14, "copy": 3e12})
    made.checks = {"device": {"state": "ok", "detail": "a | b", "seconds": 1.0},
                   "tests: golden": {"state": "failed", "detail": "1 of 9 failed", "seconds": 1.0}}
    encode = wan()[0]
    made.runs[encode.label] = {
        OURS: report(OURS, encode, 1.0, 4000), "torch-compile": report("torch-compile", encode, 1.5, 10000),
        "torch-eager": {"failed": "out of memory"},
    }
    made.work[encode.label] = {"floor_seconds": 0.5}
    decode = next(case for case in shipped() if case.height == 1080 and case.task == "decode")
    made.runs[decode.label] = {OURS: report(OURS, decode, 3.3, None)}
    return made


def test_the_table_of_speeds_comes_last_and_all_its_lines_are_alike() -> None:
    text = tables.markdown(results(), rehearse=False)
    last = text.strip().split("\n\n")[-1].splitlines()
    assert len({line.count("|") for line in last}) == 1
    cells = [cell.strip() for cell in next(line for line in last if "| wan |" in line).strip("|").split("|")]
    assert cells == ["wan", "vae-encode", "480×832", "81", "bf16", "81.0", "54.0", "1.50", "failed", "–",
                     "4000", "10000", "–", "50 %", "33 %"]
    assert "| device | ok | a / b |" in text
    assert "torch-eager: out of memory" in text
    assert "| measured: product bf16 | 800.0 TFLOP/s |" in text
    assert "75 %" in text


def test_targets_are_met_or_not_or_not_measured() -> None:
    found = {each.name: each for each in targets(results())}
    speed = found["Wan 2.1, 480×832, encode, against compiled PyTorch in bf16"]
    assert (speed.state, speed.found) == ("met", "1.50 (aim 1.3: reached)")
    assert found["Wan 2.1, 480×832, decode, against compiled PyTorch in bf16"].state == "not measured"
    assert found["Wan 2.1, 480×832, encode, peak memory"].state == "met"
    assert found["shipped bundle, 1080×1920, decode"].state == "not met"
    assert {each.state for each in targets(Results())} == {"not measured"}


def test_results_are_kept_and_failures_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    assert Results.read(path) == Results()
    made = results()
    made.write(path)
    again = Results.read(path)
    assert again == made
    assert again.wrong == ["tests: golden"]
    again.forget(["vae-encode"])
    assert list(again.checks) == ["device"]
    assert again.runs[wan()[0].label] == {}
    assert again.runs[next(iter(set(again.runs) - {wan()[0].label}))]
