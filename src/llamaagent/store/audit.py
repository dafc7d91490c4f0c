"""Who changed what by which command: rows of `users` and `audit_log`."""

from __future__ import annotations

import json

from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from apsw import Connection

    from llamaagent.domain.actor import Actor

_SQL = statements("overrides")


class AuditStore:
    """The audit of one open database. Methods that write expect the caller's transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def know(self, by: Actor, ts: int) -> int:
        """The row of `users` of who gives a command, made or brought up to date; its id."""
        given = {"username": by.name, "uid": by.uid, "ts": ts}
        return int(self._db.execute(_SQL["upsert_user"], given).get)

    def note(
        self,
        by: Actor,
        action: str,
        resource: tuple[str, str | None],
        ts: int,
        details: Mapping[str, object] | None = None,
    ) -> int:
        """Record a command. resource: type and id; details without a value are left out. Gives the user's id."""
        user_id = self.know(by, ts)
        told = {key: value for key, value in (details or {}).items() if value is not None}
        if by.sudo_uid is not None:
            told["sudo_uid"] = by.sudo_uid
        given = {
            "user_id": user_id,
            "action": action,
            "ts": ts,
            "details": json.dumps(told) if told else None,
        }
        given |= {"resource_type": resource[0], "resource_id": resource[1]}
        self._db.execute(_SQL["insert_audit"], given)
        return user_id
