"""What the pages say: plain records, no connection, no clock, no HTML. `reading` fills them from views alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.base.record import NamedTuple
from llamaagent.report import rows, words
from llamaagent.report.charts import Chart, Point
from llamaagent.report.definitions import ChartSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.report.periods import Period
    from llamaagent.report.series import Window

Charts = tuple[tuple[ChartSpec, Chart], ...]
NO_TOTALS = rows.TotalsRow("", 0, 0, 0, 0, 0)


class Latest(NamedTuple):
    """The newest bucket of a live profile; None where nothing fresh was measured."""

    cpu_percent: float | None = None
    memory_mib: float | None = None
    gpu_memory_mib: float | None = None
    requests_processing: float | None = None


class Stretch(NamedTuple):
    """A part of a profile's life. tone: busy while it loads, good while it runs."""

    from_ts: int
    to_ts: int
    tone: str
    words: str


class Life(NamedTuple):
    """A profile's life as it is drawn, from from_ts to to_ts. since: its first launch, where that is within."""

    stretches: tuple[Stretch, ...] = ()
    from_ts: int = 0
    to_ts: int = 0
    since: str = ""


class Revision(NamedTuple):
    """A content of a profile, and what differs from the one before: (key, before, after)."""

    row: rows.RevisionRow
    changes: tuple[tuple[str, str, str], ...]


class History(NamedTuple):
    """What a profile's page tells beside its charts."""

    revisions: tuple[Revision, ...] = ()
    tails: tuple[rows.TailRow, ...] = ()
    health: tuple[rows.HealthRow, ...] = ()
    observations: tuple[rows.ObservationRow, ...] = ()


class ProfilePage(NamedTuple):
    """One profile. argv: the command line of its newest launch. spark: tokens a second over the day."""

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
    life: Life = Life()
    spark: tuple[Point | None, ...] = ()
    histograms: tuple[rows.HistogramRow, ...] = ()
    history: History = History()

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
    spark: tuple[Point | None, ...] = ()
    facts: rows.CardRow | None = None
    energy: tuple[tuple[str, float | None], ...] = ()  # kilowatt hours by the words for the time
    throttle: tuple[str, ...] = ()
    xids: tuple[tuple[int, int, str], ...] = ()  # when, which, what the driver said


class StoredTable(NamedTuple):
    """A table that grows. None: not known, or nothing in it. kept_by: the setting that says how long rows are kept."""

    name: str
    row_count: int | None
    size_bytes: int | None
    from_ts: int
    to_ts: int
    kept: str
    kept_by: str | None


class Stored(NamedTuple):
    """What the database holds. rest_bytes: of all other tables. noted_ts: when this was counted, None = now."""

    tables: tuple[StoredTable, ...] = ()
    rest_bytes: int | None = None
    noted_ts: int | None = None
    rollups_kept: Mapping[int, str] = {}


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
    before: rows.TotalsRow = NO_TOTALS  # of the day before
    changes: tuple[rows.ChangeRow, ...] = ()
    periods: tuple[Period, ...] = ()
    incidents: tuple[rows.IncidentRow, ...] = ()
    stored: Stored = Stored()


class LongPage(NamedTuple):
    """The charts of one subject over one length of time. kind: system, requests, gpu or profile; subject: its name."""

    period: Period
    kind: str
    subject: str
    window: Window
    charts: Charts
    life: Life = Life()
