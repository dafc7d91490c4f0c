"""NGC's catalogue and a registry behind a login, on one port of this machine, over real HTTP.

The shapes are those that the service documents. What it does wrong is told by its attributes; what it was asked
is in `asked`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def resource(org: str, name: str, team: str = "", **more: Any) -> dict[str, Any]:
    """One container as a search answers it."""
    path = "/".join(part for part in (org, team, name) if part)
    return {
        "resourceId": path,
        "name": name,
        "displayName": name.capitalize(),
        "orgName": org,
        "teamName": team or None,
        "description": f"{name} of {org}",
        "dateCreated": "2020-05-01T10:00:00.123Z",
        "dateModified": "2024-05-01T10:00:00Z",
        "labels": [],
        "attributes": [{"key": "latestTag", "value": "24.05"}, {"key": "size", "value": "123"}],
        **more,
    }


class Repository:
    """Tags, manifests and configs of one image."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.listing: list[dict[str, Any]] | None = None  # what NGC's own listing says; None = it is not open

    def manifest(self, kind: str, value: Any) -> str:
        data = json.dumps(value).encode()
        self.manifests[digest_of(data)] = (kind, data)
        return digest_of(data)

    def add(self, tag: str | None, env: list[str], arch: str = "amd64", size: int = 1000) -> str:
        """One image of one architecture; gives its digest."""
        config = json.dumps(
            {
                "architecture": arch,
                "os": "linux",
                "created": "2024-05-01T12:00:00.123456789Z",
                "config": {"Env": ["PATH=/bin", *env], "Labels": {"maintainer": "x"}},
            }
        ).encode()
        self.blobs[digest_of(config)] = config
        value = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "size": len(config), "digest": digest_of(config)},
            "layers": [{"mediaType": "x", "size": size, "digest": digest_of(b"layer")}],
        }
        digest = self.manifest(MANIFEST, value)
        if tag is not None:
            self.tags[tag] = digest
        return digest

    def add_index(self, tag: str, images: dict[str, str], extra: list[dict[str, Any]] | None = None) -> str:
        """A tag of several architectures: architecture -> digest."""
        entries = [
            {
                "mediaType": MANIFEST,
                "digest": digest,
                "size": 1,
                "platform": {"architecture": arch, "os": "linux"},
            }
            for arch, digest in images.items()
        ]
        self.tags[tag] = self.manifest(
            INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*entries, *(extra or [])]}
        )
        return self.tags[tag]


class NgcServer:
    """What is there, what goes wrong, what was asked."""

    def __init__(self) -> None:
        self.pages: list[list[list[dict[str, Any]]]] = []  # pages of groups of resources
        self.repositories: dict[str, Repository] = {}
        self.locked = False  # the registry wants a token
        self.api_locked = False
        self.secret: str | None = (
            None  # `$oauthtoken:KEY` that the token server wants; None = anybody gets one
        )
        self.etags = True
        self.delay_s = 0.0
        self.faults: dict[
            str, list[Any]
        ] = {}  # part of a path -> what the next answers are, see Handler._fault
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.tag_page: int | None = None
        self.links_absolute_to: str | None = None
        self.lock = threading.Lock()
        self.under_way = self.most_under_way = 0
        handler = type("OneHandler", (Handler,), {"world": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def repository(self, path: str) -> Repository:
        return self.repositories.setdefault(path, Repository())

    def paths(self, part: str = "") -> list[str]:
        """What was asked for, queries and all."""
        return [path for path, _ in self.asked if part in path]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers GETs out of a world."""

    world: NgcServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        world = self.world
        with world.lock:
            world.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
            world.under_way += 1
            world.most_under_way = max(world.most_under_way, world.under_way)
        time.sleep(world.delay_s)
        try:
            if not self._fault():
                self._route()
        finally:
            with world.lock:
                world.under_way -= 1

    def _fault(self) -> bool:
        """The next thing that goes wrong on this path: a status, (status, headers), ("cut", n), or a body."""
        for part, faults in self.world.faults.items():
            if part in self.path and faults:
                fault = faults.pop(0) if len(faults) > 1 or not isinstance(faults, Forever) else faults[0]
                if fault is None:
                    return False
                self._wrong(fault)
                return True
        return False

    def _wrong(self, fault: Any) -> None:
        if isinstance(fault, bytes):
            self._send(fault)
        elif isinstance(fault, int):
            self._send(b"", status=fault)
        elif fault[0] == "cut":
            body = b'{"results": [1, 2, 3' + b" " * 1000
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: fault[1]])
            self.close_connection = True
        else:
            self._send(b"", status=fault[0], headers=fault[1])

    def _send(self, body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _json(self, value: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if self.world.etags:
            headers = {"ETag": etag, **(headers or {})}
            if self.headers.get("If-None-Match") == etag:
                self._send(b"", status=304, headers=headers)
                return
        self._send(body, headers={"Content-Type": "application/json", **(headers or {})})

    def _route(self) -> None:
        at = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(at.query)
        if at.path == "/proxy_auth":
            self._token(query)
        elif at.path == "/v2/search/catalog/resources/CONTAINER":
            self._search(query)
        elif at.path.startswith("/v2/org/"):
            self._images(at.path, query)
        elif (
            self.world.locked
            and self.headers.get("Authorization") != f"Bearer token-for-{self._path(at.path)}"
        ):
            scope = urllib.parse.quote(f"repository:{self._path(at.path)}:pull", safe="")
            realm = f"{self.world.url}/proxy_auth?account=%24oauthtoken&scope={scope}"
            self._send(b"", status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="ngc"'})
        elif at.path == "/v2/_catalog":
            self._catalog(query)
        else:
            self._registry(at.path, query)

    @staticmethod
    def _path(path: str) -> str:
        for part in ("/manifests/", "/blobs/", "/tags/"):
            path = path.partition(part)[0]
        return path.removeprefix("/v2/")

    def _token(self, query: dict[str, list[str]]) -> None:
        wanted = self.world.secret
        if wanted is not None:
            given = self.headers.get("Authorization", "").removeprefix("Basic ")
            if base64.b64decode(given).decode() != wanted:
                self._send(b"", status=401)
                return
        scope = query["scope"][0]
        self._send(json.dumps({"token": f"token-for-{scope.split(':')[1]}", "expires_in": 600}).encode())

    def _search(self, query: dict[str, list[str]]) -> None:
        try:
            asked = json.loads(query["q"][0])
        except (KeyError, ValueError):
            self._send(b"", status=400)
            return
        pages, number = self.world.pages, asked["page"]
        groups = pages[number] if number < len(pages) else []
        self._json(
            {
                "resultTotal": sum(len(group) for page in pages for group in page),
                "resultPageTotal": len(pages),
                "results": [
                    {"groupValue": f"group {i}", "resources": group} for i, group in enumerate(groups)
                ],
            }
        )

    def _images(self, path: str, query: dict[str, list[str]]) -> None:
        parts = path.split("/")
        org, team, name = parts[3], parts[5] if parts[4] == "team" else "", parts[-2]
        found = self.world.repositories.get("/".join(part for part in (org, team, name) if part))
        if found is None or found.listing is None:
            self._send(b"", status=401 if self.world.api_locked else 404)
            return
        size, number = 2, int(query["page-number"][0])
        self._json(
            {
                "images": found.listing[number * size : (number + 1) * size],
                "paginationInfo": {"index": number, "totalPages": -(-len(found.listing) // size)},
            }
        )

    def _catalog(self, query: dict[str, list[str]]) -> None:
        self._paged("repositories", sorted(self.world.repositories), query, "/v2/_catalog", {})

    def _paged(
        self, key: str, items: list[str], query: dict[str, list[str]], path: str, more: dict[str, Any]
    ) -> None:
        """As a registry pages: the Link is relative, `n` may be ignored."""
        size = self.world.tag_page
        if size is None:
            self._json({**more, key: items})
            return
        last = query.get("last", [""])[0]
        start = items.index(last) + 1 if last else 0
        page = items[start : start + size]
        headers = {}
        if start + size < len(items):
            base = self.world.links_absolute_to or ""
            headers["Link"] = f'<{base}{path}?last={urllib.parse.quote(page[-1])}&n={size}>; rel="next"'
        self._json({**more, key: page}, headers)

    def _registry(self, path: str, query: dict[str, list[str]]) -> None:
        name = self._path(path)
        found, last = self.world.repositories.get(name), path.rpartition("/")[2]
        if found is None:
            self._send(b'{"errors": [{"code": "NAME_UNKNOWN"}]}', status=404)
        elif path.endswith("/tags/list"):
            self._paged("tags", list(found.tags), query, path, {"name": name})
        elif "/blobs/" in path and last in found.blobs:
            self._send(found.blobs[last])
        elif "/manifests/" in path and found.tags.get(last, last) in found.manifests:
            digest = found.tags.get(last, last)
            kind, data = found.manifests[digest]
            headers = {"Content-Type": kind, "Docker-Content-Digest": digest}
            if self.world.etags:
                headers["ETag"] = f'"{digest}"'
                if self.headers.get("If-None-Match") == f'"{digest}"':
                    self._send(b"", status=304, headers=headers)
                    return
            self._send(data, headers=headers)
        else:
            self._send(b"", status=404)


class Forever(list[Any]):
    """Faults of which the last never ends."""
