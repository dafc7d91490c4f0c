"""Backups by name and time: what one is called, which of several go, when the next is due. Pure."""

from __future__ import annotations

import calendar
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_STAMP = "%Y%m%dT%H%M%SZ"
RETRY_S = 3600  # after a backup that failed


def stamp(ts: int) -> str:
    """A time as file names carry it, UTC.

    >>> stamp(1_700_000_000)
    '20231114T221320Z'
    """
    return time.strftime(_STAMP, time.gmtime(ts))


def backup_name(database: str, ts: int, number: int = 1) -> str:
    """The file name of a backup made at a time. number: from 2 on for another of the same second.

    >>> backup_name("/data/llamaagent.db", 1_700_000_000), backup_name("a.db", 1_700_000_000, 2)
    ('llamaagent-20231114T221320Z.db', 'a-20231114T221320Z-2.db')
    """
    again = f"-{number}" if number > 1 else ""
    return f"{_stem(database)}-{stamp(ts)}{again}.db"


def made_ts(database: str, name: str) -> int | None:
    """When the backup of this name was made; None for a file that is none of this database's.

    >>> made_ts("/data/llamaagent.db", "llamaagent-20231114T221320Z.db")
    1700000000
    >>> made_ts("/data/llamaagent.db", "llamaagent-before-the-move.db") is None
    True
    """
    head = f"{_stem(database)}-"
    if not (name.startswith(head) and name.endswith(".db")):
        return None
    when, _, number = name[len(head) : -len(".db")].partition("-")
    if number and not number.isdigit():
        return None
    try:
        return calendar.timegm(time.strptime(when, _STAMP))
    except ValueError:
        return None


def surplus(made: Iterable[int], keep: int, every_s: int | None) -> tuple[int, ...]:
    """Positions of the backups that go, given the times at which all of them were made.

    The newest always stays, and at least one. Of more than `keep`, those stay that lie at least half a period
    apart, so that three backups by hand within a minute do not push out the three of the last three days; what is
    left of `keep` is filled up with the newest.

    >>> surplus([100, 200, 300, 400], 3, None)
    (0,)
    >>> surplus([0, 86400, 172800, 172810, 172820], 3, 86400)
    (2, 3)
    """
    order = sorted(enumerate(made), key=lambda one: (one[1], one[0]), reverse=True)
    keep, apart_s = max(1, keep), (every_s or 0) / 2
    stay: list[tuple[int, int]] = []
    for one in order:
        if len(stay) < keep and (not stay or stay[-1][1] - one[1] >= apart_s):
            stay.append(one)
    kept = {place for place, _ in stay}
    for place, _ in order:
        if len(kept) < keep:
            kept.add(place)
    return tuple(sorted(place for place, _ in order if place not in kept))


def _stem(database: str) -> str:
    return database.rpartition("/")[2].removesuffix(".db")
