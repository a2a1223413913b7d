"""From reports to rows, and from rows to tables."""

from __future__ import annotations

from statistics import median
from typing import Any

Report = dict[str, Any]
Row = dict[str, Any]

CASE = ("model", "task", "size", "frames", "dtype")
CASE_HEAD = ["model", "task", "size", "frames", "type"]


def rows(size: str, ours: Report, peers: list[Report]) -> list[Row]:
    """A row per peer. The ratio is its seconds over ours: above 1 we are faster.

    A peer that abandoned a run was slower than its seconds say, and may not have reached its peak: it is `unfinished`.
    """
    made = []
    for peer in peers:
        ratio = median(peer["seconds"]) / median(ours["seconds"])
        made.append({
            "model": ours["bundle"], "task": ours["task"], "size": size, "frames": ours["frames"],
            "dtype": ours["dtype"], "peer": peer["implementation"],
            "ours_fps": rounded(ours["fps"]), "peer_fps": rounded(peer["fps"]), "ratio": round(ratio, 3),
            "ours_peak_mb": round(ours["peak_mb"], 1), "peer_peak_mb": round(peer["peak_mb"], 1),
            "ours_base_mb": round(ours["base_mb"], 1), "peer_base_mb": round(peer["base_mb"], 1),
            "unfinished": peer.get("unfinished", False),
        })
    return made


def rounded(value: float) -> float:
    """Rounded to four significant digits."""
    return float(f"{value:.4g}")


def speed(all_rows: list[Row]) -> str:
    """Frames per second: one line per case, peers next to each other."""
    peers = peers_of(all_rows)
    head = [*CASE_HEAD, "LatentBit, frames/s"]
    head += [column for peer in peers for column in (f"{peer}, frames/s", "ratio")]
    lines = []
    for cells, by_peer in cases(all_rows):
        cells.append(figure(next(iter(by_peer.values()))["ours_fps"]))
        for peer in peers:
            found = by_peer.get(peer)
            cells += speeds(found) if found else ["–", "–"]
        lines.append(cells)
    return in_table(head, lines, text=len(CASE))


def speeds(row: Row) -> list[str]:
    """A peer's frames per second and the ratio."""
    return [f"{bound('< ', row)}{figure(row['peer_fps'])}", f"{bound('> ', row)}{row['ratio']:.2f}"]


def bound(sign: str, row: Row) -> str:
    """The sign before a figure of a peer that did not finish."""
    return sign if row.get("unfinished") else ""


def memory(all_rows: list[Row]) -> str:
    """Peak memory, likewise."""
    peers = peers_of(all_rows)
    names = ["LatentBit", *peers]
    head = [*CASE_HEAD, *(f"{name}, MB" for name in names), *(f"{name}, without base" for name in names)]
    lines = []
    for cells, by_peer in cases(all_rows):
        first = next(iter(by_peer.values()))
        found = [by_peer.get(peer) for peer in peers]
        for bases in (0, 1):
            cells.append(f"{first['ours_peak_mb'] - bases * first['ours_base_mb']:.0f}")
            cells += [
                "–" if row is None else f"{bound('≥ ', row)}{row['peer_peak_mb'] - bases * row['peer_base_mb']:.0f}"
                for row in found
            ]
        lines.append(cells)
    return in_table(head, lines, text=len(CASE))


def peers_of(all_rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(row["peer"] for row in all_rows))


def cases(all_rows: list[Row]) -> list[tuple[list[str], dict[str, Row]]]:
    """The cells common to all peers of a case, and the row of each peer."""
    found: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in all_rows:
        found.setdefault(tuple(row[name] for name in CASE), {})[row["peer"]] = row
    return [
        ([str(part).replace("x", "×") if name == "size" else str(part) for name, part in zip(CASE, key, strict=True)],
         by_peer)
        for key, by_peer in found.items()
    ]


def in_table(head: list[str], lines: list[list[str]], text: int) -> str:
    """The first `text` columns are aligned left, the others right."""
    rule = ["---"] * text + ["--:"] * (len(head) - text)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *lines])


def figure(value: float) -> str:
    """Three significant digits; two below a tenth."""
    if value < 0.1:
        return f"{value:.2g}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
