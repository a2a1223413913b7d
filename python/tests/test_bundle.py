"""Models by name, and from a hub that stands on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import latentbit
from conftest import TINY_BUNDLE
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
    assert latentbit.Bundle("built-in").bits == 36
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


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a client asks for: listing, files, and commits of small and large files."""

    protocol_version = "HTTP/1.1"
    repos: dict[str, dict[str, bytes]]
    stored: dict[str, bytes]
    requests: list[str]

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def commit(self, repo: str) -> str:
        text = repr(sorted((name, hashlib.sha256(data).digest()) for name, data in self.repos[repo].items()))
        return hashlib.sha1(text.encode()).hexdigest()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.requests.append(f"{self.command} {self.path}")
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            repo = "/".join(parts[2:4])
            if repo not in self.repos:
                return self.answer(404, {"error": "none"}, X_Error_Code="RepoNotFound")
            files = [{"rfilename": name} for name in self.repos[repo]]
            return self.answer(
                200, {"id": repo, "modelId": repo, "sha": self.commit(repo), "siblings": files, "private": False,
                      "tags": [], "downloads": 0, "likes": 0},
                Content_Type="application/json",
            )
        repo, name = "/".join(parts[:2]), "/".join(parts[4:])
        data = self.repos.get(repo, {}).get(name)
        if data is None:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit="0" * 40)
        start = int((self.headers.get("Range") or "bytes=0-").split("=")[1].split("-")[0])
        return self.answer(
            206 if start else 200, data[start:], ETag=f'"{hashlib.sha256(data).hexdigest()}"',
            X_Repo_Commit=self.commit(repo), X_Linked_Size=str(len(data)),
            X_Linked_Etag=f'"{hashlib.sha256(data).hexdigest()}"',
        )

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.stored[hashlib.sha256(body).hexdigest()] = body
        self.answer(200)

    def do_POST(self) -> None:
        self.requests.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        here = f"http://{self.headers['Host']}"
        json_type = {"Content_Type": "application/json"}
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.repos.setdefault(repo, {})
            return self.answer(200, {"url": f"{here}/{repo}", "id": repo}, **json_type)
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []}, **json_type)
        if "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "lfs" if file["size"] > 10_000 else "regular",
                 "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files}, **json_type)
        if self.path.endswith("/info/lfs/objects/batch"):
            objects = [
                {"oid": item["oid"], "size": item["size"],
                 "actions": {"upload": {"href": f"{here}/upload/{item['oid']}", "header": {}}}}
                for item in json.loads(body)["objects"]
            ]
            return self.answer(
                200, {"transfer": "basic", "objects": objects}, Content_Type="application/vnd.git-lfs+json"
            )
        if "/commit/" in self.path:
            repo = "/".join(self.path.split("/")[3:5])
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    self.repos[repo][value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    self.repos[repo][value["path"]] = self.stored[value["oid"]]
            commit = self.commit(repo)
            return self.answer(
                200, {"success": True, "commitOid": commit, "commitUrl": f"{here}/{repo}/commit/{commit}"}, **json_type
            )
        return self.answer(404)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Hub]]]:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("LATENTBIT_MODELS", str(tmp_path / "models"))
    handler = type("OneHub", (Hub,), {"repos": {}, "stored": {}, "requests": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


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
