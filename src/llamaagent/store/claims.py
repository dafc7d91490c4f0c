"""What llamaagent asked itself: claims left by the asker, joined to the rows that the servers' logs give.

One row for each generation, never two. The log and the claim come in either order, and either may never come: a claim
that finds no row in two passes becomes one, and a row of the log that comes later still takes the place of such a row.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from apsw import Connection, SQLiteValue

_SQL = statements("generations")
_PASSES = 2


class Told(NamedTuple):
    """What the asker knows of one text; the columns of `generation_claims`."""

    prompt_tokens: int | None
    cached_tokens: int | None
    generated_tokens: int | None
    prompt_time_ms: float | None
    generation_time_ms: float | None
    total_time_ms: float
    prompt_tokens_per_second: float | None
    tokens_per_second: float | None
    first_token_ms: float | None
    finish_reason: str
    temperature: float | None = None
    max_tokens: int | None = None
    cache_key: str | None = None
    session_id: str | None = None


class ClaimStore:
    """Claims of one open database. The caller holds the transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def leave(self, instance_id: int, told: Told, ts: int) -> None:
        """Leave a claim for the next pass. Times become what the log prints of the same numbers, to be compared."""
        told = told._replace(
            prompt_time_ms=_printed(told.prompt_time_ms), generation_time_ms=_printed(told.generation_time_ms)
        )
        self._db.execute(_SQL["insert_claim"], {**told._asdict(), "instance_id": instance_id, "ts": ts})

    def answered(
        self, told: Told, profile: str, project: str, model_path: str, ts: int, *, hit: bool
    ) -> None:
        """A row at once: an answer from the cache (hit), or from a server of which the database has no launch."""
        tokens = (told.prompt_tokens, told.cached_tokens, told.generated_tokens)
        known = [n for n in tokens if n is not None]
        if hit:  # nothing was computed, so nothing was fast or slow
            told = told._replace(
                prompt_time_ms=None,
                generation_time_ms=None,
                prompt_tokens_per_second=None,
                tokens_per_second=None,
                first_token_ms=None,
            )
        given = {**told._asdict(), "profile": profile, "project": project, "model_path": model_path, "ts": ts}
        given |= {"total_tokens": sum(known) if known else None, "cache_hit": int(hit)}
        self._db.execute(_SQL["insert_answered"], given)

    def meet(self, given: Mapping[str, SQLiteValue]) -> None:
        """A row has just come from a log (given: its columns): join the claim that it answers to."""
        name = "select_untimed_claim" if given["prompt_time_ms"] is None else "select_claim"
        found = self._db.execute(_SQL[name], given).fetchone()
        if found is None and name == "select_claim":
            found = self._db.execute(_SQL["select_untimed_claim"], given).fetchone()
        if found is not None:
            self._settle(int(str(found[0])), given)

    def come_late(self, given: Mapping[str, SQLiteValue]) -> bool:
        """Whether this request of a log is a row already, made of its claim; that row now has the log's names too."""
        before = self._db.total_changes()
        self._db.execute(_SQL["name_claimed"], given)
        return self._db.total_changes() > before

    def end_pass(self) -> dict[int, int]:
        """Join claims that came after their rows; one that finds none twice becomes a row: how many, by launch."""
        made: dict[int, int] = {}
        for found in self._db.execute(_SQL["select_claims"]).fetchall():
            claim, instance, passes = (int(str(value)) for value in found)
            row = self._db.execute(_SQL["select_early_row"], {"id": claim}).fetchone()
            if row is not None:
                self._settle(claim, {"instance_id": instance, "task_id": row[0], "slot_id": row[1]})
            elif passes + 1 < _PASSES:
                self._db.execute(_SQL["count_pass"], {"id": claim})
            else:
                self._db.execute(_SQL["insert_claimed"], {"id": claim})
                self._db.execute(_SQL["delete_claim"], {"id": claim})
                made[instance] = made.get(instance, 0) + 1
        return made

    def _settle(self, claim: int, row: Mapping[str, SQLiteValue]) -> None:
        self._db.execute(_SQL["join_claim"], {**row, "id": claim})
        self._db.execute(_SQL["delete_claim"], {"id": claim})


def _printed(ms: float | None) -> float | None:
    """A time as the log's %.2f gives it."""
    return None if ms is None else float(f"{ms:.2f}")
