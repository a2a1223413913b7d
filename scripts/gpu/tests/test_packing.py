"""The packed files: laid out as a checkout, listed, and not too large."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from latentbit_gpu import packing, paths
from latentbit_gpu.paths import Built


def packed(built: Built, tmp_path: Path, *words: str) -> tuple[int, Path]:
    out = tmp_path / "out"
    given = built.folder / "bin"
    return packing.main(["--out", str(out), "--given", str(given), *words]), out


def test_a_bundle_is_laid_out_as_a_checkout(
    built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "TREE", ("scripts/gpu", "testdata/golden"))
    (tmp_path / "more.zip").write_bytes(b"more")
    code, out = packed(built, tmp_path, "--more", str(tmp_path / "more.zip"))
    assert code == 0
    for name in ("bin/latentbit", "bin/model", "bin/tests/golden", "scripts/gpu/verify", "more.zip",
                 "testdata/golden/photo.safetensors"):
        assert (out / name).is_file(), name
    assert len(Built(out).clips) == 3
    manifest = json.loads((out / "manifest.json").read_text())
    assert "scripts/gpu/latentbit_gpu/verify.py" in manifest["files"]
    assert "MiB  testdata/golden" in capsys.readouterr().out
    # A second one replaces the first.
    assert packed(built, tmp_path, "--built-only")[0] == 0
    assert not (out / "testdata").exists()


def test_a_bundle_that_is_too_large_says_what_helps(
    built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert packed(built, tmp_path, "--built-only", "--limit-mib", "0.1")[0] == 1
    assert "--tar packs it" in capsys.readouterr().err


def test_an_archive_is_unpacked_once(built: Built, tmp_path: Path) -> None:
    code, out = packed(built, tmp_path, "--built-only", "--tar")
    assert code == 0
    carried = tmp_path / "there" / "out.tar.xz"
    carried.parent.mkdir()
    out.with_name("out.tar.xz").rename(carried)
    found = paths.built(carried)
    assert found.folder == tmp_path / "there" / "out"
    assert found.tests[0].name == "golden"
    found.latentbit.write_text("kept")
    assert paths.built(carried).latentbit.read_text() == "kept"


def test_other_folders_are_left_alone(built: Built, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(SystemExit, match="something else"):
        packed(built, tmp_path)
