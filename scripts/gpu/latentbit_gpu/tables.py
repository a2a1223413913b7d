"""Results as tables, for the screen and the document."""

from __future__ import annotations

from statistics import median
from typing import Any

from agreement import in_words
from table import figure, in_table

from .cases import OURS, PEERS, Case, cases
from .profile import by_kind, rows_of
from .results import Report, Results
from .targets import peak, seconds, targets

NONE = "–"


def about(results: Results) -> str:
    """The machine and versions."""
    rows = [[name, str(value)] for name, value in results.about.items()]
    for name, rate in results.rates.items():
        unit = f"{rate / 1e12:.2f} TB/s" if name == "copy" else f"{rate / 1e12:.1f} TFLOP/s"
        rows.append([f"measured: {name.replace('_', ' ')}", unit])
    return in_table(["what", ""], rows, text=2)


def checks(results: Results) -> str:
    """Correctness."""
    rows = [[name, report["state"], cell(report["detail"])] for name, report in results.checks.items()]
    return in_table(["check", "state", "detail"], rows, text=3)


def cell(text: str, most: int = 240) -> str:
    """Text that is safe in a table."""
    flat = " ".join(text.replace("|", "/").split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def known(results: Results, rehearse: bool) -> list[Case]:
    """The measured cases, in order."""
    return [case for part in cases(rehearse).values() for case in part if results.runs.get(case.label)]


def speed(results: Results, rehearse: bool) -> str:
    """Frames per second, peak memory and share of the roofline: one line per case."""
    head = ["model", "task", "size", "frames", "type", "LatentBit, frames/s"]
    head += [column for peer in PEERS for column in (f"{peer}, frames/s", "ratio")]
    head += ["LatentBit, peak MB", *(f"{peer}, peak MB" for peer in PEERS)]
    head += ["LatentBit, share of roofline", "best PyTorch, share"]
    return in_table(head, [line(results, case) for case in known(results, rehearse)], text=5)


def line(results: Results, case: Case) -> list[str]:
    """The cells of a case."""
    runs = results.runs[case.label]
    ours, peers = runs.get(OURS), [runs.get(name) for name in PEERS]
    cells = [case.model, case.task, f"{case.height}×{case.width}", case.length, case.dtype, fps(ours)]
    own = seconds(ours)
    for peer in peers:
        theirs = seconds(peer)
        cells += [fps(peer), f"{theirs / own:.2f}" if own and theirs else NONE]
    cells += [megabytes(report) for report in (ours, *peers)]
    floor = results.work.get(case.label, {}).get("floor_seconds")
    fastest = min((value for value in map(seconds, peers) if value), default=None)
    cells += [f"{100 * floor / value:.0f} %" if floor and value else NONE for value in (own, fastest)]
    return cells


def fps(report: Report | None) -> str:
    """Frames per second, or a note that there are none."""
    if not report:
        return NONE
    frames = report.get("frames", 0) * report.get("clips", 1)
    return "failed" if "failed" in report else figure(frames / median(report["seconds"]))


def megabytes(report: Report | None) -> str:
    """Peak memory."""
    value = peak(report)
    return NONE if value is None else f"{value:.0f}"


def operators(results: Results, rehearse: bool) -> str:
    """Time by kind of operator in percent, for each program that reports it."""
    kinds: dict[str, None] = {}
    lines = []
    for case in known(results, rehearse):
        for name in (OURS, *PEERS):
            shares = by_kind(rows_of(results.runs[case.label].get(name, {})))
            if shares:
                kinds |= dict.fromkeys(shares)
                lines.append((case, name, shares))
    if not lines:
        return "No program reported its time by operator."
    rows = []
    for case, name, shares in lines:
        total = sum(shares.values())
        told_of = f"{case.model} {case.task} {case.length} of {case.height}×{case.width}"
        cells = [told_of, name, f"{1e3 * total:.1f}"]
        rows.append(cells + [f"{100 * shares.get(kind, 0) / total:.0f} %" for kind in kinds])
    return in_table(["case", "program", "all, ms", *kinds], rows, text=2)


def agreements(results: Results, rehearse: bool) -> str:
    """Agreement of PyTorch's outputs with ours."""
    rows = []
    for case in known(results, rehearse):
        runs = results.runs[case.label]
        cells = [told(case.task, runs.get(name, {})) for name in PEERS]
        if any(text != NONE for text in cells):
            rows.append([case.model, case.task, f"{case.length} of {case.height}×{case.width}", case.dtype, *cells])
    return in_table(["model", "task", "frames", "type", *PEERS], rows, text=4)


def told(task: str, report: Report) -> str:
    """The agreement of one report."""
    if "disagreement" in report:
        return cell(report["disagreement"])
    value = report.get("agreement")
    return NONE if value is None else in_words(task, float("inf") if value >= 999 and task != "encode" else value)


def aims(results: Results) -> str:
    """Targets."""
    rows = [[each.name, each.wanted, each.found, each.state] for each in targets(results)]
    return in_table(["target (one H100)", "wanted", "found", "state"], rows, text=4)


def failures(results: Results) -> list[str]:
    """Runs that failed, and why."""
    return [f"{label} {name}: {cell(report['failed'])}" for label, runs in results.runs.items()
            for name, report in runs.items() if "failed" in report]


def everything(results: Results, rehearse: bool) -> list[tuple[str, str]]:
    """Headings and their contents; the table of speeds comes last."""
    parts: list[tuple[str, Any]] = [("Machine", about(results))]
    if results.checks:
        parts.append(("Correctness", checks(results)))
    if any(results.runs.values()):
        parts += [("Time by operator", operators(results, rehearse)), ("Agreement", agreements(results, rehearse))]
    if wrong := failures(results):
        parts.append(("Failed", "\n".join(f"- {text}" for text in wrong)))
    if results.left:
        parts.append(("Not done yet", "\n".join(f"- {text}" for text in results.left)))
    parts.append(("Targets", aims(results)))
    if any(results.runs.values()):
        parts.append(("Speed and memory", speed(results, rehearse)))
    return parts


def markdown(results: Results, rehearse: bool) -> str:
    """All of it."""
    return "\n\n".join(f"### {head}\n\n{body}" for head, body in everything(results, rehearse)) + "\n"
