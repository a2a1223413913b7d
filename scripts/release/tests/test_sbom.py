"""The bill of materials holds what is linked, with the checksums of the lock file."""

from __future__ import annotations

import json
import shutil

import pytest
from sbom import bill, checksums

pytestmark = pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not there")


def test_the_bill_is_complete() -> None:
    made = bill("latentbit-container")
    names = {component["name"] for component in made["components"]}
    assert {"crc32fast", "sha2", "thiserror"} <= names
    # Of the tests only.
    assert not {"proptest", "peak_alloc"} & names
    for component in made["components"]:
        known = checksums().get((component["name"], component["version"]))
        assert known is None or component["hashes"] == [{"alg": "SHA-256", "content": known}]
        assert component["licenses"]
    references = {component["bom-ref"] for component in made["components"]} | {made["metadata"]["component"]["bom-ref"]}
    for dependency in made["dependencies"]:
        assert dependency["ref"] in references and set(dependency["dependsOn"]) <= references
    assert {dependency["ref"] for dependency in made["dependencies"]} == references


def test_it_is_the_same_each_time() -> None:
    assert json.dumps(bill("latentbit")) == json.dumps(bill("latentbit"))
