"""Every row of a table that can be reached, around what cannot: from both ends, then from within what is left.

Reading in the order of the key goes on until the first damaged page; reading backward from the other end until the
last. What lies between is split in the middle and tried again, until nothing between two keys can be read.
"""

from __future__ import annotations

import heapq
import json

import apsw

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Key = tuple[object, ...]
    Take = Callable[[tuple[object, ...]], None]

_SQL = statements("salvage")
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_HIGHEST = b"\xff"  # a blob is above every number and every text
_LONG = b"\xff" * 64  # and above every key that is a blob, which are digests
_PROBES = 400


class Reading(NamedTuple):
    """How one table is read: names of the columns, the key's types, the two statements."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    forward: str
    backward: str


class Gap(NamedTuple):
    """Keys between which nothing could be read; None: from the beginning, to the end."""

    after: Key | None
    before: Key | None


def reading_of(db: apsw.Connection, name: str) -> Reading:
    """Ask a connection how its table is read."""
    columns, types, forward, backward = db.execute(_SQL.select_reading, {"name": name}).fetchone() or (
        "",
        "",
        "",
        "",
    )
    return Reading(
        tuple(json.loads(str(columns))), tuple(json.loads(str(types or "[]"))), str(forward), str(backward)
    )


def scan(db: apsw.Connection, reading: Reading, take: Take) -> tuple[Gap, ...]:
    """Hand every row that can be read to `take`, and return where others may have been.

    Where keys are damaged a row may come twice.
    """
    low, high = _lowest(reading), _highest(reading)
    gaps: list[Gap] = []
    todo = [(0, 0, low, high)]
    number = 0
    while todo:
        _, _, after, before = heapq.heappop(todo)
        number += 1
        up, after = _read(db, reading, reading.forward, (after, before), take, up=True)
        # A damaged key that is out of range looks like the end: it is the end when nothing comes from behind either.
        down, last = _read(db, reading, reading.backward, (after, before), take, up=False)
        if up and down and last == before:
            continue
        before = last
        parts = [] if down and not up else _split(after, before)
        if not parts or number > _PROBES:
            gaps.append(Gap(None if after == low else after, None if before == high else before))
        for place, (first, last) in enumerate(parts if number <= _PROBES else []):
            heapq.heappush(todo, (-_width(first, last), 2 * number + place, first, last))
    return _joined(gaps)


def _joined(gaps: list[Gap]) -> tuple[Gap, ...]:
    """Neighbouring gaps as one."""
    joined: list[Gap] = []
    for gap in sorted(gaps, key=lambda one: _rank(one.after, -1)):
        if joined and _rank(gap.after, -1) <= _rank(joined[-1].before, 1):
            last = max(joined[-1].before, gap.before, key=lambda key: _rank(key, 1))
            joined[-1] = Gap(joined[-1].after, last)
        else:
            joined.append(gap)
    return tuple(joined)


def _rank(key: Key | None, end: int) -> tuple[tuple[int, object], ...]:
    """For comparing keys; None is that end of the table."""
    if key is None:
        return ((2 * end, 0),)
    return tuple((1, 0) if part == _HIGHEST else (0, part) for part in key)


def _read(
    db: apsw.Connection, reading: Reading, text: str, between: tuple[Key, Key], take: Take, *, up: bool
) -> tuple[bool, Key]:
    """Read until the end or the first fault: whether it was the end, and the last key that was read."""
    key, width = between[0] if up else between[1], len(reading.types)
    try:
        for row in db.execute(text, (*between[0], *between[1])):
            take(row[width:])
            key = row[:width]
    except (apsw.Error, UnicodeDecodeError):
        return False, key
    return True, key


def _lowest(reading: Reading) -> Key:
    least: dict[str, object] = {"TEXT": "", "BLOB": b""}
    return tuple(least.get(kind, _LEAST) for kind in reading.types)


def _highest(reading: Reading) -> Key:
    most: dict[str, object] = {"TEXT": _HIGHEST, "BLOB": _LONG}
    return tuple(most.get(kind, _MOST) for kind in reading.types)


def _split(after: Key, before: Key) -> list[tuple[Key, Key]]:
    """Two halves of what lies between, none where the keys are next to each other or no numbers."""
    for place, (first, last) in enumerate(zip(after, before, strict=True)):
        if first == last:
            continue
        if not isinstance(first, int) or not isinstance(last, int) or last - first < 2:
            return []
        middle, head = (first + last) // 2, after[:place]
        rest = len(after) - place - 1
        return [(after, (*head, middle, *[_LEAST] * rest)), ((*head, middle - 1, *[_HIGHEST] * rest), before)]
    return []


def _width(first: Key, last: Key) -> int:
    for a, b in zip(first, last, strict=True):
        if a != b:
            return b - a if isinstance(a, int) and isinstance(b, int) else 0
    return 0
