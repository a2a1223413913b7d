"""Writes a report into a document, between two marks."""

from __future__ import annotations

from pathlib import Path

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def check(path: Path) -> None:
    """Exits if a file has no place for a report: better before measuring than after."""
    if path.exists() and not split(path.read_text()):
        raise SystemExit(f"bench: {path} has no {BEGIN} followed by {END}")


def write(path: Path, report: str) -> None:
    """Replaces the text between the marks. A missing file is created with only the report."""
    around = split(path.read_text()) if path.exists() else ("", "")
    assert around, "checked before"
    before, after = around
    path.write_text(f"{before}{BEGIN}\n{report.strip()}\n{END}{after or chr(10)}")


def split(text: str) -> tuple[str, str] | None:
    """The text before and after the marks; None if they are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return (before, after) if begin and end else None
