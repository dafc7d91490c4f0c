"""Fills the records of model.py from the views: one reader, one instant, no clock of its own.

The zone is needed because captions name hours; `now` ends the day that is drawn.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from llamaagent.report import rows, words
from llamaagent.report.charts import Point, thin
from llamaagent.report.events import EventRow, Events
from llamaagent.report.histories import read_history
from llamaagent.report.lives import live
from llamaagent.report.model import (
    NO_TOTALS,
    Charts,
    GpuPage,
    Holder,
    Latest,
    ProfilePage,
    Report,
    Reservation,
)
from llamaagent.report.periods import choose_periods
from llamaagent.report.scope import WHOLE, Scope
from llamaagent.report.series import (
    DAY_S,
    Window,
    choose_window,
    draw_charts,
    latest,
    read_columns,
    span_window,
)
from llamaagent.report.spans import read_reach
from llamaagent.report.spreads import spread
from llamaagent.sql import statements

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from llamaagent.report.charts import Event
    from llamaagent.report.definitions import Definitions
    from llamaagent.report.series import Columns, Database

    Row = TypeVar("Row", bound=tuple[object, ...])

_DECISIONS, _LAUNCHES, _REQUESTS, _TROUBLE, _CHANGES, _INCIDENTS = 12, 20, 15, 100, 12, 50
_FEED_S = 30 * DAY_S
_ENERGY = (("in the last 24 hours", 300, DAY_S), ("in the last 31 days", 3600, 31 * DAY_S))
_LIVE = frozenset({"loading", "running", "unhealthy", "stopping"})


def read_report(
    db: Database, definitions: Definitions, *, now: int, zone: dt.tzinfo, title: str, scope: Scope = WHOLE
) -> Report:
    """Read all that the pages of the day before `now` show.

    db: open for reading, best in one transaction, so that all pages tell of the same instant.
    """
    return Reader(db, definitions, now, zone, scope).read(title)


class Reader:
    """The statements, and what all of them are bound to."""

    def __init__(
        self, db: Database, definitions: Definitions, now: int, zone: dt.tzinfo, scope: Scope = WHOLE
    ) -> None:
        self.db = db
        self.sql: dict[str, str] = dict(statements("report"))
        self.definitions, self.scope = definitions, scope
        self.now, self.zone = now, zone
        around = {"from_ts": now - DAY_S, "to_ts": now + 1}
        self.sampling = self.rows("read_sampling", rows.Sampling, around)[0]
        period_s = self.sampling.period_s
        self.window = choose_window(now, period_s, self.sampling.first_ts)
        self.day = choose_window(now, period_s)
        self.happened = Events(())
        if scope.since_ts is not None or scope.until_ts is not None:
            end = now if scope.until_ts is None else scope.until_ts
            begin = end - DAY_S if scope.since_ts is None else scope.since_ts
            self.window = self.day = span_window(begin, max(end, begin + 1), period_s)

    def read(self, title: str) -> Report:
        """Everything of the day."""
        span = self.day.bindings()
        found = tuple(
            row for row in self.rows("read_profiles", rows.ProfileRow, span) if self.scope.takes(row)
        )
        names = {row.profile for row in found}
        self.happened = self.events(self.window, None if self.scope.whole else names)
        gpu_rows = self.rows("read_gpus", rows.GpuRow, {})
        system = next(iter(self.rows("read_system", rows.SystemRow, {})), None)
        trouble = self.rows("read_trouble", rows.TroubleRow, {**span, "limit": _TROUBLE})
        totals, before = (
            {
                row.profile: row
                for row in self.rows("read_totals", rows.TotalsRow, bound)
                if row.profile in names
            }
            for bound in (span, self._day_before())
        )
        problems = words.find_problems(found, gpu_rows, system, self.sampling, trouble, self.zone, self.now)
        everything = self.scope.whole
        return Report(
            title=title,
            now=self.now,
            window=self.window,
            sampling=self.sampling,
            problems=problems,
            profiles=self._read_profiles(found, totals),
            gpus=self._read_gpus(gpu_rows),
            system=system,
            system_charts=self.charts("system", self.columns("system").get("", {}), self.happened.of_all()),
            totals=_add_totals(totals),
            decisions=self._ours("read_decisions", rows.DecisionRow, {"limit": _DECISIONS}, names),
            trouble=trouble,
            before=_add_totals(before) if self._covers(self._day_before()) else NO_TOTALS,
            changes=self._ours("read_changes", rows.ChangeRow, {**span, "limit": _CHANGES}, names),
            periods=choose_periods(self.now, self.first_ts()) if everything else (),
            incidents=self._ours("read_incidents", rows.IncidentRow, self._feed(), names),
        )

    def _feed(self) -> dict[str, int]:
        return {"from_ts": self.now - _FEED_S, "limit": _INCIDENTS}

    def _covers(self, span: Mapping[str, int]) -> bool:
        first = self.sampling.first_ts
        return first is not None and first <= span["from_ts"]

    def _day_before(self) -> dict[str, int]:
        span = self.day.to_ts - self.day.from_ts
        return {"from_ts": self.day.from_ts - span, "to_ts": self.day.to_ts - span}

    def _ours(
        self, name: str, kind: type[Row], bindings: Mapping[str, object], names: set[str]
    ) -> tuple[Row, ...]:
        """The rows of a statement; when not all is wanted, only those of the profiles that are."""
        found = self.rows(name, kind, bindings)
        if self.scope.profiles is None and self.scope.project is None:
            return found
        return tuple(row for row in found if getattr(row, "profile", None) in names)

    def first_ts(self) -> int | None:
        """The oldest figure of all, roll-ups included: their first bucket may have been empty but for its end."""
        known = [begin + size for size, (begin, _) in read_reach(self.db).items()]
        if self.sampling.first_ts is not None:
            known.append(self.sampling.first_ts)
        return min(known, default=None)

    def _read_profiles(
        self, found: tuple[rows.ProfileRow, ...], totals: Mapping[str, rows.TotalsRow]
    ) -> tuple[ProfilePage, ...]:
        columns = self.columns("profile")
        day = self.day.bindings()
        distributions, histograms = spread(self.db.execute(self.sql["read_speeds"], day))
        lives = self.lives(self.window)
        pages = []
        for row in found:
            name = row.profile
            page = self._read_profile(row, columns.get(name, {}))
            pages.append(
                page._replace(
                    totals=totals.get(name, NO_TOTALS),
                    distributions=distributions.get(name, ()),
                    histograms=histograms.get(name, ()),
                    life=live(lives.get(name, ()), self.window, self.now),
                )
            )
        return tuple(pages)

    def lives(self, window: Window) -> dict[str, list[rows.LifeRow]]:
        """The launches that were alive in a window, by profile."""
        return _by_profile(self.rows("read_life", rows.LifeRow, window.bindings()))

    def _read_profile(self, row: rows.ProfileRow, columns: Columns) -> ProfilePage:
        name = {"profile": row.profile}
        spark = columns.get("generated_tokens_per_s", ())
        if not any(point.mean for point in spark):  # an embedding server generates nothing
            spark = columns.get("prompt_tokens_per_s", ())
        return ProfilePage(
            row=row,
            state=words.describe_state(row, self.zone, self.now),
            latest=Latest(*(latest(columns, field, self.window) for field in Latest._fields))
            if row.status in _LIVE
            else Latest(),
            argv=_strings(row.argv),
            gpus=_strings(row.gpus),
            charts=self.charts("profile", columns | said_memory(row), self.happened.of_profile(row.profile)),
            launches=self.rows("read_launches", rows.LaunchRow, {**name, "limit": _LAUNCHES}),
            decisions=self.rows("read_profile_decisions", rows.DecisionRow, {**name, "limit": _DECISIONS}),
            requests=self.rows("read_requests", rows.RequestRow, {**name, "limit": _REQUESTS}),
            totals=NO_TOTALS,
            distributions=(),
            spark=thin(spark, self.window.from_ts, self.window.to_ts),
            history=read_history(self, row),
        )

    def events(self, window: Window, names: set[str] | None = None) -> Events:
        """What is marked on charts of a window. names: of these profiles only."""
        found = self.rows("read_events", EventRow, window.bindings())
        return Events([row for row in found if names is None or row.profile in names])

    def _read_gpus(self, found: tuple[rows.GpuRow, ...]) -> tuple[GpuPage, ...]:
        columns = self.columns("gpu")
        facts = {row.uuid: row for row in self.rows("read_card_facts", rows.CardRow, {})}
        energy = [(text, self._energy(resolution_s, span_s)) for text, resolution_s, span_s in _ENERGY]
        pages = []
        for row in found:
            drawn = tuple((text, by_card.get(row.uuid)) for text, by_card in energy)
            page = self._read_gpu(row, columns.get(row.uuid, {}), facts[row.uuid])
            pages.append(page._replace(energy=drawn))
        return tuple(pages)

    def _energy(self, resolution_s: int, span_s: int) -> dict[str, float]:
        end = self.now // resolution_s * resolution_s
        span = {"resolution_s": resolution_s, "from_ts": end - span_s, "to_ts": end}
        return {row.uuid: row.kwh for row in self.rows("read_energy", rows.EnergyRow, span)}

    def _read_gpu(self, row: rows.GpuRow, columns: Columns, facts: rows.CardRow) -> GpuPage:
        holders = (
            Holder(h.get("pid"), h.get("memory_mib"), h.get("user"), h.get("command"), h.get("profile"))
            for h in _objects(row.holders)
        )
        reservations = (
            Reservation(str(r.get("kind")), str(r.get("holder")), r.get("memory_mib"))
            for r in _objects(row.reservations)
        )
        return GpuPage(
            row,
            tuple(sorted(holders, key=lambda holder: -(holder.memory_mib or 0))),
            tuple(reservations),
            latest(columns, "utilization_percent", self.window),
            latest(columns, "memory_used_mib", self.window),
            latest(columns, "temperature_celsius", self.window),
            latest(columns, "power_watts", self.window),
            self.charts("gpu", columns, self.happened.of_card(row.uuid)),
            spark=thin(columns.get("utilization_percent", ()), self.window.from_ts, self.window.to_ts),
            facts=facts,
            throttle=_strings(facts.throttle),
            xids=tuple(
                (int(x["ts"]), int(x["xid"]), str(x.get("message") or "")) for x in _objects(facts.xids)
            ),
        )

    def columns(self, page: str, window: Window | None = None) -> dict[str, Columns]:
        """All buckets of a kind of page, by subject."""
        return read_columns(self.db, self.definitions, page, self.sql, window or self.window, self.now)

    def charts(
        self, page: str, columns: Columns, events: Sequence[Event] = (), window: Window | None = None
    ) -> Charts:
        """The charts of one page."""
        return draw_charts(self.definitions, page, columns, window or self.window, self.zone, events)

    def rows(self, name: str, kind: type[Row], bindings: Mapping[str, object]) -> tuple[Row, ...]:
        """The rows of a statement as records."""
        return tuple(kind(*row) for row in self.db.execute(self.sql[name], bindings))


def said_memory(row: rows.ProfileRow) -> Columns:
    """What is declared and estimated of the memory of cards, as columns: they are drawn as lines."""
    said = {"declared_mib": row.gpu_memory_declared_mib, "estimated_mib": row.gpu_memory_estimated_mib}
    return {name: (Point(0, value, value, value),) for name, value in said.items() if value}


def _by_profile(found: Iterable[Any]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = {}
    for row in found:
        grouped.setdefault(row.profile, []).append(row)
    return grouped


def _add_totals(totals: Mapping[str, rows.TotalsRow]) -> rows.TotalsRow:
    columns = zip(*(row[1:] for row in totals.values()), strict=True)
    return rows.TotalsRow("", *(sum(column) for column in columns)) if totals else NO_TOTALS


def _strings(text: str | None) -> tuple[str, ...]:
    values = json.loads(text or "[]")
    return tuple(str(value) for value in values) if isinstance(values, list) else ()


def _objects(text: str | None) -> list[dict[str, Any]]:
    values = json.loads(text or "[]")
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
