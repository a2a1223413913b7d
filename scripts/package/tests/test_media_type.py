"""Systems know `.lbit` files by what is in packaging/."""

from __future__ import annotations

import os
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGING = ROOT / "packaging"
MAGIC = b"\x8cLBIT\r\n\x1a"
MEDIA_TYPE = "video/vnd.latentbit"
FILES = sorted((ROOT / "testdata/conformance").glob("*/*.lbit"))


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def ask(files: list[Path], *options: str) -> list[str]:
    command = ["file", "--brief", "-m", str(PACKAGING / "latentbit.magic"), *options, "--", *map(str, files)]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    assert run.stderr == ""
    return run.stdout.splitlines()


@needs("file")
def test_file_knows_every_file_that_has_our_magic() -> None:
    ours = [path for path in FILES if path.read_bytes().startswith(MAGIC)]
    others = [path for path in FILES if path not in ours]
    assert len(ours) > 50 and others
    assert set(ask(ours, "--mime-type")) == {MEDIA_TYPE}
    assert set(ask(ours, "--extension")) == {"lbit"}
    assert MEDIA_TYPE not in ask(others, "--mime-type")


@needs("file")
def test_file_tells_the_version_beside_the_rules_of_the_system(tmp_path: Path) -> None:
    plain = ROOT / "testdata/conformance/subset/trimmed.lbit"
    elastic = ROOT / "testdata/conformance/subset/elastic-raw.lbit"
    # Without a header there is no version to tell.
    start = tmp_path / "start"
    start.write_bytes(MAGIC + bytes(64))
    about = "LatentBit video"
    assert ask([plain, elastic, start]) == [f"{about}, version 1.0", f"{about}, version 1.1", about]
    systems = Path("/usr/share/misc/magic.mgc")
    if systems.exists():
        command = ["file", "--brief", "-m", f"{PACKAGING / 'latentbit.magic'}:{systems}", str(plain)]
        both = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        assert both == "LatentBit video, version 1.0\n"


def test_the_entry_of_the_database_names_type_and_extension() -> None:
    entry = ElementTree.parse(PACKAGING / "latentbit.xml").getroot()
    name = "{http://www.freedesktop.org/standards/shared-mime-info}"
    assert entry.tag == f"{name}mime-info"
    (kind,) = entry
    assert kind.get("type") == MEDIA_TYPE
    assert [glob.get("pattern") for glob in kind.iter(f"{name}glob")] == ["*.lbit"]


@needs("update-mime-database")
def test_the_database_takes_the_entry(tmp_path: Path) -> None:
    mime = tmp_path / "mime"
    (mime / "packages").mkdir(parents=True)
    shutil.copy(PACKAGING / "latentbit.xml", mime / "packages")
    # Of a folder that is not searched it says so.
    searched = {**os.environ, "XDG_DATA_DIRS": str(tmp_path)}
    run = subprocess.run(["update-mime-database", str(mime)], check=True, capture_output=True, text=True, env=searched)
    assert run.stderr == ""
    # Priority, type, then a match at offset 0 with the length of the value in two bytes.
    rule = f"[80:{MEDIA_TYPE}]\n>0=".encode() + len(MAGIC).to_bytes(2, "big") + MAGIC
    assert rule in (mime / "magic").read_bytes()
    assert f"{MEDIA_TYPE}:*.lbit" in (mime / "globs").read_text()
