"""All of `verify` in rehearsal, with fakes of our programs."""

from __future__ import annotations

from pathlib import Path

import pytest
from latentbit_gpu import paths, verify
from latentbit_gpu.cases import Case
from latentbit_gpu.paths import Built
from latentbit_gpu.results import Results


def verified(built: Built, folder: Path, *words: str) -> tuple[int, Results]:
    store = folder / "results.json"
    code = verify.main(["--rehearse", "--built", str(built.folder), "--results", str(store), *words])
    return code, Results.read(store)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves files of the checkout alone."""
    monkeypatch.setattr(verify, "ROOT", tmp_path)


def test_points_that_hold(built: Built, tmp_path: Path) -> None:
    code, results = verified(built, tmp_path, "--part", "correctness")
    assert code == 0, results.checks
    assert {report["state"] for report in results.checks.values()} == {"ok"}
    assert results.checks["tests: golden"]["detail"] == "3 tests passed"
    assert results.about["LatentBit"] == "abc"


@pytest.mark.parametrize(("habit", "wrong"), [("drift", "bf16 close to f32: pattern"), ("panic", "messages"),
                                              ("random", "same every time: pattern")])
def test_points_that_do_not_hold(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, habit: str, wrong: str
) -> None:
    monkeypatch.setenv("FAKE", habit)
    code, results = verified(built, tmp_path, "--part", "correctness")
    assert code == verify.WRONG
    assert wrong in results.wrong
    assert results.checks["memory flat in length"]["state"] == "ok", "the others continue"


def test_a_call_goes_on_where_time_ran_out(built: Built, tmp_path: Path) -> None:
    code, results = verified(built, tmp_path, "--part", "correctness", "--minutes", "0.1")
    assert code == verify.LEFT
    assert "memory flat in length" in results.left
    assert verified(built, tmp_path, "--report")[0] == verify.LEFT
    assert verified(built, tmp_path, "--part", "correctness")[0] == 0


def test_programs_are_measured_beside_each_other(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case("wan", "vae-decode", 24, 16, 5, "f32", pace=1, repeats=2)
    for module in ("verify", "tables"):
        monkeypatch.setattr(f"latentbit_gpu.{module}.cases", lambda rehearse: {"wan": [case]})
    document = tmp_path / "gpu.md"
    code, results = verified(built, tmp_path, "--part", "wan", "--markdown", str(document))
    assert code == 0
    runs = results.runs[case.label]
    assert set(runs) == {"latentbit", "torch-compile", "torch-eager"}
    for name, report in runs.items():
        assert "failed" not in report, report
        assert len(report["seconds"]) == 2
        # Ours is the recipe's modules here, over the whole clip.
        assert name == "latentbit" or report["agreement"] > 60
    assert results.work[case.label]["floor_seconds"] > 0
    assert results.rates["copy"] > 0
    assert "| wan | vae-decode | 16×24 | 5 | f32 |" in document.read_text()


def test_without_programs_it_says_what_makes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "PACKED", tmp_path / "none")
    with pytest.raises(SystemExit, match="scripts/gpu/bundle"):
        paths.built(None)
