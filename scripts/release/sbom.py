"""Prints what the command is made of, as a software bill of materials in CycloneDX 1.5 (JSON).

    python3 scripts/release/sbom.py [--package latentbit] [--features cuda] > latentbit.cdx.json

Everything comes from `Cargo.lock` and cargo's metadata: names, versions, licences, checksums of the registry, and who
needs whom. Crates that only tests need are left out. The same lock file gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def metadata(features: str) -> dict[str, Any]:
    line = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline"]
    line += ["--features", features] if features else []
    return json.loads(subprocess.run(line, cwd=ROOT, check=True, capture_output=True).stdout)


def checksums() -> dict[tuple[str, str], str]:
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    return {(p["name"], p["version"]): p["checksum"] for p in lock["package"] if "checksum" in p}


def reference(package: dict[str, Any]) -> str:
    return f"pkg:cargo/{package['name']}@{package['version']}"


def needed(found: dict[str, Any], name: str) -> tuple[str, dict[str, list[str]]]:
    """The id of a package of the workspace, and of each that it needs to be built and to run, what that one needs."""
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    ids = {package["id"]: package for package in found["packages"]}
    root = next(id for id in found["workspace_members"] if ids[id]["name"] == name)
    graph: dict[str, list[str]] = {}
    waiting = [root]
    while waiting:
        here = waiting.pop()
        if here in graph:
            continue
        deps = [d["pkg"] for d in nodes[here]["deps"] if any(kind["kind"] != "dev" for kind in d["dep_kinds"])]
        graph[here] = sorted(deps)
        waiting.extend(deps)
    return root, graph


def bill(name: str, features: str = "") -> dict[str, Any]:
    found = metadata(features)
    ids = {package["id"]: package for package in found["packages"]}
    root, graph = needed(found, name)
    known = checksums()

    def component(package: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {
            "type": "application" if package["id"] == root else "library",
            "bom-ref": reference(package),
            "name": package["name"],
            "version": package["version"],
            "purl": reference(package),
        }
        if package["license"]:
            # Old manifests write a slash for OR.
            made["licenses"] = [{"expression": package["license"].replace("/", " OR ").replace("  ", " ")}]
        checksum = known.get((package["name"], package["version"]))
        if checksum:
            made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        return made

    packages = sorted((ids[id] for id in graph if id != root), key=reference)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(ids[root])},
        "components": [component(package) for package in packages],
        "dependencies": [
            {"ref": reference(ids[id]), "dependsOn": sorted({reference(ids[d]) for d in graph[id]})}
            for id in sorted(graph, key=lambda id: reference(ids[id]))
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", default="latentbit")
    parser.add_argument("--features", default="")
    options = parser.parse_args()
    json.dump(bill(options.package, options.features), sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
