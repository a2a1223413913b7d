"""The tour of docs/python.md, block by block."""

from __future__ import annotations

import importlib.util
import json
import re
import types
from pathlib import Path
from typing import Any

import pytest

import latentbit
from conftest import ROOT, clip, write_tar

TOUR = ROOT / "docs/python.md"
BLOCKS = [
    (TOUR.read_text("utf-8")[: found.start()].count("\n") + 2, found[1])
    for found in re.finditer(r"^```python\n(.*?)^```", TOUR.read_text("utf-8"), re.MULTILINE | re.DOTALL)
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the page takes for granted: an archive with captions."""
    place = tmp_path_factory.mktemp("tour")
    (place / "shards").mkdir()
    members: dict[str, bytes] = {}
    for key in "ab":
        latentbit.Encoder(scene_cuts=False).write(clip(61), place / f"{key}.lbit")
        members |= {f"{key}.lbit": (place / f"{key}.lbit").read_bytes(), f"{key}.json": b"{}"}
    write_tar(place / "shards/shard-000000.tar", members)
    if importlib.util.find_spec("pyarrow"):
        import pyarrow
        import pyarrow.parquet

        table = pyarrow.table({"key": ["a", "b"], "caption": ["a cat", "a dog"]})
        pyarrow.parquet.write_table(table, place / "shards/manifest.parquet")
    return place


def keep_model(folder: Path) -> None:
    """A model under the name that the page has."""
    import diffusers

    kept = folder / "wan2.1-vae-diffusers"
    diffusers.AutoencoderKLWan(base_dim=8).save_pretrained(kept)
    files = [{"name": path.name} for path in sorted(kept.iterdir())]
    (kept / "model.json").write_text(json.dumps({"schema": "latentbit.model/1", "files": files}))


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What blocks leave to later ones."""
    return {"__name__": "tour", "pipe": types.SimpleNamespace()}


@pytest.mark.parametrize("line", [line for line, _ in BLOCKS])
def test_each_block_runs(
    line: int, place: Path, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = dict(BLOCKS)[line]
    for module in re.findall(r"(?:^|\b)(?:from|import) (?:latentbit\.)?([a-z_]+)", code):
        needed = {"convert": "datasets"}.get(module, module)
        if needed in ("torch", "torchdata", "webdataset", "datasets", "diffusers", "ray"):
            pytest.importorskip(needed, reason=f"{needed} is not installed")
    if "wan2.1" in code:
        keep_model(place / "models")
    monkeypatch.chdir(place)
    monkeypatch.setenv("LATENTBIT_MODELS", str(place / "models"))
    exec(compile("\n" * (line - 1) + code, str(TOUR), "exec"), names)


def test_blocks_are_there() -> None:
    assert len(BLOCKS) > 12
