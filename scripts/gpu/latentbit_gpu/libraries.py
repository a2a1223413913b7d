"""Prints the folders of the CUDA libraries next to PyTorch, in the form of LD_LIBRARY_PATH.

PyTorch's wheels of cuDNN, cuBLAS and NVRTC have them in nvidia/*/lib. PyTorch itself is not imported, because that
takes seconds.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path


def beside(packages: Path) -> list[Path]:
    """The folders with shared libraries below nvidia/ in a package folder."""
    folders = {path.parent for path in packages.glob("nvidia/*/lib/*.so*")}
    return sorted(folders)


def folders() -> list[Path]:
    """Those next to the PyTorch that would be imported."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return []
    return beside(Path(spec.submodule_search_locations[0]).parent)


def main() -> None:
    found = folders()
    if not found:
        print("no CUDA libraries next to PyTorch: LD_LIBRARY_PATH is unchanged", file=sys.stderr)
    print(os.pathsep.join(map(str, found)))


if __name__ == "__main__":
    main()
