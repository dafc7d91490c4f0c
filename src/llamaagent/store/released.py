"""Reservations that were released a moment ago: what a driver may not have given back yet."""

from __future__ import annotations

from llamaagent.sql import statements
from llamaagent.store.instances import Reservation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from apsw import Connection

_SQL = statements("instances")


def released(db: Connection, since: int, now: int) -> tuple[Reservation, ...]:
    """What launches had reserved that ended after `since`; one written by a clock ahead of `now` is left out."""
    found = db.execute(_SQL["select_released"], {"since": since, "now": now})
    return tuple(Reservation(row[0], row[1], row[2], bool(row[3]), row[4]) for row in found)
