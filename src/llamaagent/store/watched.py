"""What the health of a launch remembers from pass to pass: a probe that is due, a stall, our own requests."""

from __future__ import annotations

from llamaagent.domain.probe import MARKS, Mark, Watched
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from apsw import Connection

    from llamaagent.domain.plan import Action

_SQL = statements("health")


class WatchedStore:
    """The supervision columns of `instances` of one open database."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def all(self) -> dict[int, Watched]:
        """Of every live launch that has something to remember, by instance id."""
        return {row[0]: _watched(row) for row in self._db.execute(_SQL["select_watched"])}

    def one(self, instance_id: int) -> Watched:
        """Of one launch."""
        for row in self._db.execute(_SQL["select_watched_one"], {"id": instance_id}):
            return _watched(row)
        return Watched(instance_id)

    def keep(self, watched: Watched) -> None:
        """Store it. The caller holds the transaction."""
        given = {"id": watched.instance_id, "probe_due": watched.due, "probe_tokens": watched.tokens}
        given |= {"stalled_boottime_s": watched.stalled_boottime_s, "probe_state": _state(watched)}
        self._db.execute(_SQL["update_watched"], given)

    def due(self, instance_id: int, why: str) -> None:
        """A token is to be asked for, unless one is due already."""
        self._db.execute(_SQL["update_due"], {"id": instance_id, "probe_due": why})

    def progress(self, instance_id: int) -> None:
        """Its log shows that it gets on: no stall."""
        self._db.execute(_SQL["update_progress"], {"id": instance_id})

    def unkillable(self, instance_id: int, action: Action) -> None:
        """A process that outlived SIGKILL. The caller holds the transaction."""
        given = {"id": instance_id, "reason": action.reason, "detail": action.detail}
        self._db.execute(_SQL["update_unkillable"], {**given, "next_signal_ts": action.due_ts})


def _state(watched: Watched) -> str | None:
    if watched.used is None and not watched.marks:
        return None
    import json

    return json.dumps({"used": watched.used, "marks": watched.marks[-MARKS:]}, separators=(",", ":"))


def _watched(row: tuple[Any, ...]) -> Watched:
    used: int | None = None
    marks: tuple[Mark, ...] = ()
    if row[4] is not None:
        import json

        kept = json.loads(row[4])
        used, marks = kept["used"], tuple(Mark(*fields) for fields in kept["marks"])
    return Watched(row[0], row[1], row[2], row[3], used, marks)
