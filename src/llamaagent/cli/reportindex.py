"""`report index`: a front page over several sites, from what each tells in its status.json."""

from __future__ import annotations

import os

from llamaagent.base.clock import SystemClock
from llamaagent.base.errors import ServiceUnavailableError, UsageError
from llamaagent.cli.output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values
    from llamaagent.report.sites import SiteRow

_TIMEOUT_S = 10.0
_LONGEST_S = 3600.0
_LARGEST = 4 << 20


def build(values: Values) -> int:
    """Write index.html into a folder and print its path. Exit 69 when not one site could be read."""
    from llamaagent.report.sites import write_index

    out = values.text("out")
    if out is None:
        raise UsageError("say where the front page goes", hint="-o DIR")
    timeout_s = _timeout(values)
    rows = [_read(place, os.path.abspath(out), timeout_s) for place in values.many("site")]
    path = write_index(rows, os.path.abspath(out), values.text("title") or "llamaagent", SystemClock().now())
    for row in rows:
        if row.failure is not None:
            say(f"{row.place}: {row.failure}")
    print(path)
    if all(row.failure is not None for row in rows):
        raise ServiceUnavailableError("no site could be read")
    return 0


def _timeout(values: Values) -> float:
    from llamaagent.base.units import UnitError, parse_duration

    word = values.text("timeout")
    if word is None:
        return _TIMEOUT_S
    try:
        seconds = parse_duration(word)
    except UnitError as error:
        raise UsageError(f"--timeout: {error}") from error
    return min(float(seconds), _LONGEST_S) if seconds else _TIMEOUT_S


def _read(place: str, out: str, timeout_s: float) -> SiteRow:
    """What a site says of itself; whatever is wrong with it or its address is told in its row."""
    from http.client import HTTPException

    from llamaagent.report.sites import SiteRow, read_status

    remote = place.startswith(("http://", "https://"))
    link = place.rstrip("/") + "/" if remote else os.path.relpath(os.path.abspath(place), out) + "/"
    try:
        data = (
            _fetch(f"{link}status.json", timeout_s) if remote else _load(os.path.join(place, "status.json"))
        )
        return read_status(place, f"{link}index.html", data)
    except (OSError, ValueError, HTTPException) as error:
        cause = getattr(error, "reason", None)
        inner = cause if isinstance(cause, OSError) else error  # urllib wraps what happened
        reason = getattr(inner, "strerror", None) or " ".join(str(inner).split()) or type(error).__name__
        return SiteRow(place, f"{link}index.html", place, None, f"cannot be read: {reason}")


def _load(path: str) -> bytes:
    if not os.path.isfile(path) and os.path.exists(path):
        raise ValueError("it is no file")  # a pipe would be waited for
    with open(path, "rb") as file:
        return file.read(_LARGEST)


def _fetch(address: str, timeout_s: float) -> bytes:
    from urllib.request import Request, urlopen

    clock = SystemClock()
    request = Request(address, headers={"User-Agent": "llamaagent"})  # noqa: S310 - http and https only, see above
    with urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
        begin = clock.monotonic()
        parts: list[bytes] = []
        while part := answer.read1(1 << 16):
            parts.append(part)
            if sum(map(len, parts)) > _LARGEST:
                raise ValueError("it is too long for a status.json")
            if clock.monotonic() - begin > timeout_s:  # the limit of the socket begins anew with each byte
                raise TimeoutError(f"it was not read within {timeout_s:.0f} s")
    return b"".join(parts)
