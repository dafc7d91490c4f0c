"""What came back from one question, and reading it from bytes. Pure. Source: RFC 9112."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

REFUSED = "refused"  # nobody listens there
TIMEOUT = "timeout"  # not answered in full by the deadline
ERROR = "error"  # connected, and then something that is no HTTP answer
HTTP = "http"  # answered; see the status


class Answer(NamedTuple):
    """One outcome. status and body are set for HTTP only, detail says what an ERROR was."""

    kind: str
    status: int | None = None
    body: bytes = b""
    latency_ms: int = 0
    detail: str = ""


def failed(detail: str) -> Answer:
    """An ERROR, its text cut to what fits a row."""
    return Answer(ERROR, detail=detail[:200])


def parse_answer(data: bytes, *, ended: bool) -> Answer | None:
    """Read what has arrived so far; None while the answer is not complete.

    ended: the other side has closed. The body ends with the connection, or earlier where Content-Length
    or chunked coding says so (some servers use it even towards HTTP/1.0).
    """
    if not b"HTTP/".startswith(data[:5]) and not data.startswith(b"HTTP/"):
        return failed(f"not HTTP: {data[:60]!r}")
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if ended:
            return failed("closed without an answer" if not data else "closed within the header")
        return None
    lines = data[:end].split(b"\r\n")
    status = _status(lines[0])
    if status is None:
        return failed(f"not HTTP: {lines[0][:60]!r}")
    body, complete = _body(data[end + 4 :], _headers(lines[1:]), ended=ended)
    if complete:
        return Answer(HTTP, status, body)
    return failed("closed within the body") if ended else None


def _status(line: bytes) -> int | None:
    words = line.split(None, 2)
    if len(words) < 2 or len(words[1]) != 3 or not words[1].isdigit():
        return None
    return int(words[1])


def _headers(lines: list[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        found[name.strip().lower()] = value.strip()
    return found


def _body(data: bytes, headers: dict[bytes, bytes], *, ended: bool) -> tuple[bytes, bool]:
    if headers.get(b"transfer-encoding", b"").lower().endswith(b"chunked"):
        return _join_chunks(data)
    length = headers.get(b"content-length")
    if length is not None and length.isdigit():
        return data[: int(length)], len(data) >= int(length)
    return data, ended


def _join_chunks(data: bytes) -> tuple[bytes, bool]:
    parts: list[bytes] = []
    position = 0
    while True:
        end = data.find(b"\r\n", position)
        if end < 0:
            return b"", False
        try:
            size = int(data[position:end].split(b";")[0], 16)
        except ValueError:
            return b"", False
        if size <= 0:
            return b"".join(parts), True
        position = end + 2 + size + 2
        if len(data) < position:
            return b"", False
        parts.append(data[end + 2 : end + 2 + size])
