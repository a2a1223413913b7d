"""The Debian package holds all that `make install` installs, and nothing that is not there."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
STAGE = "../target/debian-root/"

# What the command does for scripts/package/install.sh.
COMMAND = """#!/bin/sh
case "$1 $2" in
  "manual man") mkdir -p "$3" && : >"$3/latentbit.1" && : >"$3/latentbit-encode.1" ;;
  "manual completions") echo "completions of $3" ;;
  *) exit 2 ;;
esac
"""


def test_assets_are_what_is_installed(tmp_path: Path) -> None:
    command = tmp_path / "latentbit"
    command.write_text(COMMAND)
    command.chmod(0o755)
    stage = tmp_path / "stage"
    environment = {**os.environ, "DESTDIR": str(stage), "PREFIX": "/usr"}
    script = ROOT / "scripts/package/install.sh"
    subprocess.run([script, "install", command], check=True, env=environment, stdout=subprocess.DEVNULL)
    installed = {path for path in stage.rglob("*") if path.is_file()}
    manifest = tomllib.loads((ROOT / "cli/Cargo.toml").read_text())
    packed: set[Path] = set()
    for source, _, _ in manifest["package"]["metadata"]["deb"]["assets"]:
        if not source.startswith(STAGE):
            assert (ROOT / "cli" / source).is_file(), source
            continue
        found = set(stage.glob(source.removeprefix(STAGE)))
        # deb.sh itself adds the rule for file(1).
        assert found or source.endswith("share/latentbit/*"), source
        packed |= found
    assert packed == installed
