"""A small stand-in for the model and data hub: the calls that transformers and datasets make, answered from a folder."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit


class Hub(ThreadingHTTPServer):
    """Serves `folder`/models/owner/name and `folder`/datasets/owner/name, at one commit each."""

    def __init__(self, folder: Path, commit: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.commit = folder, commit
        self.requests: list[str] = []  # "METHOD path", in the order they came

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *args: object) -> None:
        pass

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), Content_Type="application/json")

    def _entry(self, root: Path, file: Path) -> dict:
        kind = "file" if file.is_file() else "directory"
        size = file.stat().st_size if file.is_file() else 0
        oid = hashlib.sha1(file.read_bytes()).hexdigest() if file.is_file() else "0" * 40
        return {"type": kind, "path": str(file.relative_to(root)), "size": size, "oid": oid}

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        path, hub = unquote(parts.path).strip("/").split("/"), self.server
        hub.requests.append(f"{self.command} {unquote(self.path)}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        api = path[0] == "api"
        path = path[1:] if api else path
        kind = path.pop(0) if path[0] in ("models", "datasets") else "models"
        root, rest = hub.folder / kind / "/".join(path[:2]), path[2:]
        wanted = rest[1] if len(rest) > 1 else "main"
        if not root.is_dir() or (rest and wanted not in ("main", hub.commit)):
            return self._send(404, X_Error_Code="RevisionNotFound" if root.is_dir() else "RepoNotFound")
        files = sorted(file for file in root.rglob("*") if file.is_file())
        if api and (not rest or rest[0] == "revision"):
            siblings = [{"rfilename": str(file.relative_to(root))} for file in files]
            about = {"id": "/".join(path[:2]), "sha": hub.commit, "siblings": siblings, "private": False, "tags": []}
            return self._json(about)
        if api and rest[0] == "tree":
            under = root.joinpath(*rest[2:])
            every = under.rglob("*") if "true" in parse_qs(parts.query).get("recursive", []) else under.glob("*")
            return self._json([self._entry(root, file) for file in sorted(every)])
        if api and rest[0] == "paths-info":
            asked = parse_qs(body.decode())["paths"] if body[:1] != b"{" else json.loads(body)["paths"]
            return self._json([self._entry(root, root / name) for name in asked if (root / name).exists()])
        file = root.joinpath(*rest[2:])
        if api or rest[0] != "resolve" or not file.is_file():
            return self._send(404, X_Error_Code="EntryNotFound", X_Repo_Commit=hub.commit)
        content = file.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        if self.headers.get("Range"):
            start, _, end = self.headers["Range"].removeprefix("bytes=").partition("-")
            content = content[int(start or 0) : int(end) + 1 if end else None]
        self._send(200, content, ETag=etag, X_Repo_Commit=hub.commit, Accept_Ranges="bytes")

    do_GET = do_HEAD = do_POST = _answer


@contextmanager
def serve(folder: Path, commit: str) -> Iterator[Hub]:
    """Run a hub over `folder` for the length of a `with` block."""
    hub = Hub(folder, commit)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
