"""The decision journal and the health of instances: a row when something changes, else the last row is counted."""

from __future__ import annotations

import json

from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from apsw import Connection

    from llamaagent.domain.plan import Action, Arithmetic

_SQL = statements("instances")


class Journal:
    """`decisions` and `health_checks` of one open database."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def decide(self, action: Action, instance_id: int | None, ts: int) -> bool:
        """Write a decision, or count it when nothing about it changed (False). The caller holds a transaction."""
        figures = _figures(action.arithmetic)
        if action.kind in {"hold", "wait", "guard", "stuck"}:
            for row in self._db.execute(_SQL["select_decision"], {"profile": action.profile}).fetchall():
                if (row[1], row[2]) == (action.kind, action.reason):
                    self._db.execute(_SQL["update_decision"], {"id": row[0], "ts": ts, "arithmetic": figures})
                    return False
        given = {"profile": action.profile, "instance_id": instance_id, "action": action.kind}
        given |= {"reason": action.reason, "detail": action.detail, "arithmetic": figures, "ts": ts}
        self._db.execute(_SQL["insert_decision"], given)
        return True

    def note(self, action: Action, ts: int) -> bool:
        """A decision that changes no row; False when it was only counted."""
        news = False
        with self._db:
            news = self.decide(action, action.instance_id, ts)
        return news  # noqa: RET504 - for mypy the block above may end an exception

    def newest_decision(self) -> int:
        """The number of the decision written last, 0 when there is none."""
        return int(self._db.execute(_SQL["select_newest_decision"]).get or 0)

    def bad_ends(self, after: int) -> tuple[tuple[str, str, str | None, bool], ...]:
        """The last bad end of each profile, among those written after this decision.

        Profile, reason, detail, and whether that launch was ever healthy.
        """
        ends = self._db.execute(_SQL["select_bad_ends"], {"after": after})
        return tuple((row[0], row[1], row[2], bool(row[3])) for row in ends)

    def health(
        self,
        instance_id: int,
        status: str,
        http_status: int | None,
        latency_ms: int | None,
        ts: int,
        detail: str | None = None,
    ) -> None:
        """A row when the answer changes, else count the last one. The caller holds a transaction."""
        given: dict[str, object] = {"http_status": http_status, "latency_ms": latency_ms, "detail": detail}
        given["ts"] = ts
        for row in self._db.execute(_SQL["select_health"], {"instance_id": instance_id}).fetchall():
            if row[1] == status:
                self._db.execute(_SQL["update_health"], {**given, "id": row[0]})
                return
        given |= {"instance_id": instance_id, "status": status}
        self._db.execute(_SQL["insert_health"], given)


def _figures(arithmetic: Iterable[Arithmetic]) -> str | None:
    figures = {figure.name: figure.value for figure in arithmetic if figure.value is not None}
    return json.dumps(figures) if figures else None
