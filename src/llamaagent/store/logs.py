"""What the database keeps of servers' logs: the last lines of ended launches, and how much was given back."""

from __future__ import annotations

import json

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements
from llamaagent.store.samples import CUT_KEY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from apsw import Connection

_SQL = statements("logs")
_SAMPLES = statements("samples")


class CutIntent(NamedTuple):
    """A log is about to be cut, or was. mark: the bytes before `offset_bytes` in it, before the cut."""

    id: int
    offset_bytes: int
    mark: bytes


class LogStore:
    """Logs of servers in one open database. Methods that write expect the caller's transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def freed(self, instance_id: int) -> int:
        """Bytes given back so far."""
        return int(self._db.execute(_SQL["select_freed"], {"id": instance_id}).get or 0)

    def set_freed(self, instance_id: int, freed_bytes: int) -> None:
        """Note how many bytes were given back."""
        self._db.execute(_SQL["update_freed"], {"id": instance_id, "freed_bytes": freed_bytes})

    def keep_tail(self, instance_id: int, lines: str, ts: int) -> None:
        """Store the last lines of a launch that has ended."""
        self._db.execute(_SQL["upsert_tail"], {"id": instance_id, "lines": lines, "ts": ts})

    def tail(self, instance_id: int) -> str | None:
        """The last lines of a launch that has ended, None when none were kept."""
        for row in self._db.execute(_SQL["select_tail"], {"id": instance_id}).fetchall():
            return str(row[0])
        return None

    def environment(self, instance_id: int) -> dict[str, str]:
        """What a launch was given, secrets as references; empty when it is not known."""
        text = self._db.execute(_SQL["select_environment"], {"id": instance_id}).get
        found: dict[str, str] = json.loads(str(text)) if text else {}
        return found

    def intent(self) -> CutIntent | None:
        """The cut that was begun and may not have been finished."""
        for row in self._db.execute(_SAMPLES["get_metadata"], {"key": CUT_KEY}).fetchall():
            kept = json.loads(str(row[0]))
            return CutIntent(kept["id"], kept["offset"], bytes.fromhex(kept["mark"]))
        return None

    def intend(self, intent: CutIntent, ts: int) -> None:
        """Note that a log is about to be cut."""
        text = json.dumps({"id": intent.id, "offset": intent.offset_bytes, "mark": intent.mark.hex()})
        self._db.execute(_SAMPLES["set_metadata"], {"key": CUT_KEY, "value": text, "ts": ts})

    def forget_intent(self) -> None:
        """The cut is done, or will not be."""
        self._db.execute(_SAMPLES["delete_metadata"], {"key": CUT_KEY})
