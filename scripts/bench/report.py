"""The results of a run as text and JSON."""

from __future__ import annotations

import math
import textwrap
from dataclasses import asdict, dataclass, field
from typing import Any

import operators
from agreement import in_words
from table import Report, Row, in_table, memory, rows, speed


@dataclass
class Results:
    """All measurements, in order."""

    machine: dict[str, str | float]
    threads: int
    gemm: list[dict[str, Any]] = field(default_factory=list)
    operators: list[dict[str, Any]] = field(default_factory=list)
    """As codec/benches/operators prints them."""
    rows: list[Row] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    agreements: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, size: str, ours: Report, peers: list[Report]) -> list[Row]:
        """Adds the reports of one case."""
        made = rows(size, ours, peers)
        self.rows += made
        self.reports += [ours, *peers]
        return made

    def agree(self, report: Report, value: float) -> None:
        """Adds the agreement of a peer's output with ours; `report` is the peer's."""
        names = {"model": "bundle", "task": "task", "dtype": "dtype", "peer": "implementation"}
        self.agreements.append({name: report[key] for name, key in names.items()} | {"value": value})

    def everything(self) -> dict[str, Any]:
        """Everything needed to recreate the results: `Results(**everything)`."""
        return asdict(self)

    def as_json(self) -> dict[str, Any]:
        """The contents of cpu.json."""
        return {
            "machine": self.machine, "threads": self.threads, "gemm": self.gemm, "rows": self.rows,
            "operators": operators.rows(self.operators, self.gemm),
        }

    def as_markdown(self) -> str:
        """The report for docs/performance.md."""
        parts = [self._machine()]
        if self.rows:
            parts += ["### Whole models", self._how_to_read(), speed(self.rows)]
            parts += ["### Memory", self._base(), memory(self.rows)]
        if self.agreements:
            parts += ["### Agreement", AGREEMENT, self._agreements()]
        if self.operators:
            parts += ["### Operators", OPERATORS, operators.products(self.operators, self.gemm)]
            parts.append(operators.markdown(operators.rows(self.operators, self.gemm)))
        if self.failures:
            parts += ["### Failed", "\n".join(f"- {line}" for line in self.failures)]
        return "\n\n".join(part if part[0] in "#|-" else textwrap.fill(part, 120) for part in parts) + "\n"

    def _machine(self) -> str:
        about = self.machine
        kernels = {(r["implementation"], r["cpu"]) for r in self.reports}
        kernels |= {("latentbit", r["cpu"]) for r in self.operators}
        lines = [
            f"| machine | {about['cpu']}, {about['cores']} cores |",
            f"| instruction sets | {about['instructions']} |",
            f"| threads | {self.threads} |",
            f"| load before | {about['load']:.1f} |",
            f"| versions | LatentBit {about['latentbit']}, rustc {about['rustc']}, PyTorch {about['torch']}, "
            f"Python {about['python']}, {about['system']} |",
            *(f"| kernels of {name} | {kernel} |" for name, kernel in sorted(kernels)),
            f"| date | {about['date']} |",
        ]
        return "\n".join(["| what | |", "|---|---|", *lines])

    def _how_to_read(self) -> str:
        turns = sorted({len(report["seconds"]) for report in self.reports})
        runs = f"{turns[0]} to {turns[-1]}" if len(turns) > 1 else str(turns[0])
        return (
            f"Sizes are height × width. Frames per second are from the median of {runs} warm runs that alternate. The "
            "ratio is the peer's seconds over ours: above 1 LatentBit is faster." + self._bounds()
        )

    def _bounds(self) -> str:
        if not any(row.get("unfinished") for row in self.rows):
            return ""
        return " Figures after a sign are bounds: the peer's run took too long and was stopped."

    def _base(self) -> str:
        base: dict[str, float] = {}
        for report in self.reports:
            base[report["implementation"]] = max(base.get(report["implementation"], 0), report["base_mb"])
        empty = " and ".join(f"{value:.0f} MB in {name}" for name, value in base.items() if name != "torch-compile")
        return (
            "Peak of the whole process in MB (10⁶ bytes), and the same without the memory before a model is loaded, "
            f"{empty}. The compiled peer's includes its compiler."
        )

    def _agreements(self) -> str:
        worst: dict[tuple[str, ...], dict[str, float]] = {}
        for found in self.agreements:
            by_peer = worst.setdefault((found["model"], found["task"], found["dtype"]), {})
            by_peer[found["peer"]] = min(by_peer.get(found["peer"], math.inf), found["value"])
        peers = list(dict.fromkeys(found["peer"] for found in self.agreements))
        lines = [
            [*key, *(in_words(key[1], by_peer[peer]) if peer in by_peer else "–" for peer in peers)]
            for key, by_peer in worst.items()
        ]
        return in_table(["model", "task", "type", *peers], lines, text=3)


AGREEMENT = (
    "Agreement of the peers' outputs with ours in the same number type, on the same input: the lowest of all sizes. "
    "(dB: PSNR of frames; for the latent, relative to its largest value.)"
)

OPERATORS = (
    "Operators of the shipped bundle at 256×256, of Wan 2.1 (96 to 384 channels, 3×3×3), and linear layers and "
    "attention of the tokenizer, with everything that follows a product. Names give kernel, channels and the extents "
    "of the input (time, height, width). GFLOP/s count the operations of the definition; Winograd, and doubling in "
    "space folded into a convolution, need 4 of 9 multiplications, so they can exceed the rate of a product. The share "
    "is relative to the faster of the two products here: the best run of PyTorch's, and the median of ours, as for all "
    "operators."
)
