"""A small stand-in for the model and data hub: the calls that transformers and datasets make, answered from a folder."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit


class Hub(ThreadingHTTPServer):
    """Serves `folder`/models/owner/name and `folder`/datasets/owner/name, at one commit each.

    `fault` is what it does wrong: one of the names in `_Handler`, or a status that it answers always ("503") or at first
    ("503 twice"); `pause` is the time between two bytes of one that trickles, in seconds.
    """

    daemon_threads = True

    def __init__(self, folder: Path, commit: str, fault: str = "", pause: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.commit, self.fault, self.pause = folder, commit, fault, pause
        self.requests: list[str] = []  # "METHOD path", in the order they came
        self.sent: list[int] = []  # bytes of weights in each answer
        self.closing = threading.Event()

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
        """Return what a tree lists, and beside it what a description of the repository lists."""
        kind = "file" if file.is_file() else "directory"
        content = file.read_bytes() if file.is_file() else b""
        entry = {"type": kind, "path": str(file.relative_to(root)), "size": len(content)}
        entry |= {"oid": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()}
        entry |= {"rfilename": entry["path"], "blobId": entry["oid"]}
        if file.suffix in (".safetensors", ".zip", ".parquet"):
            entry["lfs"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 134}
        return entry

    def _status_fault(self) -> str:
        """Return the status that this request gets instead of an answer, or nothing."""
        status, _, often = self.server.fault.partition(" ")
        return status if status.isdigit() and (not often or len(self.server.requests) <= 2) else ""

    def _send_badly(self, content: bytes, whole: int) -> None:
        """Send a part of the weights in the way that the fault names."""
        fault, half = self.server.fault, len(content) // 2
        if fault == "wrong bytes":
            altered = bytearray(content)
            for place in random.Random(0).sample(range(len(content)), 1_000):
                altered[place] ^= 255
            return self.wfile.write(altered)
        if fault == "trickles":
            for i in range(0, len(content), len(content) // 4):
                self.wfile.write(content[i : i + len(content) // 4])
                self.wfile.flush()
                self.server.closing.wait(self.server.pause)
            return None
        often = fault.endswith("always")
        sent = content[: 1_000 if often else half] if len(content) == whole or often else content
        self.server.sent.append(len(sent))
        self.wfile.write(sent)
        self.wfile.flush()
        if fault.startswith("stalls"):
            self.server.closing.wait(60)
        elif fault.startswith("resets") and len(sent) < len(content):  # the connection ends without a goodbye
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        return None

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        path, hub = unquote(parts.path).strip("/").split("/"), self.server
        hub.requests.append(f"{self.command} {unquote(self.path)}")
        if status := self._status_fault():
            return self._send(int(status), **({"X_Error_Code": "GatedRepo"} if status == "403" else {}))
        if hub.fault == "silent":
            return hub.closing.wait(60)
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
            siblings = [self._entry(root, file) for file in files]
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
        etag, whole, status = f'"{hashlib.sha256(content).hexdigest()}"', len(content), 200
        if self.headers.get("Range") and not hub.fault.endswith("always"):
            start, _, end = self.headers["Range"].removeprefix("bytes=").partition("-")
            content, status = content[int(start or 0) : int(end) + 1 if end else None], 206
        headers = {"ETag": etag, "X_Repo_Commit": hub.commit, "Accept_Ranges": "bytes"}
        if not hub.fault or file.suffix != ".safetensors" or self.command == "HEAD" or self._status_fault():
            return self._send(status, content, **headers)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        return self._send_badly(content, whole)

    do_GET = do_HEAD = do_POST = _answer


@contextmanager
def serve(folder: Path, commit: str, fault: str = "", pause: float = 0.0) -> Iterator[Hub]:
    """Run a hub over `folder` for the length of a `with` block."""
    hub = Hub(folder, commit, fault, pause)
    thread = threading.Thread(target=hub.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        hub.shutdown()
        hub.server_close()
        thread.join()
