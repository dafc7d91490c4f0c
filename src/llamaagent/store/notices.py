"""Rows of `notifications`: what `notify` is told, and how far that came."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from apsw import Connection

_SQL = statements("notices")


class Notice(NamedTuple):
    """One that waits. payload: a JSON object."""

    id: int
    ts: int
    event: str
    profile: str | None
    payload: str
    attempts: int
    tried_ts: int | None


class NoticeStore:
    """The notifications of one open database."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def add(self, event: str, profile: str | None, payload: str, ts: int) -> None:
        """Note one, and let go of very old ones. The caller holds the transaction of the change."""
        given = {"event": event, "profile": profile, "payload": payload, "ts": ts}
        self._db.execute(_SQL["insert_notice"], given)
        self._db.execute(_SQL["delete_old"])

    def any_waits(self) -> bool:
        """Tell whether there is something to send."""
        return bool(self._db.execute(_SQL["select_any"]).get)

    def waiting(self) -> tuple[Notice, ...]:
        """All that is neither sent nor given up, oldest first."""
        return tuple(Notice(*row) for row in self._db.execute(_SQL["select_waiting"]))

    def tried(self, notice_id: int, ts: int) -> None:
        """Count an attempt that is about to be made."""
        with self._db:
            self._db.execute(_SQL["update_tried"], {"id": notice_id, "ts": ts})

    def sent(self, notice_id: int, ts: int) -> None:
        """The command has taken it."""
        with self._db:
            self._db.execute(_SQL["update_sent"], {"id": notice_id, "ts": ts})

    def failed(self, notice_id: int, error: str) -> None:
        """The command has not."""
        with self._db:
            self._db.execute(_SQL["update_failed"], {"id": notice_id, "error": error})

    def gave_up(self, notice_id: int, ts: int) -> None:
        """It is not tried again."""
        with self._db:
            self._db.execute(_SQL["update_gave_up"], {"id": notice_id, "ts": ts})
