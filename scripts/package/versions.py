"""Prints the version of this checkout, if all files agree on it, or writes another one into all of them.

    versions.py                the version; ends with 1, and says where, if the files disagree
    versions.py --set 0.3.0    writes it everywhere, and begins its section in CHANGELOG.md
    versions.py --notes        what CHANGELOG.md says of it

The crates, the Python package (by its crate), the npm packages and the recipe share one version. The format has
its own, and the fuzz targets have none.
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NUMBER = r"(\d+\.\d+\.\d+)"
OURS = r"latentbit(?!-fuzz)(?:-[a-z-]+)?"
# Where versions stand: each pattern has one group, the version, and matches at least once in its file.
LOCK = rf'^name = "{OURS}"\nversion = "{NUMBER}"\n(?!source)'
PLACES = {
    "Cargo.toml": [rf'^version = "{NUMBER}"', rf'^{OURS} = {{ path = "[^"]+", version = "{NUMBER}"'],
    "Cargo.lock": [LOCK],
    "fuzz/Cargo.lock": [LOCK],
    "gst/Cargo.lock": [LOCK],
    "gst/Cargo.toml": [rf'^version = "{NUMBER}"'],
    "web/reader/Cargo.lock": [LOCK],
    "web/reader/Cargo.toml": [rf'^version = "{NUMBER}"'],
    "web/reader/package.json": [rf'^  "version": "{NUMBER}"'],
    "web/player/package.json": [rf'^  "version": "{NUMBER}"', rf'"@latentbit/reader": "{NUMBER}"'],
    "web/package-lock.json": [
        rf'"name": "@latentbit/[a-z]+",\n\s+"version": "{NUMBER}"',
        rf'"@latentbit/reader": "{NUMBER}"',
    ],
    "training/pyproject.toml": [rf'^version = "{NUMBER}"'],
    "docs/python.md": [rf"latentbit-{NUMBER}-cp310"],
}
CHANGELOG = "CHANGELOG.md"
SECTION = re.compile(rf"^## \[?{NUMBER}\]?.*$", re.MULTILINE)
UNRELEASED = "## Unreleased\n"


def found(root: Path) -> Iterator[tuple[str, str]]:
    """Each place (file and line), and the version that stands there."""
    for name, patterns in PLACES.items():
        text = (root / name).read_text()
        for pattern in patterns:
            matches = list(re.finditer(pattern, text, re.MULTILINE))
            if not matches:
                yield f"{name}: {pattern}", "nothing"
            for match in matches:
                yield f"{name}:{text.count(chr(10), 0, match.start(1)) + 1}", match[1]


def agreed(root: Path) -> str:
    """The version that all files have. Fails with a list of those that have another one than Cargo.toml."""
    places = list(found(root))
    version = places[0][1]
    others = [f"{place} has {other}" for place, other in places if other != version]
    if others:
        raise SystemExit("\n".join([f"the version is {version}, but", *others]))
    return version


def write(root: Path, version: str) -> None:
    """Writes `version` everywhere. What is unreleased in the changelog becomes its section."""
    for name, patterns in PLACES.items():
        path = root / name
        text = path.read_text()
        for pattern in patterns:
            text = re.sub(
                pattern,
                lambda match: match[0].replace(match[1], version),
                text,
                flags=re.MULTILINE,
            )
        path.write_text(text)
    path = root / CHANGELOG
    text = path.read_text()
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    if UNRELEASED in text and not re.search(rf"^## {re.escape(version)} ", text, re.MULTILINE):
        path.write_text(text.replace(UNRELEASED, f"{UNRELEASED}\n## {version} – {today}\n", 1))


def notes(root: Path, version: str) -> str:
    """The section of the changelog about `version`."""
    text = (root / CHANGELOG).read_text()
    sections = list(SECTION.finditer(text))
    borders = [*(section.start() for section in sections), len(text)]
    for section, end in zip(sections, borders[1:], strict=True):
        if section[1] == version:
            return text[section.end() : end].strip() + "\n"
    raise SystemExit(f"{CHANGELOG} has no section about {version}; begin one with --set {version}")


def main(arguments: list[str] | None = None, root: Path = ROOT) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--set", metavar="VERSION", help="write this version everywhere")
    what.add_argument("--notes", action="store_true", help="print what the changelog says of the version")
    options = parser.parse_args(arguments)
    if options.set:
        if not re.fullmatch(NUMBER, options.set):
            parser.error(f"{options.set} is no version; write 1.2.3")
        write(root, options.set)
    version = agreed(root)
    print(notes(root, version) if options.notes else version)


if __name__ == "__main__":
    main(sys.argv[1:])
