"""HTTP to one llama-server: a question, an answer or a stream of events; closing the connection cancels it there.

Everything is under one deadline. Errors come in plain words (`trouble`), a server that is not there as
ServiceUnavailableError.
"""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.generate.trouble import refusal

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from llamaagent.base.clock import Clock

_CONNECT_S = 10.0
_MOST = 64 << 20  # of an answer that is no stream
_LINE = 8 << 20  # of one event
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1", "*": "127.0.0.1"}  # noqa: S104


class Address(NamedTuple):
    """Where a server listens. host: as its --host takes it, so also 0.0.0.0 or the path of a unix socket."""

    host: str
    port: int
    scheme: str = "http"
    prefix: str = ""
    api_key: str | None = None

    def __repr__(self) -> str:
        """Without the key."""
        return f"Address({self.scheme}://{self.host}:{self.port}{self.prefix})"

    @property
    def unix(self) -> bool:
        """Whether it is a socket in the file system."""
        return self.host.startswith("/") or self.host.endswith(".sock")


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    """Questions to one server. timeout_s: for each question with its whole answer."""

    def __init__(self, address: Address, clock: Clock, timeout_s: float) -> None:
        self._address, self._clock, self._timeout_s = address, clock, timeout_s

    def get(self, path: str) -> Any:
        """What a GET answers, from JSON."""
        with self._asked("GET", path, None) as (_, response):
            return _json(response)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """What a POST answers, from JSON."""
        with self._asked("POST", path, body) as (_, response):
            return _json(response)

    def events(self, path: str, body: dict[str, Any]) -> Generator[dict[str, Any]]:
        """The events of a streamed answer, as they come; leaving the loop early cancels the rest."""
        until = self._clock.monotonic() + self._timeout_s
        with self._asked("POST", path, body) as (sock, response):
            while True:
                sock.settimeout(max(0.001, until - self._clock.monotonic()))
                line = response.readline(_LINE)
                if not line:
                    return
                name, _, text = line.partition(b":")
                if name not in {b"data", b"error"}:
                    continue
                text = text.strip()
                if text == b"[DONE]":
                    return
                event = json.loads(text)
                yield event if name == b"data" else {"error": event}

    @contextmanager
    def _asked(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> Iterator[tuple[socket.socket, http.client.HTTPResponse]]:
        link, response = self._open(), None
        try:
            link.connect()
            sock: socket.socket = link.sock
            sock.settimeout(self._timeout_s)
            text = None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
            link.request(method, self._address.prefix + path, text, self._headers())
            response = link.getresponse()
            if response.status != 200:
                raise refusal(response.status, _maybe(response.read(_MOST)))
            yield sock, response
        except TimeoutError as error:
            raise ServiceUnavailableError(
                f"no answer within {self._timeout_s:g} s", hint="--timeout 1h, or a smaller --n-predict"
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ServiceUnavailableError(f"{self._where()}: {_words(error)}") from error
        finally:
            if response is not None:  # it may have taken the connection over
                response.close()
            link.close()

    def _open(self) -> http.client.HTTPConnection:
        at, patience = self._address, min(_CONNECT_S, self._timeout_s)
        if at.unix:
            return _UnixConnection(at.host, patience)
        host = _EVERYWHERE.get(at.host, at.host)
        if at.scheme != "https":
            return http.client.HTTPConnection(host, at.port, timeout=patience)
        import ssl

        context = ssl.create_default_context()
        if host in {"::1", "localhost"} or host.startswith(
            "127."
        ):  # a certificate for this machine's own name
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(host, at.port, timeout=patience, context=context)

    def _headers(self) -> dict[str, str]:
        made = {"Content-Type": "application/json", "User-Agent": "llamaagent"}
        if self._address.api_key:
            made["Authorization"] = f"Bearer {self._address.api_key}"
        return made

    def _where(self) -> str:
        at = self._address
        return at.host if at.unix else f"{at.host}:{at.port}"


def _json(response: http.client.HTTPResponse) -> Any:
    data = response.read(_MOST + 1)
    if len(data) > _MOST:
        raise ValueError(f"the answer is longer than {_MOST} bytes")
    return json.loads(data)


def _maybe(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return {"error": data.decode("utf-8", "replace").strip()[:200]}


def _words(error: Exception) -> str:
    if isinstance(error, http.client.RemoteDisconnected):
        return "the server closed the connection without an answer"
    if isinstance(error, http.client.IncompleteRead):
        return "the server broke off in the middle of its answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
