"""What a person types for a time, a size or an amount, turned into integers and back.

Durations become whole seconds, sizes become bytes, `never` becomes None. A bare number is refused where
a unit belongs (0 needs none), because nobody remembers whether 30 meant seconds or minutes. Nothing here
reads a clock; `datetime` is imported only by `parse_when`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime, tzinfo

MIB = 1024 * 1024
MINUTE, HOUR, DAY, WEEK = 60, 3600, 86400, 604800

_DURATION = {"s": 1, "m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
_SIZE = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_AMOUNT = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_WINDOW = {"hour": HOUR, "day": DAY, "week": WEEK, "month": 30 * DAY}
WINDOW_NAMES: dict[int | None, str] = {seconds: name for name, seconds in _WINDOW.items()}
_CENTURIES = 300 * 365 * DAY
_LIMIT = 2**63 - 1  # what a row can hold


class UnitError(ValueError):
    """The text is no such quantity; the message says what would be one."""


def parse_duration(text: str) -> int | None:
    """Whole seconds, None for `never`. Units s, m, h, d, w, also joined. Raises UnitError.

    >>> parse_duration("1h30m"), parse_duration("7d"), parse_duration("0"), parse_duration("never")
    (5400, 604800, 0, None)
    >>> parse_duration("30")
    Traceback (most recent call last):
    ...
    llamaagent.base.units.UnitError: '30' has no unit: write 30s, 30m, 30h or 30d
    """
    word = text.strip()
    if word == "never":
        return None
    if word == "0":
        return 0
    if _is_number(word):
        raise UnitError(f"{word!r} has no unit: write {word}s, {word}m, {word}h or {word}d")
    seconds: float = 0
    rest = word
    while rest:
        number, unit, rest = _split(rest)
        if not _is_number(number) or unit not in _DURATION:
            raise UnitError(f"{text!r} is no duration: write 30s, 5m, 1h30m, 7d or never")
        seconds += _number(number) * _DURATION[unit]
    if not word:
        raise UnitError("an empty text is no duration: write 30s, 5m, 1h30m, 7d or never")
    return _whole(seconds, text, "a whole number of seconds")


def parse_seconds(text: str) -> int:
    """As `parse_duration`, where `never` makes no sense."""
    seconds = parse_duration(text)
    if seconds is None:
        raise UnitError("'never' is not possible here: write a duration such as 30s or 5m")
    return seconds


def format_duration(seconds: int | None) -> str:
    """The shortest exact spelling; the opposite of `parse_duration`.

    >>> format_duration(5400), format_duration(604800), format_duration(0), format_duration(None)
    ('1h30m', '7d', '0s', 'never')
    """
    if seconds is None:
        return "never"
    parts = []
    rest = seconds
    for unit, length in (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", 1)):
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(text: str) -> int:
    """Bytes. KiB, MiB, GiB, TiB are powers of 1024; kB, MB, GB, TB of 1000; B is bytes. Raises UnitError.

    >>> parse_size("512MiB"), parse_size("1.5GB"), parse_size("0")
    (536870912, 1500000000, 0)
    >>> parse_size("9G")
    Traceback (most recent call last):
    ...
    llamaagent.base.units.UnitError: '9G' is no size: write 9GiB (1024-based) or 9GB (1000-based)
    """
    word = text.strip()
    if word == "0":
        return 0
    if _is_number(word):
        raise UnitError(f"{word!r} has no unit: write {word}MiB or {word}GiB")
    number, unit, rest = _split(word)
    if rest or not _is_number(number) or unit.lower() not in _SIZE:
        if not rest and _is_number(number) and unit in {"K", "k", "M", "G", "T"}:
            big = unit.upper()
            raise UnitError(
                f"{text!r} is no size: write {number}{big}iB (1024-based) or {number}{big}B (1000-based)"
            )
        raise UnitError(f"{text!r} is no size: write 512MiB, 9GiB or 1.5GB")
    return _whole(_number(number) * _SIZE[unit.lower()], text, "a whole number of bytes", exact=False)


def parse_mib(text: str) -> int:
    """MiB, rounded up: a limit or a claim is never smaller than what was written."""
    return -(-parse_size(text) // MIB)


def format_size(size_bytes: int) -> str:
    """The largest unit that is exact, powers of 1024 first; the opposite of `parse_size`.

    >>> format_size(9 * 2**30), format_size(1500000000), format_size(1536), format_size(0)
    ('9GiB', '1500MB', '1536B', '0B')
    """
    for unit, length in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size_bytes >= length and size_bytes % length == 0:
            return f"{size_bytes // length}{unit}"
    for unit, length in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= length and size_bytes % length == 0:
            return f"{size_bytes // length}{unit}"
    return f"{size_bytes}B"


def parse_count(text: str) -> float:
    """An amount with an optional k, M or G (powers of 1000). Raises UnitError.

    >>> parse_count("5M"), parse_count("1.5k"), parse_count("12")
    (5000000.0, 1500.0, 12.0)
    """
    number, unit, rest = _split(text.strip())
    if rest or not _is_number(number) or unit not in _AMOUNT:
        raise UnitError(f"{text!r} is no amount: write 100, 20k, 5M or 1G")
    value = float(number) * _AMOUNT[unit]
    if value > _LIMIT:
        raise UnitError(f"{text!r} is too large")
    return value


def format_count(amount: float) -> str:
    """The shortest exact spelling; the opposite of `parse_count`.

    >>> format_count(5000000), format_count(2.5), format_count(0)
    ('5M', '2.5', '0')
    """
    for unit, length in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if amount >= length and amount % length == 0:
            return f"{int(amount) // length}{unit}"
    return str(int(amount)) if amount == int(amount) else _plain_decimal(amount)


def parse_rate(text: str) -> tuple[float, int]:
    """(amount, window in seconds) of `100/week`; windows: hour, day, week, month (30 days). Raises UnitError.

    >>> parse_rate("100/week"), parse_rate("5M/day")
    ((100.0, 604800), (5000000.0, 86400))
    """
    amount, slash, window = text.strip().partition("/")
    if not slash or window.strip() not in _WINDOW:
        raise UnitError(f"{text!r} is no amount per window: write 100/week, 5M/day, or per hour or month")
    return parse_count(amount), _WINDOW[window.strip()]


def format_rate(rate: tuple[float, int]) -> str:
    """The opposite of `parse_rate`.

    >>> format_rate((5000000.0, 86400))
    '5M/day'
    """
    return f"{format_count(rate[0])}/{WINDOW_NAMES[rate[1]]}"


def parse_when(text: str, now: int, zone: tzinfo | None = None, *, future: bool = False) -> int:
    """A moment as Unix seconds: `2h` (ago), `yesterday`, `mon`, `08:00`, a date, an ISO date-time, `@EPOCH`.

    zone: where days begin, None = the host's. future: `2h` is ahead, and `mon` and `08:00` are the next
    ones instead of the last. Raises UnitError.
    """
    word = text.strip().lower()
    if word == "now":
        return now
    if word.startswith("@") and word[1:].isdecimal():
        return int(word[1:])
    try:
        seconds = parse_seconds(word)
    except UnitError:
        return _calendar(text.strip(), word, now, zone, future)
    if seconds > _CENTURIES:
        raise UnitError(f"{text!r} is too far away")
    return now + seconds if future else now - seconds


_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WHEN = "write 2h, yesterday, mon, 08:00, 2026-01-31 or 2026-01-31T08:00"


def _calendar(text: str, word: str, now: int, zone: tzinfo | None, future: bool) -> int:
    from datetime import UTC, datetime, timedelta

    try:
        here = datetime.fromtimestamp(now, UTC).astimezone(zone).replace(tzinfo=None)
        midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
        shift = {"today": 0, "yesterday": -1, "tomorrow": 1}.get(word)
        if shift is not None:
            return _stamp(midnight + timedelta(days=shift), zone)
        if word[:3] in _DAYS and (len(word) == 3 or word == _day_name(word[:3])):
            back = (midnight.weekday() - _DAYS.index(word[:3])) % 7
            return _stamp(midnight + timedelta(days=7 - back if future else -back), zone)
        if word[:2].isdecimal() and word[2:3] == ":":
            clock = datetime.fromisoformat(f"2000-01-01T{word}")
            moment = midnight.replace(hour=clock.hour, minute=clock.minute, second=clock.second)
            if future and moment <= here:
                moment += timedelta(days=1)
            elif not future and moment > here:
                moment -= timedelta(days=1)
            return _stamp(moment, zone)
        moment = datetime.fromisoformat(text)
        return int(moment.timestamp()) if moment.tzinfo else _stamp(moment, zone)
    except (ValueError, OverflowError, OSError) as error:
        raise UnitError(f"{text!r} is no time: {_WHEN}") from error


def _day_name(short: str) -> str:
    return {"tue": "tuesday", "wed": "wednesday", "thu": "thursday", "sat": "saturday"}.get(
        short, short + "day"
    )


def _stamp(moment: datetime, zone: tzinfo | None) -> int:
    return int((moment.replace(tzinfo=zone) if zone else moment).timestamp())


def _split(text: str) -> tuple[str, str, str]:
    """Leading number, then letters, then what is left."""
    end = 0
    while end < len(text) and (text[end] in "0123456789." or (end == 0 and text[end] in "+-")):
        end += 1
    stop = end
    if stop < len(text) and text[stop] == " ":
        stop += 1
    begin = stop
    while stop < len(text) and text[stop].isalpha():
        stop += 1
    return text[:end], text[begin:stop], text[stop:]


def _is_number(text: str) -> bool:
    """Digits with at most one point; no sign: nothing here may be negative."""
    digits = text.replace(".", "", 1)
    return digits.isascii() and digits.isdecimal()


def _number(text: str) -> float:
    """An int where it is written as one, so that large sizes stay exact; Python reads no int of any length."""
    return int(text) if text.isdecimal() and len(text) < 100 else float(text)


def _whole(value: float, text: str, what: str, *, exact: bool = True) -> int:
    if value > _LIMIT:
        raise UnitError(f"{text!r} is too large")
    if exact and value != int(value):
        raise UnitError(f"{text!r} is not {what}")
    return round(value)


def _plain_decimal(amount: float) -> str:
    """Without an exponent, exactly as many digits as it takes to read the same number again."""
    text = repr(amount)
    return text if "e" not in text else f"{amount:.20f}".rstrip("0")
