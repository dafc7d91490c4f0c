"""What the pages say, read from views alone: plain records, no connection, no clock, no HTML.

The zone is needed because captions name hours; `now` ends the day that is drawn.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from llamaagent.report import rows, words
from llamaagent.report.charts import Chart, Event
from llamaagent.report.series import ChartSpec, Window, choose_window, draw_charts, latest, read_columns
from llamaagent.sql import statements

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from llamaagent.report.series import Columns, Database, Definitions

    Row = TypeVar("Row", bound=tuple[object, ...])

Charts = tuple[tuple[ChartSpec, Chart], ...]

_DECISIONS, _LAUNCHES, _REQUESTS, _TROUBLE = 12, 20, 15, 100
_STILL = rows.TotalsRow("", 0, 0, 0, 0, 0)


class Latest(NamedTuple):
    """The newest bucket of a live profile; None where nothing fresh was measured."""

    cpu_percent: float | None = None
    memory_mib: float | None = None
    gpu_memory_mib: float | None = None
    requests_processing: float | None = None


class ProfilePage(NamedTuple):
    """One profile. argv: the command line of its newest launch."""

    row: rows.ProfileRow
    state: words.State
    latest: Latest
    argv: tuple[str, ...]
    gpus: tuple[str, ...]
    charts: Charts
    launches: tuple[rows.LaunchRow, ...]
    decisions: tuple[rows.DecisionRow, ...]
    requests: tuple[rows.RequestRow, ...]
    totals: rows.TotalsRow
    distributions: tuple[rows.Distribution, ...]

    @property
    def speed(self) -> float | None:
        """Tokens generated a second by the median request of the day."""
        return next((figure.p50 for figure in self.distributions if figure.figure == 1), None)


class Holder(NamedTuple):
    """A process that holds memory of a card; profile None for a stranger's."""

    pid: int | None
    memory_mib: int | None
    user: str | None
    command: str | None
    profile: str | None


class Reservation(NamedTuple):
    """What is held back on a card; memory None with a whole card."""

    kind: str
    holder: str
    memory_mib: int | None


class GpuPage(NamedTuple):
    """One card, its newest figures (None when they are not fresh), its charts."""

    row: rows.GpuRow
    holders: tuple[Holder, ...]
    reservations: tuple[Reservation, ...]
    use_percent: float | None
    memory_mib: float | None
    temperature_celsius: float | None
    power_watts: float | None
    charts: Charts


class Report(NamedTuple):
    """Everything that the pages show."""

    title: str
    now: int
    window: Window
    sampling: rows.Sampling
    problems: tuple[words.Problem, ...]
    profiles: tuple[ProfilePage, ...]
    gpus: tuple[GpuPage, ...]
    system: rows.SystemRow | None
    system_charts: Charts
    totals: rows.TotalsRow
    decisions: tuple[rows.DecisionRow, ...]
    trouble: tuple[rows.TroubleRow, ...]


def read_report(db: Database, definitions: Definitions, *, now: int, zone: dt.tzinfo, title: str) -> Report:
    """Read all that the pages of the day before `now` show.

    db: open for reading, best in one transaction, so that all pages tell of the same instant.
    """
    return _Reader(db, definitions, now, zone).read(title)


class _Reader:
    """The statements, and what all of them are bound to."""

    def __init__(self, db: Database, definitions: Definitions, now: int, zone: dt.tzinfo) -> None:
        self._db = db
        self._sql: Mapping[str, str] = statements("report")
        self._definitions = definitions
        self._now, self._zone = now, zone
        around = {"from_ts": now - 86400, "to_ts": now + 1}
        self._sampling = self._rows("read_sampling", rows.Sampling, around)[0]
        self._window = choose_window(now, self._sampling.period_s, self._sampling.first_ts)
        self._day = choose_window(now, self._sampling.period_s)

    def read(self, title: str) -> Report:
        span = self._day.bindings()
        profile_rows = self._rows("read_profiles", rows.ProfileRow, span)
        gpu_rows = self._rows("read_gpus", rows.GpuRow, {})
        system = next(iter(self._rows("read_system", rows.SystemRow, {})), None)
        trouble = self._rows("read_trouble", rows.TroubleRow, {**span, "limit": _TROUBLE})
        totals = {row.profile: row for row in self._rows("read_totals", rows.TotalsRow, span)}
        problems = words.find_problems(
            profile_rows, gpu_rows, system, self._sampling, trouble, self._zone, self._now
        )
        return Report(
            title=title,
            now=self._now,
            window=self._window,
            sampling=self._sampling,
            problems=problems,
            profiles=self._read_profiles(profile_rows, totals),
            gpus=self._read_gpus(gpu_rows),
            system=system,
            system_charts=self._charts("system", self._columns("system").get("", {})),
            totals=_add_totals(totals),
            decisions=self._rows("read_decisions", rows.DecisionRow, {"limit": _DECISIONS}),
            trouble=trouble,
        )

    def _read_profiles(
        self, found: tuple[rows.ProfileRow, ...], totals: Mapping[str, rows.TotalsRow]
    ) -> tuple[ProfilePage, ...]:
        columns = self._columns("profile")
        spread: dict[str, list[rows.Distribution]] = {}
        for figure in self._rows("read_distributions", rows.Distribution, self._day.bindings()):
            spread.setdefault(figure.profile, []).append(figure)
        pages = []
        for row in found:
            name = row.profile
            pages.append(
                self._read_profile(
                    row, columns.get(name, {}), totals.get(name, _STILL), tuple(spread.get(name, ()))
                )
            )
        return tuple(pages)

    def _read_profile(
        self,
        row: rows.ProfileRow,
        columns: Columns,
        totals: rows.TotalsRow,
        distributions: tuple[rows.Distribution, ...],
    ) -> ProfilePage:
        name = {"profile": row.profile}
        events = self._rows("read_events", Event, {**name, **self._window.bindings()})
        live = row.status in {"loading", "running", "unhealthy", "stopping"}
        return ProfilePage(
            row=row,
            state=words.describe_state(row, self._zone, self._now),
            latest=Latest(*(latest(columns, field, self._window) for field in Latest._fields))
            if live
            else Latest(),
            argv=_strings(row.argv),
            gpus=_strings(row.gpus),
            charts=self._charts("profile", columns, events),
            launches=self._rows("read_launches", rows.LaunchRow, {**name, "limit": _LAUNCHES}),
            decisions=self._rows("read_profile_decisions", rows.DecisionRow, {**name, "limit": _DECISIONS}),
            requests=self._rows("read_requests", rows.RequestRow, {**name, "limit": _REQUESTS}),
            totals=totals,
            distributions=distributions,
        )

    def _read_gpus(self, found: tuple[rows.GpuRow, ...]) -> tuple[GpuPage, ...]:
        columns = self._columns("gpu")
        return tuple(self._read_gpu(row, columns.get(row.uuid, {})) for row in found)

    def _read_gpu(self, row: rows.GpuRow, columns: Columns) -> GpuPage:
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
            latest(columns, "utilization_percent", self._window),
            latest(columns, "memory_used_mib", self._window),
            latest(columns, "temperature_celsius", self._window),
            latest(columns, "power_watts", self._window),
            self._charts("gpu", columns),
        )

    def _columns(self, page: str) -> dict[str, Columns]:
        return read_columns(self._db, self._definitions, page, self._sql, self._window)

    def _charts(self, page: str, columns: Columns, events: tuple[Event, ...] = ()) -> Charts:
        return draw_charts(self._definitions, page, columns, self._window, self._zone, events)

    def _rows(self, name: str, kind: type[Row], bindings: Mapping[str, object]) -> tuple[Row, ...]:
        return tuple(kind(*row) for row in self._db.execute(self._sql[name], bindings))


def _add_totals(totals: Mapping[str, rows.TotalsRow]) -> rows.TotalsRow:
    columns = zip(*(row[1:] for row in totals.values()), strict=True)
    return rows.TotalsRow("", *(sum(column) for column in columns)) if totals else _STILL


def _strings(text: str | None) -> tuple[str, ...]:
    values = json.loads(text or "[]")
    return tuple(str(value) for value in values) if isinstance(values, list) else ()


def _objects(text: str | None) -> list[dict[str, Any]]:
    values = json.loads(text or "[]")
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
