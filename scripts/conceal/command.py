"""The built command, including its commands that take no model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "quality"))
from samples import Latentbit, Report


class Command(Latentbit):
    """The command."""

    def plain(self, *arguments: str | Path) -> Report:
        """Runs without the model options; the arguments must ask for JSON."""
        command = [str(self.binary), *map(str, arguments)]
        result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        report: Report = json.loads(result.stdout)
        return report

    def degrade(self, whole: Path, damaged: Path, options: list[str]) -> Report:
        """Drops chunks."""
        return self.plain("degrade", whole, "-o", damaged, "-y", "-q", "--json", *options)
