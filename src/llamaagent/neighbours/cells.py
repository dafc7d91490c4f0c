"""Values out of other programs' tables, which may hold anything in any column: None where they make no sense."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOST = 2**62
_SECONDS_END = 10**11  # as seconds that is the year 5138; as milliseconds 1973
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,]\d+)?\s*(Z|UTC|[+-]\d\d:?\d\d)?", re.IGNORECASE
)


def moment(value: object) -> int | None:
    """Unix seconds, from seconds, milliseconds, microseconds or text (UTC unless it says otherwise).

    >>> moment(1704112345), moment(1704112345678), moment("2024-01-01 12:32:25"), moment("2024-01-01T13:32:25+01:00")
    (1704112345, 1704112345, 1704112345, 1704112345)
    >>> moment("1704112345"), moment("soon"), moment(0), moment(None), moment(float("inf"))
    (1704112345, None, None, None, None)
    """
    if isinstance(value, str):
        return _of_text(value.strip())
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    seconds = float(value) if isinstance(value, float) else value
    while seconds >= _SECONDS_END:
        seconds = seconds // 1000
    return int(seconds) if seconds > 0 else None


def _of_text(text: str) -> int | None:
    found = _MOMENT.fullmatch(text)
    if found is None:
        return moment(float(text)) if re.fullmatch(r"\d{1,19}(\.\d+)?", text) else None
    zone = (found[3] or "+00:00").upper().replace("UTC", "+00:00").replace("Z", "+00:00")
    try:
        return int(datetime.fromisoformat(f"{found[1]}T{found[2]}{zone}").astimezone(UTC).timestamp()) or None
    except (ValueError, OverflowError):
        return None


def real(value: object) -> float | None:
    """A finite number.

    >>> real(1), real("0.5"), real("x"), real(float("nan"))
    (1.0, 0.5, None, None)
    """
    if isinstance(value, (int, float, str)):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return None
        return number if math.isfinite(number) else None
    return None


def whole(value: object, times: float = 1) -> int | None:
    """A whole number that SQLite can hold, after multiplying.

    >>> whole(45.24, 10), whole("7"), whole(-1.0), whole(1e300), whole("7B")
    (452, 7, -1, None, None)
    """
    number = real(value)
    if number is None or abs(number * times) > _MOST:
        return None
    return round(number * times)


def count(value: object, times: float = 1) -> int | None:
    """A whole number that is not negative."""
    number = whole(value, times)
    return number if number is not None and number >= 0 else None


def text(value: object) -> str | None:
    """Text that says something; a number as it is written."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return str(value)


def parsed(value: object) -> Any:
    """What JSON text holds; the text itself where it is no JSON.

    >>> parsed('{"a": [1]}'), parsed("plain"), parsed(None)
    ({'a': [1]}, 'plain', None)
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def as_json(value: object) -> str | None:
    """JSON text that SQLite takes, whatever stood there.

    >>> as_json('{"a":1}'), as_json("plain"), as_json(""), as_json("[NaN]")
    ('{"a": 1}', '"plain"', None, '"[NaN]"')
    """
    if text(value) is None:
        return None
    try:
        return json.dumps(parsed(value), ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError):
        return json.dumps(text(value), ensure_ascii=False)
