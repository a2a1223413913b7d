"""A stand-in for the Hugging Face hub on this machine, for the tests of the package and of the training recipe."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


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


@contextmanager
def hub_server() -> Iterator[tuple[str, type[Hub]]]:
    """The address of an empty hub, and what it has and was asked for."""
    handler = type("OneHub", (Hub,), {"repos": {}, "stored": {}, "requests": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()
