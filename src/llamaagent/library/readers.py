"""`store.instances`, `metrics`, `stats`, `gpus`, `quotas`: what the agent records, as dicts by column of the views."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llamaagent.library.when import parsed, seconds
from llamaagent.sql import statements
from llamaagent.store.read import select

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.base.clock import Clock
    from llamaagent.library.link import Link
    from llamaagent.library.when import When
    from llamaagent.store.types import Connection

_END = 1 << 62
_RUNNING = frozenset({"loading", "running", "unhealthy", "stopping"})


class _Reader:
    """A link and how to ask through it."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def _rows(
        self, name: str, given: Mapping[str, Any] | None = None, *columns: str, area: str = "library"
    ) -> list[dict[str, Any]]:
        return parsed(self._link.read(lambda db: select(db, name, given, area).rows, ()), *columns)


class InstancesRepository(_Reader):
    """Profiles with their newest launch, and every launch there was."""

    def get_all(self) -> list[dict[str, Any]]:
        """A row for each profile: status, reason, url, pid, gpus, memory (`llamaagent ps -a`)."""
        return self._rows("list_profiles", None, "gpus", "labels", area="commands")

    def get_active(self) -> list[dict[str, Any]]:
        """Those that load, run or are being stopped."""
        return [row for row in self.get_all() if row["status"] in _RUNNING]

    def get(self, profile: str) -> dict[str, Any] | None:
        """The row of a profile; None when there is none."""
        return next((row for row in self.get_all() if row["profile"] == profile), None)

    def get_history(
        self, profile: str | None = None, *, since: When = 0, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Launches, newest first (`llamaagent history`)."""
        given = {"profile": profile, "since": seconds(since), "limit": limit}
        return self._rows("list_launches", given, "gpus")


class MetricsRepository(_Reader):
    """The machine over time: the view `metrics`, a row for each pass and for each `save`."""

    def __init__(self, link: Link, clock: Clock, path: str) -> None:
        super().__init__(link)
        self._clock, self._path = clock, path

    def save(self, metrics: Mapping[str, float | None]) -> bool:
        """Store what a program measured now, by the columns of the view; the agent's passes do so by themselves.

        False when it could not be stored, or this second has a row already. Raises BadInputError for another key, or
        what is no number.
        """
        from llamaagent.library.recording import store_metrics

        folder = os.path.dirname(self._path) or "."
        return self._link.write(lambda db: store_metrics(db, metrics, folder, self._clock.now()), False)

    def prune(self, max_records: int = 10_000) -> int:
        """Delete all but the newest rows, which stay in the roll-ups; how many went. Passes do so by `retention`."""
        from llamaagent.domain.settings import Settings
        from llamaagent.retain.byhand import Wanted, cut_all, cuts
        from llamaagent.retain.rollup import roll_up

        def act(db: Connection) -> int:
            roll_up(db, self._clock)
            now = self._clock.now()
            found = cuts(db, Settings(), now, Wanted(keep=max(0, max_records)))
            wanted = [cut for cut in found if cut.table in {"system_samples", "gpu_samples"}]
            return cut_all(db, wanted, now)["system_samples"]

        return self._link.work(act, 0)

    def get_history(
        self, limit: int = 100, *, since: When = 0, until: When | None = None
    ) -> list[dict[str, Any]]:
        """Rows, newest first."""
        given = {"since": seconds(since), "until": _END if until is None else seconds(until), "limit": limit}
        return self._rows("list_metrics", given)

    def get_latest(self) -> dict[str, Any] | None:
        """The newest row; None when there is none."""
        return next(iter(self.get_history(1)), None)


class StatsRepository(_Reader):
    """Finished requests, in figures and one by one. model: a profile, a model's name or its path."""

    def __init__(self, link: Link, clock: Clock) -> None:
        super().__init__(link)
        self._clock = clock

    def record_generation(
        self,
        model_path: str,
        response: object = None,
        config: object = None,
        cache_hit: bool = False,
        **figures: Any,
    ) -> bool:
        """Store a generation that the agent cannot see; False when it could not be stored.

        Requests to the agent's servers are counted from their logs already. response: llama-server's JSON, or an object
        with `prompt_tokens`, `generated_tokens`, `generation_time_ms`, and so on (also below `stats`); config: one with
        `temperature`, `max_tokens`; figures: the same by name. Raises BadInputError for one that is not known.
        """
        from llamaagent.library.recording import generation_row

        now = self._clock.now()
        row = generation_row(model_path, response, config, figures, cache_hit=cache_hit, now=now)
        sql = statements("library").insert_generation
        return self._link.write(lambda db: db.execute(sql, row) is not None, False)

    def get_summary(
        self, model: str | None = None, since: When = 0, until: When | None = None
    ) -> dict[str, Any]:
        """total_generations, total_tokens, avg_tokens_per_second, cache_hit_rate (0 to 1), by_model, by_day."""
        given = {
            "model": model,
            "since": seconds(since),
            "until": _END if until is None else seconds(until),
        }
        by = {word: self._rows("list_summary", {**given, "by": word}) for word in ("model", "day", "all")}
        whole = by["all"][0] if by["all"] else {}
        return {
            "total_generations": whole.get("generations", 0),
            "total_tokens": whole.get("tokens", 0),
            "avg_tokens_per_second": whole.get("tokens_per_second"),
            "cache_hit_rate": whole.get("cache_hit_rate"),
            "by_model": {row.pop("name"): row for row in by["model"]},
            "by_day": [{"day": row.pop("name"), **row} for row in by["day"]],
        }

    def get_history(
        self,
        limit: int = 100,
        offset: int = 0,
        model: str | None = None,
        *,
        since: When = 0,
        before: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Requests, newest first. before: the last row of the page before, which is faster than an offset."""
        place = (_END, 0) if before is None else (int(before["ts"]), int(before["id"]))
        given = {"limit": limit, "offset": offset, "model": model, "since": seconds(since)}
        return self._rows("list_generations", {**given, "before_ts": place[0], "before_id": place[1]}, "gpus")


class GpusRepository(_Reader):
    """Cards as the last pass saw them."""

    def get_all(self) -> list[dict[str, Any]]:
        """A row for each card (`llamaagent gpus`)."""
        return self._rows("list_gpus", None, "holders", "reservations", "xids", area="commands")

    def get(self, card: str | int) -> dict[str, Any] | None:
        """The card with this uuid or index; None when there is none."""
        return next((row for row in self.get_all() if card in {row["uuid"], row["idx"]}), None)


class QuotasRepository(_Reader):
    """Limits of projects, and what runs now beside them."""

    def get_all(self, project: str | None = None) -> list[dict[str, Any]]:
        """Limits in force: project, resource, amount, window_s, origin, until_ts."""
        return self._rows("list_quotas", {"project": project})

    def get_use(self) -> list[dict[str, Any]]:
        """A row for each project: limits beside what runs (the view `project_quotas`)."""
        return self._rows("list_quota_use")
