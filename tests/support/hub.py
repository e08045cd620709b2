"""A read-only stand-in for the Hugging Face Hub on the loopback interface (standard library only).

Layout served: ROOT/models/<org>/<name>/... and ROOT/datasets/<org>/<name>/...; a repository that holds the file
``.gated`` shows what it is and gives nothing away. A repository has one commit, a hash of its files.

    with serve(root) as hub:
        subprocess.run(command, env=os.environ | hub.environment(cache))

The endpoint is read once, when huggingface_hub is imported: hence a child process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

API = re.compile(r"^/api/(models|datasets)/([^/]+/[^/]+?)(?:/(revision|tree|paths-info|refs)(?:/(.*))?)?$")
RESOLVE = re.compile(r"^/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")
RANGE = re.compile(r"^bytes=(\d+)-(\d*)$")
DATE = "2024-01-01T00:00:00.000Z"
GATE = ".gated"


class RefusalError(Exception):
    """An answer that is an error, in the Hub's own words (X-Error-Code)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Repository:
    """One folder, seen as a repository with a single commit."""

    def __init__(self, root: Path, kind: str, name: str) -> None:
        folder = root / kind / name
        if not folder.is_dir():
            # The real Hub answers 401 to a stranger: it does not tell whether the repository is missing or private.
            raise RefusalError(401, "RepoNotFound", "Repository not found")
        self.name, self.gated = name, (folder / GATE).exists()
        found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != GATE)
        self.files = {path.relative_to(folder).as_posix(): path for path in found}
        self.etags = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in self.files.items()}
        self.commit = hashlib.sha1(json.dumps(self.etags).encode()).hexdigest()

    def check(self, revision: str) -> None:
        """Refuse any revision but main and the one commit."""
        if unquote(revision) not in ("main", "refs/heads/main", self.commit):
            raise RefusalError(404, "RevisionNotFound", f"Invalid rev id: {unquote(revision)}")

    def info(self) -> dict[str, Any]:
        """What the API says of the whole repository."""
        told = {"_id": self.commit[:24], "id": self.name, "sha": self.commit, "lastModified": DATE, "createdAt": DATE}
        siblings = [{"rfilename": name} for name in self.files]
        return told | {"private": False, "gated": "manual" if self.gated else False, "disabled": False, "tags": [],
                       "downloads": 0, "likes": 0, "siblings": siblings}  # fmt: skip

    def entry(self, name: str) -> dict[str, Any]:
        """A file, or a folder above one, as tree and paths-info answer it."""
        if name in self.files:
            size = self.files[name].stat().st_size
            return {"type": "file", "path": name, "oid": self.etags[name][:40], "size": size}
        return {"type": "directory", "path": name, "oid": hashlib.sha1(name.encode()).hexdigest(), "size": 0}

    def tree(self, under: str, recursive: bool) -> list[dict[str, Any]]:
        """The entries below the folder ``under``, each folder before what it holds."""
        prefix = f"{under.strip('/')}/" if under.strip("/") else ""
        names: dict[str, None] = {}
        for name in (name for name in self.files if name.startswith(prefix)):
            parts = name[len(prefix) :].split("/")
            for depth in range(1, (len(parts) if recursive else 1) + 1):
                names[prefix + "/".join(parts[:depth])] = None
        if prefix and not names:
            raise RefusalError(404, "EntryNotFound", f"no folder {under}")
        return [self.entry(name) for name in names]


class Handler(BaseHTTPRequestHandler):
    """The part of the Hub's API that transformers and datasets use to read."""

    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))  # always drained: keep-alive
        try:
            if found := API.match(path):
                self.api(found[1], found[2], found[3], found[4] or "main", parse_qs(url.query), body)
            elif found := RESOLVE.match(path):
                self.resolve("datasets" if found[1] else "models", found[2], found[3], found[4])
            else:
                raise RefusalError(404, "NotFound", f"{self.command} {path} is not served")
        except RefusalError as refused:
            told = {"X-Error-Code": refused.code, "X-Error-Message": str(refused)}
            self.reply(refused.status, {"error": str(refused)}, told)

    do_HEAD = do_POST = do_GET  # noqa: N815

    def api(self, kind: str, name: str, what: str | None, rest: str, query: dict[str, list[str]], body: bytes) -> None:
        """Information on a repository, its files or its branches."""
        repository = Repository(self.server.root, kind, name)
        revision, _, under = rest.partition("/")
        repository.check(revision)
        if what == "tree":
            recursive = query.get("recursive", ["false"])[0].lower() in ("true", "1")
            self.reply(200, repository.tree(under, recursive))
        elif what == "paths-info":
            form = "json" not in self.headers.get("Content-Type", "")
            paths = parse_qs(body.decode()).get("paths", []) if form else json.loads(body)["paths"]
            names = [path.strip("/") for path in paths]
            self.reply(200, [repository.entry(name) for name in names if name in repository.files])
        elif what == "refs":
            main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repository.commit}
            self.reply(200, {"branches": [main], "converts": [], "tags": []})
        else:
            self.reply(200, repository.info())

    def resolve(self, kind: str, name: str, revision: str, file: str) -> None:
        """The content of a file, or of the range asked for."""
        repository = Repository(self.server.root, kind, name)
        repository.check(revision)
        if repository.gated:
            raise RefusalError(
                401, "GatedRepo", f"Access to {name} is restricted. You must be authenticated to access it."
            )
        if file not in repository.files:  # also what stops "..": only listed files are ever opened
            raise RefusalError(404, "EntryNotFound", f"no file {file}")
        content = repository.files[file].read_bytes()
        headers = {"X-Repo-Commit": repository.commit, "ETag": f'"{repository.etags[file]}"', "Accept-Ranges": "bytes"}
        status, first, last = 200, 0, len(content) - 1
        if wanted := RANGE.match(self.headers.get("Range", "")):
            status, first, last = 206, int(wanted[1]), min(int(wanted[2] or last), last)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        self.send(status, content[first : last + 1], headers)

    def reply(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        self.server.requests.append(f"{self.command} {self.path} {args[1] if len(args) > 1 else ''}".rstrip())


class Hub(ThreadingHTTPServer):
    """``requests``: what it was asked, each as ``METHOD path status``."""

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        self.root, self.requests = root.resolve(), []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def downloads(self) -> list[str]:
        """The requests that carried content of a file away."""
        return [line for line in self.requests if line.startswith("GET") and "/resolve/" in line and line[-3] == "2"]

    def environment(self, cache: Path) -> dict[str, str]:
        """What a child process needs to use this Hub with a cache of its own, and to reach for nothing else."""
        wall = "http://127.0.0.1:9"
        return {
            "HF_ENDPOINT": self.url, "HF_HOME": str(cache), "XDG_CACHE_HOME": str(cache / "xdg"),
            "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_TOKEN": "",
            "http_proxy": wall, "https_proxy": wall, "HTTP_PROXY": wall, "HTTPS_PROXY": wall,
            "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1",
        }  # fmt: skip


@contextlib.contextmanager
def serve(root: Path) -> Iterator[Hub]:
    """A Hub that runs in a thread for the length of the block."""
    hub = Hub(root)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
