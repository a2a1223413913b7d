"""The targets, and whether they were met."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from .cases import OURS, PEERS, Case, shipped, wan
from .results import Report, Results

REAL_TIME = 30.0
AIM = 1.3
MEMORY = 0.5


@dataclass(frozen=True)
class Verdict:
    """One target: the requirement, the result, and the verdict."""

    name: str
    wanted: str
    found: str
    state: str
    """met, not met, or not measured."""


def seconds(report: Report | None) -> float | None:
    """The median of a run."""
    return median(report["seconds"]) if report and report.get("seconds") else None


def peak(report: Report | None) -> float | None:
    """Peak memory of the card in MB, as counted by the driver, else by the program."""
    if not report:
        return None
    names = ["card_peak_mb", "gpu_peak_mb", "device_peak_mb", "reserved_mb"]
    if not str(report.get("device", "cpu")).startswith("cuda"):
        # Host memory.
        names.append("peak_mb")
    for name in names:
        if report.get(name):
            return float(report[name])
    return None


def ratio(results: Results, case: Case, peer: str) -> float | None:
    """The peer's seconds over ours: above 1 ours is faster."""
    runs = results.runs.get(case.label, {})
    ours, theirs = seconds(runs.get(OURS)), seconds(runs.get(peer))
    return theirs / ours if ours and theirs else None


def memory_share(results: Results, case: Case) -> float | None:
    """Our peak over the smallest of PyTorch's."""
    runs = results.runs.get(case.label, {})
    ours, theirs = peak(runs.get(OURS)), [peak(runs.get(name)) for name in PEERS]
    known = [value for value in theirs if value]
    return ours / min(known) if ours and known else None


def verdict(name: str, wanted: str, value: float | None, shown: str, met: bool) -> Verdict:
    """The value, or a dash if not measured."""
    if value is None:
        return Verdict(name, wanted, "–", "not measured")
    return Verdict(name, wanted, shown, "met" if met else "not met")


def targets(results: Results) -> list[Verdict]:
    """The targets of the GPU backend, for one H100."""
    made = []
    official = [case for case in wan() if case.height == 480]
    for case in official:
        value = ratio(results, case, "torch-compile")
        what = case.task.removeprefix("vae-")
        name = f"Wan 2.1, 480×832, {what}, against compiled PyTorch in bf16"
        shown = f"{value or 0:.2f}" + (f" (aim {AIM}: {'reached' if (value or 0) >= AIM else 'not reached'})")
        made.append(verdict(name, "at least 1 times as fast", value, shown, (value or 0) >= 1))
    for case in shipped():
        if case.height == 1080:
            run = results.runs.get(case.label, {}).get(OURS, {})
            value = run.get("fps")
            made.append(verdict(f"shipped bundle, 1080×1920, {case.task}", f"{REAL_TIME:.0f} frames/s", value,
                                f"{value or 0:.1f} frames/s", (value or 0) >= REAL_TIME))
    for case in official:
        value = memory_share(results, case)
        what = case.task.removeprefix("vae-")
        made.append(verdict(f"Wan 2.1, 480×832, {what}, peak memory", "at most 0.5 of PyTorch's", value,
                            f"{value or 0:.2f}", (value or 9) <= MEMORY))
    return made
