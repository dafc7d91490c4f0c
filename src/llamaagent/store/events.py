"""Table `logs` of one open database: writing a line, and searching with a place to go on from."""

from __future__ import annotations

import json

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements
from llamaagent.store.read import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from apsw import Connection

    from llamaagent.store.read import Table

_SQL = statements("events")
_END = 1 << 62
LEVELS = ("debug", "info", "warning", "error", "critical")
_SLICE = 5000  # rows that one statement deletes: other programs get their turn between


class EventFilter(NamedTuple):
    """Which rows. level: at least; text: every word of it somewhere in the row; grep: in the message as it is.

    since, until: Unix seconds, until not included. before: (ts, id) of the last row of the page before.
    """

    level: str = "debug"
    source: str | None = None
    category: str | None = None
    since: int = 0
    until: int = _END
    grep: str | None = None
    text: str | None = None
    before: tuple[int, int] = (_END, 0)
    limit: int = 100


class Event(NamedTuple):
    """A row to be written."""

    ts: int
    level: str
    message: str
    source: str | None = None
    category: str | None = None
    context: str | None = None  # JSON
    model_path: str | None = None
    prompt_preview: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    stack_trace: str | None = None


class EventStore:
    """`logs` of one open database. Methods that write expect the caller's transaction, but for `clear`."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def search(self, wanted: EventFilter) -> Table:
        """Rows, newest first; the same second by id."""
        levels = LEVELS[LEVELS.index(wanted.level) :]
        name = "list_events"
        if wanted.source is not None:
            name = "list_events_of_source"
        elif "info" not in levels:
            name = "list_events_of_levels"
        given = {
            "levels": json.dumps(levels),
            "words": json.dumps((wanted.text or "").split()),
            "before_ts": wanted.before[0],
            "before_id": wanted.before[1],
            "category": wanted.category,
            "since": wanted.since,
            "until": wanted.until,
            "grep": wanted.grep,
            "limit": wanted.limit,
        }
        if wanted.source is not None:
            given["source"] = wanted.source
        return select(self._db, name, given, area="events")

    def place_of(self, event_id: int) -> tuple[int, int] | None:
        """(ts, id) of a row, for `EventFilter.before`; None when it is not there."""
        ts = self._db.execute(_SQL["select_event"], {"id": event_id}).get
        return None if ts is None else (int(ts), event_id)

    def add(self, event: Event) -> None:
        """Write a row."""
        self._db.execute(_SQL["insert_event"], event._asdict())

    def count(self) -> int:
        """How many rows there are."""
        return int(self._db.execute(_SQL["count_events"]).get)

    def clear(self, until: int = _END) -> int:
        """Delete what is older than a time (Unix seconds), in slices of a transaction each; how many rows went."""
        gone = 0
        while True:
            with self._db:
                rows = len(
                    self._db.execute(_SQL["delete_events"], {"until": until, "limit": _SLICE}).fetchall()
                )
            gone += rows
            if rows < _SLICE:
                return gone
