"""`report index`: a front page over several sites, from what each tells in its status.json."""

from __future__ import annotations

import os

from llamaagent.base.errors import ServiceUnavailableError, UsageError
from llamaagent.cli.output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values
    from llamaagent.report.sites import SiteRow

_TIMEOUT_S = 10.0
_LARGEST = 4 << 20


def build(values: Values) -> int:
    """Write index.html into a folder and print its path. Exit 69 when not one site could be read."""
    from llamaagent.report.sites import write_index

    out = values.text("out")
    if out is None:
        raise UsageError("say where the front page goes", hint="-o DIR")
    timeout_s = _timeout(values)
    rows = [_read(place, os.path.abspath(out), timeout_s) for place in values.many("site")]
    path = write_index(rows, os.path.abspath(out), values.text("title") or "llamaagent")
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
    return _TIMEOUT_S if not seconds else float(seconds)


def _read(place: str, out: str, timeout_s: float) -> SiteRow:
    from llamaagent.report.sites import SiteRow, read_status

    remote = place.startswith(("http://", "https://"))
    link = place.rstrip("/") + "/" if remote else os.path.relpath(os.path.abspath(place), out) + "/"
    try:
        data = (
            _fetch(f"{link}status.json", timeout_s) if remote else _load(os.path.join(place, "status.json"))
        )
        return read_status(place, f"{link}index.html", data)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return SiteRow(place, f"{link}index.html", place, None, f"cannot be read: {reason}")


def _load(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(_LARGEST)


def _fetch(address: str, timeout_s: float) -> bytes:
    from urllib.request import Request, urlopen

    request = Request(address, headers={"User-Agent": "llamaagent"})  # noqa: S310 - http and https only, see above
    with urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
        data: bytes = answer.read(_LARGEST)
    return data
