"""From reports to rows, and from rows to a table."""

from __future__ import annotations

from statistics import median
from typing import Any

Report = dict[str, Any]
Row = dict[str, Any]


def rows(size: str, ours: Report, peers: list[Report]) -> list[Row]:
    """A row for each peer. The ratio is its seconds over ours: above 1 we are faster."""
    made = []
    for peer in peers:
        ratio = median(peer["seconds"]) / median(ours["seconds"])
        made.append({
            "model": ours["bundle"], "task": ours["task"], "size": size, "frames": ours["frames"],
            "dtype": ours["dtype"], "peer": peer["implementation"],
            "ours_fps": round(ours["fps"], 3), "peer_fps": round(peer["fps"], 3), "ratio": round(ratio, 3),
            "ours_peak_mb": round(ours["peak_mb"], 1), "peer_peak_mb": round(peer["peak_mb"], 1),
        })
    return made


def markdown(all_rows: list[Row]) -> str:
    """One line for each thing that was measured, peers side by side."""
    peers = list(dict.fromkeys(row["peer"] for row in all_rows))
    lines: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in all_rows:
        key = tuple(row[name] for name in ("model", "task", "size", "frames", "dtype"))
        lines.setdefault(key, {})[row["peer"]] = row
    head = ["model", "task", "size", "frames", "type", "LatentBit, frames/s"]
    head += [column for peer in peers for column in (f"{peer}, frames/s", "ratio")]
    head += ["LatentBit, peak MB", *(f"{peer}, peak MB" for peer in peers)]
    text = [head, ["---"] * 3 + ["--:"] + ["---"] + ["--:"] * (len(head) - 5)]
    for key, by_peer in lines.items():
        first = next(iter(by_peer.values()))
        cells = [str(part).replace("x", "×") if name == "size" else str(part)
                 for name, part in zip(("model", "task", "size", "frames", "dtype"), key, strict=True)]
        cells.append(figure(first["ours_fps"]))
        for peer in peers:
            found = by_peer.get(peer)
            cells += [figure(found["peer_fps"]), f"{found['ratio']:.2f}"] if found else ["–", "–"]
        cells.append(f"{first['ours_peak_mb']:.0f}")
        cells += [f"{by_peer[peer]['peer_peak_mb']:.0f}" if peer in by_peer else "–" for peer in peers]
        text.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in text)


def figure(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
