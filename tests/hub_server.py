"""A small server of the Hugging Face hub's own interface, as far as downloading a repository needs it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


@contextmanager
def hub_of(repositories: dict[str, dict[str, Path]]) -> Iterator[str]:
    """Serve repositories: by name, then by branch or tag, a folder of files; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

        def _answer(self, body: bool) -> None:
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                name, kind, rest = "/".join(parts[2:4]), parts[4] if len(parts) > 4 else "revision", parts[5:]
            else:
                name, kind, rest = "/".join(parts[:2]), parts[2], parts[3:]
            folder = self._folder(name, rest[0] if rest else "main")
            if folder is None:
                return
            files = {p.name: p.read_bytes() for p in sorted(folder.iterdir())}
            if kind == "revision":
                told = {"id": name, "sha": commit(folder), "siblings": [{"rfilename": file} for file in files]}
                self._send(json.dumps(told).encode(), "application/json", body)
            elif kind == "tree":
                entries = [
                    {"type": "file", "path": file, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                    for file, content in files.items()
                ]
                self._send(json.dumps(entries).encode(), "application/json", body)
            elif rest[1] in files:
                content = files[rest[1]]
                tag = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": commit(folder)}
                self._send(content, "application/octet-stream", body, tag)
            else:
                self._refuse("EntryNotFound")

        def _folder(self, name: str, revision: str) -> Path | None:
            """The files of a revision, or of the commit that one stands at."""
            if name not in repositories:
                self._refuse("RepoNotFound", 401)
                return None
            for known, folder in repositories[name].items():
                if revision in (known, commit(folder)):
                    return folder
            self._refuse("RevisionNotFound")
            return None

        def _refuse(self, code: str, status: int = 404) -> None:
            self._send(b"", "text/plain", False, {"X-Error-Code": code, "X-Error-Message": code}, status)

        def _send(
            self, content: bytes, kind: str, body: bool, more: dict[str, str] | None = None, status: int = 200
        ) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **(more or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def commit(folder: Path) -> str:
    """A commit's name for the content of a folder."""
    return hashlib.sha1(b"".join(p.read_bytes() for p in sorted(folder.iterdir()))).hexdigest()
