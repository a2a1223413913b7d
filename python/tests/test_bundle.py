"""Models by name, and from a hub that stands on this machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import latentbit
from conftest import TINY_BUNDLE
from hub_server import Hub, hub_server
from latentbit._hub import choose


def keep(folder: Path, name: str, files: list[str]) -> Path:
    """A model as ``latentbit models add`` keeps it."""
    place = folder / name
    place.mkdir(parents=True)
    for file in files:
        shutil.copy(TINY_BUNDLE, place / file)
    record = {"schema": "latentbit.model/1", "kind": "bundle", "files": [{"name": name} for name in files]}
    (place / "model.json").write_text(json.dumps(record))
    return place


def test_kept_models_have_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTBIT_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)
    place = keep(tmp_path / "models", "mine", ["tiny.safetensors"])
    assert latentbit.Bundle("mine").path == place / "tiny.safetensors"
    assert latentbit.Encoder("mine").bundle.bits == 10
    assert latentbit.Bundle("built-in").bits == 48
    assert latentbit.Bundle.from_pretrained("mine").bits == 10
    with pytest.raises(FileNotFoundError, match=r"built-in, mine; get it with `latentbit models pull wan2\.1"):
        latentbit.Bundle("wan2.1-vae")
    with pytest.raises(FileNotFoundError, match=r"Bundle\.from_pretrained\('user/name'\)"):
        latentbit.Bundle("user/name")
    for name in ("../models/mine", ".", "", "mine/"):
        with pytest.raises((OSError, latentbit.LatentBitError)):
            latentbit.Bundle(name)
    (place / "model.json").write_text('{"files": [{"name": "../../etc/passwd"}]}')
    with pytest.raises(latentbit.BundleError, match="outside"):
        latentbit.Bundle("mine")
    (place / "model.json").write_text("{")
    with pytest.raises(latentbit.BundleError, match=r"model\.json: not the record"):
        latentbit.Bundle("mine")
    # A path comes first, as for the command.
    shutil.copy(TINY_BUNDLE, tmp_path / "mine")
    assert latentbit.Bundle("mine").path == Path("mine")


def test_the_model_of_a_repository_is_found() -> None:
    weights = "diffusion_pytorch_model.safetensors"
    for files, chosen in (
        (["README.md", "model.safetensors"], ("model.safetensors",)),
        (["a.safetensors", "latentbit.safetensors"], ("latentbit.safetensors",)),
        (["Wan2.1_VAE.pth", "transformer.safetensors", "t5.pth"], ("Wan2.1_VAE.pth",)),
        (["config.json", weights, "b.safetensors"], ("config.json", weights)),
        (["vae/config.json", f"vae/{weights}", "text/model.safetensors"], ("vae/config.json", f"vae/{weights}")),
    ):
        assert choose(files) == chosen
    for files in (["a.safetensors", "b.safetensors"], ["README.md"], ["deep/a.safetensors"]):
        with pytest.raises(FileNotFoundError, match="filename="):
            choose(files)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Hub]]]:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("LATENTBIT_MODELS", str(tmp_path / "models"))
    with hub_server() as served:
        yield served


def test_models_come_from_a_hub_and_stay_in_its_cache(hub: tuple[str, type[Hub]], tmp_path: Path) -> None:
    endpoint, served = hub
    served.repos["me/tiny"] = {"README.md": b"a model", "tiny.safetensors": TINY_BUNDLE.read_bytes()}
    options: dict[str, Any] = {"endpoint": endpoint, "cache_dir": tmp_path / "cache", "token": False}
    bundle = latentbit.Bundle.from_pretrained("me/tiny", dtype="f32", **options)
    assert bundle.sha256 == latentbit.Bundle(TINY_BUNDLE).sha256
    assert bundle.dtype == "f32"
    assert bundle.path is not None
    assert bundle.path.is_relative_to(tmp_path / "cache")
    before = len(served.requests)
    again = latentbit.Bundle.from_pretrained("me/tiny", local_files_only=True, **options)
    assert again.path == bundle.path
    assert len(served.requests) == before
    named = latentbit.Bundle.from_pretrained("me/tiny", filename="tiny.safetensors", **options)
    assert named.path == bundle.path
    with pytest.raises(OSError, match="other"):
        latentbit.Bundle.from_pretrained("me/other", **options)
    with pytest.raises(ValueError, match="user/name"):
        latentbit.Bundle.from_pretrained("tiny", **options)
    served.repos["me/tiny"]["second.safetensors"] = b"?"
    with pytest.raises(FileNotFoundError, match=r"me/tiny: several files.*filename="):
        latentbit.Bundle.from_pretrained("me/tiny", **options)


def test_models_are_pushed_with_a_card(hub: tuple[str, type[Hub]], tmp_path: Path) -> None:
    endpoint, served = hub
    bundle = latentbit.Bundle(TINY_BUNDLE)
    address = bundle.push_to_hub("me/pushed", token="hf_test", endpoint=endpoint)
    assert "/commit/" in address
    files = served.repos["me/pushed"]
    assert files["latentbit.safetensors"] == TINY_BUNDLE.read_bytes()
    card = files["README.md"].decode()
    assert card.startswith("---\nlibrary_name: latentbit\n")
    assert bundle.sha256 in card
    back = latentbit.Bundle.from_pretrained("me/pushed", endpoint=endpoint, cache_dir=tmp_path / "cache", token=False)
    assert back.sha256 == bundle.sha256
    # What people wrote about it stays.
    files["README.md"] = b"mine"
    bundle.push_to_hub("me/pushed", token="hf_test", endpoint=endpoint)
    assert files["README.md"] == b"mine"
    bundle.push_to_hub("me/pushed", token="hf_test", endpoint=endpoint, card="new")
    assert files["README.md"] == b"new"
    with pytest.raises(ValueError, match="built-in"):
        latentbit.Bundle().push_to_hub("me/pushed", token="hf_test", endpoint=endpoint)
