"""Made-up history, written by SQL. The file says of itself that it is simulated."""

from __future__ import annotations

import json

from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from apsw import Connection

MARK = "simulated"  # key in `metadata`
_SQL = statements("simulation")
_SAMPLES = statements("samples")


class Simulation:
    """A database that is filled with what never happened. Methods expect the caller's transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def holds_real_rows(self) -> bool:
        """Whether anything was ever recorded here."""
        row = self._db.execute(_SQL["count_rows"]).fetchone()
        return row is not None and bool(row[0])

    def mark(self, now: int, **facts: int) -> None:
        """Say that all of it is simulated, and how."""
        given = {"key": MARK, "value": json.dumps(facts), "ts": now}
        self._db.execute(_SAMPLES["set_metadata"], given)

    def found(self, from_ts: int, to_ts: int, instances: int, cards: int) -> None:
        """The cards and the launches of the whole time."""
        span = {"from_ts": from_ts, "to_ts": to_ts}
        self._db.execute(_SQL["insert_gpu_cards"], {**span, "count": cards})
        self._db.execute(_SQL["insert_launches"], {**span, "count": instances, "cards": cards})
        self._db.execute(_SQL["insert_decisions"], span)

    def measure(self, from_ts: int, to_ts: int, step_s: int, instances: int, first_ts: int) -> None:
        """Samples of the machine, its cards and the launches that live then, one every step_s seconds."""
        span = {"from_ts": from_ts, "to_ts": to_ts, "step_s": step_s}
        self._db.execute(_SQL["insert_system"], {**span, "count": instances, "first_ts": first_ts})
        self._db.execute(_SQL["insert_gpu"], span)
        self._db.execute(_SQL["insert_instance"], span)

    def answer(self, from_ts: int, to_ts: int, step_s: int) -> None:
        """A request of every launch each step_s seconds."""
        self._db.execute(_SQL["insert_generations"], {"from_ts": from_ts, "to_ts": to_ts, "step_s": step_s})

    def say(self, from_ts: int, to_ts: int, step_s: int) -> None:
        """A line of the agent's own log each step_s seconds."""
        self._db.execute(_SQL["insert_logs"], {"from_ts": from_ts, "to_ts": to_ts, "step_s": step_s})
