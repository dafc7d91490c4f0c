"""`report serve` and `report open`: look at the site that is there."""

from __future__ import annotations

import os

from llamaagent.base.errors import ServiceUnavailableError, UsageError
from llamaagent.cli.output import say
from llamaagent.cli.report import where
from llamaagent.cli.site import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    from llamaagent.cli.spec import Values

_PORT = 8090
_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


def show(values: Values) -> int:
    """Open the first page in a browser; print its address where there is none."""
    import webbrowser

    address = f"file://{_index(values)}"
    try:
        opened = webbrowser.open(address)
    except webbrowser.Error:
        opened = False
    if not opened:
        print(address)
    return 0


def _index(values: Values) -> str:
    folder, _ = where(load(values), values.text("out"))
    index = os.path.join(folder, "index.html")
    if not os.path.isfile(index):
        raise UsageError(f"there is no report in {folder}", hint="llamaagent report build")
    return index


def serve(values: Values) -> int:
    """Serve the folder on 127.0.0.1, to this machine alone, until Ctrl-C."""
    folder = os.path.dirname(_index(values))
    server = _open(folder, values.number("port"))
    print(f"http://127.0.0.1:{server.server_address[1]}/", flush=True)
    if not values.flag("quiet"):
        say("until Ctrl-C")
    with server:
        server.serve_forever()
    return 0


def _open(folder: str, port: int | None) -> ThreadingHTTPServer:
    from http.server import ThreadingHTTPServer

    handler = _handler(folder)
    try:
        return ThreadingHTTPServer(("127.0.0.1", _PORT if port is None else port), handler)
    except (OSError, OverflowError) as error:
        if port is not None:
            raise ServiceUnavailableError(
                f"cannot listen on 127.0.0.1:{port}: {getattr(error, 'strerror', None) or error}"
            ) from error
    return ThreadingHTTPServer(("127.0.0.1", 0), handler)


def _handler(folder: str) -> type[SimpleHTTPRequestHandler]:
    """Files of the folder only: no listings, nothing hidden, nothing for a page of elsewhere that guesses the port."""
    from http.server import SimpleHTTPRequestHandler

    class Files(SimpleHTTPRequestHandler):
        extensions_map = {  # noqa: RUF012 - so is its parent's
            **SimpleHTTPRequestHandler.extensions_map,
            ".atom": "application/atom+xml",
            ".prom": "text/plain; version=0.0.4",
        }

        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=folder)  # type: ignore[arg-type]

        def send_head(self) -> object:  # type: ignore[override]
            host = (self.headers.get("Host") or "127.0.0.1").rsplit(":", 1)[0]
            hidden = any(part.startswith(".") for part in self.path.split("?")[0].split("/"))
            if host not in _HOSTS or hidden:
                self.send_error(404)
                return None
            return super().send_head()

        def list_directory(self, _path: object) -> None:
            self.send_error(404)

        def end_headers(self) -> None:
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-cache")
            super().end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    return Files
