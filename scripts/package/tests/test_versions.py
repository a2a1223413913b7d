from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import versions


def copied(folder: Path) -> Path:
    for name in [*versions.PLACES, versions.CHANGELOG]:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(versions.ROOT / name, place)
    return folder


def test_all_files_of_this_checkout_agree() -> None:
    assert versions.agreed(versions.ROOT).count(".") == 2


def test_no_crate_has_a_version_of_its_own() -> None:
    for manifest in sorted(versions.ROOT.glob("*/Cargo.toml")) + sorted(versions.ROOT.glob("models/*/Cargo.toml")):
        text = manifest.read_text()
        # A workspace of its own, whose version `versions.py` keeps.
        if manifest.parent.name != "gst":
            assert "version.workspace = true" in text or 'version = "0.0.0"' in text, manifest


def test_a_version_is_written_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copied(tmp_path)
    versions.main(["--set", "12.34.56"], root)
    assert capsys.readouterr().out == "12.34.56\n"
    text = (root / versions.CHANGELOG).read_text()
    assert text.index("## Unreleased") < text.index("## 12.34.56 – ")
    # Twice is as once.
    versions.main(["--set", "12.34.56"], root)
    assert (root / versions.CHANGELOG).read_text() == text
    # Other packages keep theirs, and so does what only looks like one.
    before = (versions.ROOT / "Cargo.lock").read_text().splitlines()
    after = (root / "Cargo.lock").read_text().splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert changed and all(b == 'version = "12.34.56"' for _, b in changed)


def test_the_notes_are_the_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copied(tmp_path)
    versions.main(["--set", "3.2.1"], root)
    changelog = "# Changelog\n\n## Unreleased\n\n## 3.2.1 – 2030-01-01\n\n### Added\n\n- This.\n\n"
    changelog += "## 0.1.0 – 2029-01-01\n\n- That.\n"
    (root / versions.CHANGELOG).write_text(changelog)
    capsys.readouterr()
    versions.main(["--notes"], root)
    assert capsys.readouterr().out == "### Added\n\n- This.\n\n"
    (root / versions.CHANGELOG).write_text("# Changelog\n")
    with pytest.raises(SystemExit, match="no section about 3.2.1"):
        versions.main(["--notes"], root)


def test_what_disagrees_is_named(tmp_path: Path) -> None:
    root = copied(tmp_path)
    path = root / "web/reader/package.json"
    path.write_text(path.read_text().replace('"version": "', '"version": "9'))
    with pytest.raises(SystemExit, match="web/reader/package.json:3 has 9"):
        versions.main([], root)
    (root / "training/pyproject.toml").write_text("[project]\n")
    with pytest.raises(SystemExit, match=r"training/pyproject.toml: .* has nothing"):
        versions.main([], root)
