"""Single operators against the rate of a large matrix product."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from table import in_table

Row = dict[str, Any]

MEASURE = "product "
"""Prefix of the name of our own large product."""


def measure(program: Path, threads: int, seconds: float, environment: dict[str, str]) -> list[Row]:
    """Runs codec/benches/operators and returns its report."""
    command = [str(program), "--threads", str(threads), "--seconds", str(seconds), "--json"]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return [json.loads(line) for line in result.stdout.splitlines()]


def rows(measured: list[Row], gemm: list[Row]) -> list[Row]:
    """A row per operator and type. The share is of the faster of two products: PyTorch's and our own."""
    best: dict[tuple[str, int], float] = {}
    for found in [*gemm, *(row for row in measured if row["operator"].startswith(MEASURE))]:
        key = (found["dtype"], found["threads"])
        best[key] = max(best.get(key, 0.0), found["gflops"])
    made = []
    for row in measured:
        rate = best[row["dtype"], row["threads"]]
        made.append({
            "operator": row["operator"], "dtype": row["dtype"], "threads": row["threads"],
            "seconds": round(row["seconds"], 7), "gflops": round(row["gflops"], 1),
            "gemm_gflops": round(rate, 1), "share": round(row["gflops"] / rate, 3),
        })
    return made


def products(measured: list[Row], gemm: list[Row]) -> str:
    """A table of the products that the others are compared with."""
    ours = {(r["dtype"], r["threads"]): r["gflops"] for r in measured if r["operator"].startswith(MEASURE)}
    lines = []
    for rate in gemm:
        own = ours.get((rate["dtype"], rate["threads"]))
        figures = [f"{rate['gflops']:.0f}", f"{own:.0f}" if own else "–"]
        lines.append([rate["dtype"], str(rate["threads"]), *figures])
    return in_table(["2048×2048 by 2048×2048, GFLOP/s", "threads", "PyTorch", "LatentBit"], lines, text=1)


def markdown(all_rows: list[Row]) -> str:
    """One line per operator, types next to each other."""
    dtypes = list(dict.fromkeys(row["dtype"] for row in all_rows))
    lines: dict[str, dict[str, Row]] = {}
    for each in all_rows:
        lines.setdefault(each["operator"], {})[each["dtype"]] = each
    head = ["operator", *(f"{dtype}, {column}" for dtype in dtypes for column in ("ms", "GFLOP/s", "share"))]
    text = []
    for name, by_dtype in lines.items():
        cells = [pretty(name)]
        for dtype in dtypes:
            if row := by_dtype.get(dtype):
                cells += [f"{row['seconds'] * 1e3:.2f}", f"{row['gflops']:.0f}", f"{100 * row['share']:.0f} %"]
            else:
                cells += ["–"] * 3
        text.append(cells)
    return in_table(head, text, text=1)


def pretty(name: str) -> str:
    """Extents as 3×3, channels as 48→96."""
    return re.sub(r"(?<=\d)-(?=\d)", "→", re.sub(r"(?<=\d)x(?=\d)", "×", name))
