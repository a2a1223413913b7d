"""What a run of all cases came to, in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from table import Report, Row, markdown, rows


@dataclass
class Results:
    """Everything that was measured, in the order in which it was."""

    machine: dict[str, str | int]
    threads: int
    gemm: list[dict[str, Any]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    agreements: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def add(self, size: str, ours: Report, peers: list[Report]) -> list[Row]:
        """Takes the reports of one case."""
        made = rows(size, ours, peers)
        self.rows += made
        self.reports += [ours, *peers]
        return made

    def as_json(self) -> dict[str, Any]:
        """What cpu.json holds."""
        return {"machine": self.machine, "threads": self.threads, "gemm": self.gemm, "rows": self.rows}

    def as_markdown(self) -> str:
        """What goes into docs/performance.md."""
        parts = [self._machine(), self._gemm()]
        if self.rows:
            parts += [markdown(self.rows), self._notes()]
        parts.append(self._list("How far the outputs are from ours, on the same input:", self.agreements))
        parts.append(self._list("Failed:", self.failures))
        return "\n\n".join(part for part in parts if part) + "\n"

    def _machine(self) -> str:
        about = self.machine
        kernels = sorted({f"{report['implementation']} {report['cpu']}" for report in self.reports})
        lines = [
            f"| machine | {about['cpu']}, {about['cores']} cores, {about['instructions']} |",
            f"| threads | {self.threads} |",
            f"| versions | LatentBit {about['latentbit']}, rustc {about['rustc']}, PyTorch {about['torch']}, "
            f"Python {about['python']}, {about['system']} |",
            f"| kernels | {', '.join(kernels)} |",
            f"| date | {about['date']} |",
        ]
        return "\n".join(["| what | |", "|---|---|", *lines])

    def _gemm(self) -> str:
        if not self.gemm:
            return ""
        lines = ["| PyTorch, product of two 2048×2048 matrices | threads | GFLOP/s |", "|---|--:|--:|"]
        return "\n".join(lines + [f"| {r['dtype']} | {r['threads']} | {r['gflops']:.0f} |" for r in self.gemm])

    def _notes(self) -> str:
        base: dict[str, float] = {}
        for report in self.reports:
            base[report["implementation"]] = max(base.get(report["implementation"], 0), report["base_mb"])
        empty = ", ".join(f"{value:.0f} MB of {name}" for name, value in base.items())
        return (
            "Sizes are height × width. Frames per second are medians of warm runs that alternate. The ratio is the "
            "peer's seconds over ours: above 1 LatentBit is faster. Peak memory is that of the whole process; of it "
            f"{empty} are there before a model is loaded."
        )

    @staticmethod
    def _list(title: str, lines: list[str]) -> str:
        return "\n".join([title, "", *(f"- {line}" for line in lines)]) if lines else ""
