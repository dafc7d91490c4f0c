"""Limits of projects, and the rows from which their use is reckoned."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain.cardtime import Power, Span
from llamaagent.domain.quota import Limit
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from apsw import Connection

_SQL = statements("quotas")


class Running(NamedTuple):
    """An instance that counts, with its limits or claims."""

    instance_id: int
    profile: str
    cpu_milli: int
    memory_mib: int


class HeldCard(NamedTuple):
    """A card of which somebody holds something."""

    gpu_id: int
    number: int | None
    uuid: str
    who: str


class QuotaStore:
    """Quotas of one open database. Methods that write expect the caller's transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def overrides(self, project: str | None = None) -> tuple[Limit, ...]:
        """What operators set, lapsed ones included; of all projects when none is named."""
        return tuple(Limit(*row) for row in self._db.execute(_SQL["select_overrides"], {"project": project}))

    def keep_settings(self, limits: Iterable[Limit], ts: int) -> None:
        """Make the rows of origin `settings` those of the file."""
        self._db.execute(_SQL["delete_settings"])
        for limit in limits:
            self._db.execute(_SQL["insert_settings"], {**limit._asdict(), "ts": ts})

    def put(self, limit: Limit, user_id: int, ts: int) -> None:
        """Store an override, in place of the one before it."""
        self._db.execute(_SQL["upsert_override"], {**limit._asdict(), "user_id": user_id, "ts": ts})

    def drop(self, project: str, resource: str) -> bool:
        """Remove an override; False when there was none."""
        given = {"project": project, "resource": resource}
        return bool(self._db.execute(_SQL["delete_override"], given).fetchall())

    def running(self, project: str, leaving: int | None = None) -> tuple[Running, ...]:
        """The instances that count. leaving: one that is about to go, which does not."""
        given = {"project": project, "leaving": leaving}
        return tuple(Running(*row) for row in self._db.execute(_SQL["select_running"], given))

    def cards(self, project: str, leaving: int | None = None) -> tuple[HeldCard, ...]:
        """The cards of which the project holds something, a row for each card and holder."""
        given = {"project": project, "leaving": leaving}
        return tuple(HeldCard(*row) for row in self._db.execute(_SQL["select_cards"], given))

    def card_time(self, project: str | None, since: int, now: int) -> tuple[Span, ...]:
        """Reservations since a time, cut to it; of every project when none is named."""
        given: dict[str, int | str | None] = {"since": since, "now": now}
        if project is None:
            return tuple(Span(*row) for row in self._db.execute(_SQL["select_all_card_time"], given))
        given["project"] = project
        return tuple(Span(*row) for row in self._db.execute(_SQL["select_card_time"], given))

    def power(self, since: int) -> tuple[Power, ...]:
        """Every reading of every card since a time, in its order."""
        return tuple(Power(*row) for row in self._db.execute(_SQL["select_power"], {"since": since}))

    def tokens(self, project: str, since: int) -> dict[str, int]:
        """Tokens by profile since a time."""
        return dict(self._db.execute(_SQL["select_tokens"], {"project": project, "since": since}))

    def projects(self) -> tuple[str, ...]:
        """Every project that is known now."""
        return tuple(row[0] for row in self._db.execute(_SQL["select_projects"]))
