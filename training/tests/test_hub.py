"""Publishing and getting bundles, with a stand-in of the hub on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from conftest import Trained

from latentbit_training import bundle, cli, export, hub


@pytest.fixture
def made(trained: Trained, tmp_path: Path) -> Path:
    export.main(["--name", "tiny", "--vae", str(trained.vae / "vae.pt"), "--tokenizer",
                 str(trained.tokenizer / "tokenizer.pt"), "--out", str(tmp_path / "tiny.safetensors"), "--card",
                 str(tmp_path / "tiny.md")])
    return tmp_path / "tiny.safetensors"


def test_what_is_pushed_is_pulled(served: Any, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["push", str(made), "me/tiny", "--card", str(made.with_suffix(".md"))]) == 0
    assert "/me/tiny/commit/" in capsys.readouterr().out
    files = served.repos["me/tiny"]
    assert files == {"latentbit.safetensors": made.read_bytes(), "README.md": made.with_suffix(".md").read_bytes()}
    assert cli.main(["pull", "me/tiny"]) == 0
    path = Path(capsys.readouterr().out.strip())
    # In the cache as huggingface_hub arranges it, where its other users find it.
    assert path.is_relative_to(tmp_path / "cache" / "models--me--tiny" / "snapshots")
    assert os.path.samefile(path, tmp_path / "cache" / "models--me--tiny" / "blobs" / os.readlink(path).split("/")[-1])
    assert bundle.config_of(path).name == "tiny"
    before = len([r for r in served.requests if r.startswith("GET")])
    assert hub.pull(["me/tiny"]) == path
    assert len([r for r in served.requests if r.startswith("GET")]) == before


def test_cards_stay_or_are_made(served: Any, made: Path) -> None:
    hub.push([str(made), "me/tiny"])
    assert "# tiny" in served.repos["me/tiny"]["README.md"].decode()
    served.repos["me/tiny"]["README.md"] = b"by hand"
    hub.push([str(made), "me/tiny"])
    assert served.repos["me/tiny"]["README.md"] == b"by hand"


def test_what_is_wrong_is_told_before_anything_is_sent(
        served: Any, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = tmp_path / "other.md"
    card.write_text("of another")
    assert cli.main(["push", str(made), "me/tiny", "--card", str(card)]) == 1
    assert "is the card of another bundle" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        hub.push([str(made), "tiny"])
    assert cli.main(["push", str(tmp_path / "none.safetensors"), "me/tiny"]) == 1
    assert served.requests == []
    served.repos["me/others"] = {"Wan_VAE.pth": b"weights"}
    assert cli.main(["pull", "me/others"]) == 1
    assert "me/others has no latentbit.safetensors: name a file of it with --file" in capsys.readouterr().err
    assert hub.pull(["me/others", "--file", "Wan_VAE.pth"]).read_bytes() == b"weights"
    assert cli.main(["pull", "me/none"]) == 1
