"""One GET over HTTP: bounded in size and time, redirects followed one by one, a login sent to its own host alone.

What may be better the next time is a TemporaryError; whoever asked decides how often that is tried.
"""

from __future__ import annotations

import email.utils
import ssl
import urllib.request
from functools import cache
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from llamaagent.base.errors import BadInputError, ServiceUnavailableError
from llamaagent.catalog.reference import is_loopback, may_lead

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import Message

    from llamaagent.base.clock import Clock

_TIMEOUT_S = 30.0  # without a byte
_DEADLINE_S = 120.0  # for a whole body
_CHUNK = 1 << 16
_REDIRECTS = 6
_SAFE = "%/:=&?~#+!$,;'@()*[]-._"  # stays as it is in an address; what is left is quoted
_MOVED = frozenset({301, 302, 303, 307, 308})
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


class TemporaryError(Exception):
    """It did not work this time.

    wait_s: what the server asked for. kind: `gone`, nobody answers; `bad`, what came is nonsense; else `later`.
    """

    def __init__(self, message: str, *, wait_s: float | None = None, kind: str = "later") -> None:
        super().__init__(message)
        self.wait_s = wait_s
        self.kind = kind


class Answer(NamedTuple):
    """What a server said. status: 200, 304, or a refusal from 400 on that will not change by itself."""

    status: int
    headers: Message
    body: bytes


class Ask(NamedTuple):
    """How to ask. stopped: looked at while bytes come; insecure: hosts that may be asked over plain http."""

    clock: Clock
    insecure: frozenset[str]
    stopped: Callable[[], bool]

    def once(self, url: str, headers: dict[str, str], authorization: str | None, limit: int) -> Answer:
        """One GET. Raises TemporaryError, BadInputError (too large, a bad redirect), ServiceUnavailableError."""
        home = urlsplit(url)
        for _ in range(_REDIRECTS):
            url = quote(url, safe=_SAFE)
            at = urlsplit(url)
            request = urllib.request.Request(url, headers={"User-Agent": "llamaagent", **headers})  # noqa: S310
            if authorization is not None and (at.scheme, at.netloc) == (home.scheme, home.netloc):
                request.add_unredirected_header("Authorization", authorization)
            found = _open(request, at.netloc)
            with found:
                if found.status not in _MOVED:
                    return self._finish(found, url, limit)
                url = self._moved(url, found.headers.get("Location"))
        raise BadInputError(f"{home.netloc} redirects in a circle")

    def _moved(self, url: str, location: str | None) -> str:
        try:
            target = urljoin(url, location or "")
            good = bool(location) and may_lead(url, target, self.insecure)
        except ValueError:
            good = False
        if not good:
            raise BadInputError(f"{shown(url)} leads to an address that is not to be asked")
        return target

    def _finish(self, found: HTTPResponse, url: str, limit: int) -> Answer:
        if found.status in _LATER:
            wait = retry_after(found.headers.get("Retry-After"), self.clock.now())
            raise TemporaryError(f"{shown(url)} answered {found.status} {found.reason}", wait_s=wait)
        if found.status >= 300:
            return Answer(found.status, found.headers, b"")
        return Answer(found.status, found.headers, self._body(found, url, limit))

    def _body(self, found: HTTPResponse, url: str, limit: int) -> bytes:
        """All of it. `read` with a size does not notice an early end, so the length is compared here."""
        length = found.headers.get("Content-Length", "")
        expected = int(length) if length.isdecimal() and length.isascii() and len(length) < 18 else None
        parts, size, until = [], 0, self.clock.monotonic() + _DEADLINE_S
        while True:
            if size > limit or (expected or 0) > limit:
                raise BadInputError(f"{shown(url)} sends more than {limit >> 20} MiB")
            if self.stopped():
                raise ServiceUnavailableError("stopped")
            try:
                data = found.read1(_CHUNK)
            except (HTTPException, OSError, ValueError) as error:
                raise TemporaryError(f"{shown(url)} broke off after {size} bytes") from error
            if not data:
                break
            parts.append(data)
            size += len(data)
            if self.clock.monotonic() > until:
                raise TemporaryError(f"{shown(url)} is too slow: {size} bytes in {_DEADLINE_S:.0f} s")
        if expected is not None and "Transfer-Encoding" not in found.headers and size != expected:
            raise TemporaryError(f"{shown(url)} broke off after {size} of {expected} bytes")
        return b"".join(parts)


class _AnyStatus(urllib.request.HTTPErrorProcessor):
    """Every status is an answer, also one that redirects."""

    def http_response(self, request: urllib.request.Request, response: HTTPResponse) -> HTTPResponse:
        _ = request
        return response

    https_response = http_response


@cache
def _opener(*, direct: bool) -> urllib.request.OpenerDirector:
    """One for all, since reading the system's certificates takes a while. direct: past any proxy."""
    https = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    return urllib.request.build_opener(
        _AnyStatus, https, *([urllib.request.ProxyHandler({})] if direct else [])
    )


def _open(request: urllib.request.Request, host: str) -> HTTPResponse:
    direct = is_loopback(urlsplit(request.full_url).hostname or "")
    try:
        found: HTTPResponse = _opener(direct=direct).open(request, timeout=_TIMEOUT_S)
    except HTTPException as error:
        raise TemporaryError(f"{host} does not speak HTTP: {type(error).__name__}") from error
    except (OSError, ValueError) as error:  # URLError is an OSError
        reason = getattr(error, "reason", error)
        text = getattr(reason, "strerror", None) or str(reason)
        raise TemporaryError(f"cannot reach {host}: {text}", kind="gone") from error
    return found


def shown(url: str) -> str:
    """An address without its query, which may be long or secret."""
    return urlsplit(url)._replace(query="", fragment="").geturl()


def retry_after(text: str | None, now: int) -> float | None:
    """Seconds that a Retry-After header asks for; None when there is none that makes sense.

    >>> retry_after("7", 0), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 20), retry_after("soon", 0)
    (7.0, 40.0, None)
    """
    if text is None:
        return None
    word = text.strip()
    if word.isdecimal() and word.isascii():
        return float(word[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(word).timestamp() - now)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
