"""Puts a report into a document, between two marks."""

from __future__ import annotations

from pathlib import Path

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def check(path: Path) -> None:
    """Ends the program if a report has no place in a file: better now than when all is measured."""
    if path.exists() and not split(path.read_text()):
        raise SystemExit(f"bench: {path} has no {BEGIN} with {END} behind it")


def write(path: Path, report: str) -> None:
    """Replaces what is between the marks. A file that is not there becomes the report alone."""
    around = split(path.read_text()) if path.exists() else ("", "")
    assert around, "checked before"
    before, after = around
    path.write_text(f"{before}{BEGIN}\n{report.strip()}\n{END}{after or chr(10)}")


def split(text: str) -> tuple[str, str] | None:
    """What is before and behind."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return (before, after) if begin and end else None
