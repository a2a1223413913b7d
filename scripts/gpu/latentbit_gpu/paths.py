"""Paths in a checkout, or in the folder that `scripts/gpu/bundle` makes, which has the same layout."""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PACKED = ROOT / "runs" / "gpu-bundle"
TINY = ROOT / "testdata" / "golden" / "storage-int8.safetensors"
SHIPPED = ROOT / "models" / "default.safetensors"
MANIFEST = "manifest.json"


def environment(**more: str) -> dict[str, str]:
    """The environment of Python programs, which import from `scripts/` and `training/`."""
    path = os.pathsep.join(str(ROOT / name) for name in ("scripts/gpu", "scripts/bench", "training"))
    return os.environ | {"PYTHONPATH": path} | more


@dataclass(frozen=True)
class Built:
    """The programs compiled on another machine."""

    folder: Path

    @property
    def latentbit(self) -> Path:
        return self.folder / "bin" / "latentbit"

    @property
    def model(self) -> Path:
        """codec/benches/model."""
        return self.folder / "bin" / "model"

    @property
    def tests(self) -> list[Path]:
        """Golden tests, each a program."""
        return sorted(path for path in (self.folder / "bin" / "tests").glob("*") if os.access(path, os.X_OK))

    @property
    def clips(self) -> list[Path]:
        return sorted((self.folder / "clips").glob("*.y4m"))

    def manifest(self) -> dict[str, Any]:
        """What was packed and how; empty if the programs were put there by hand."""
        path = self.folder / MANIFEST
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found


def built(given: Path | None) -> Built:
    """The programs of a folder or an archive; by default, those where `bundle` puts them."""
    if given is None:
        archives = [PACKED.with_name(PACKED.name + end) for end in (".tar.xz", ".tar.zst")]
        places = [ROOT, PACKED, *archives]
        given = next((place for place in places if place.is_file() or (place / "bin" / "latentbit").exists()), None)
    if given is None:
        raise SystemExit(f"verify: no programs in {ROOT / 'bin'} or {PACKED}: scripts/gpu/bundle makes them")
    if given.is_file():
        given = unpacked(given)
    if not (given / "bin" / "latentbit").exists():
        raise SystemExit(f"verify: {given} has no bin/latentbit: scripts/gpu/bundle makes it")
    return Built(given.resolve())


def unpacked(archive: Path) -> Path:
    """Unpacks an archive next to itself, unless that is done."""
    name = archive.name.removesuffix(".xz").removesuffix(".zst").removesuffix(".tar")
    folder = archive.with_name(name)
    if (folder / MANIFEST).exists() and (folder / MANIFEST).stat().st_mtime >= archive.stat().st_mtime:
        return folder
    if archive.suffix == ".zst":
        raise SystemExit(f"verify: unpack {archive} first (tar --zstd -xf); Python alone reads .tar.xz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (folder / MANIFEST).touch()
    return folder
