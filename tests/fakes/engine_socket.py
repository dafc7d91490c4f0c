"""The least of a container engine: a unix socket that tells its version and its images, as Docker's API does."""

from __future__ import annotations

import json
import os
import socketserver
import sys
from http.server import BaseHTTPRequestHandler
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Answers two questions."""

    images: list[dict[str, Any]]

    def address_string(self) -> str:
        return "local"

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.endswith("/version"):
            self._send({"ApiVersion": "1.41", "MinAPIVersion": "1.12", "Version": "20.10.24"})
        elif path.endswith("/images/json"):
            self._send(self.images)
        else:
            self.send_error(404)

    def _send(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


if __name__ == "__main__":
    place, listing = sys.argv[1:]
    Handler.images = json.loads(listing)
    with Server(f"{place}.new", Handler) as server:
        os.rename(f"{place}.new", place)
        server.serve_forever()
