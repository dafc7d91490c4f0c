"""From the views to Charts: the buckets of what charts.toml defines, and what is drawn from them.

The reducing to buckets is done by SQL, one pass over the samples for all subjects of a source.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

from llamaagent.base.record import NamedTuple
from llamaagent.report.charts import Chart, Event, Limit, Point, Series, make_chart
from llamaagent.report.figures import format_quantity
from llamaagent.report.sources import read_rows
from llamaagent.report.spans import long_statement
from llamaagent.report.stacks import stack_lines

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from llamaagent.report.definitions import ChartSpec, Definitions, SourceSpec

    class Database(Protocol):
        """A connection that is open for reading."""

        def execute(self, statements: str, bindings: Any = ...) -> Iterable[Any]:
            """Run one statement; rows are tuples."""


DAY_S = 86400
GAP_PERIODS = 2.5  # a silence longer than this many sampling periods is a gap
_SPANS_S = (60, 300, 3600, 6 * 3600)  # shown instead of the day while there is no more than that
_MOST_BUCKETS = 550  # so a day has the five minutes of the roll-ups, and its pages half the size
_BUCKETS_S = (1, 10, 60, 150, 300, 450, 600, 900, 1200, 1800, 3600)  # each divides a day
_LONG_BUCKETS_S = (*_BUCKETS_S, 7200, 10800, 14400, 21600, 28800, 43200, DAY_S)


class Window(NamedTuple):
    """What is drawn: a day in buckets. longest_s: the longest silence that is still joined."""

    from_ts: int
    to_ts: int
    bucket_s: int
    longest_s: float

    def bindings(self) -> dict[str, int]:
        """As the statements name them."""
        return {"from_ts": self.from_ts, "to_ts": self.to_ts}


Columns = dict[str, tuple[Point, ...]]  # column -> its buckets
_POINT = partial(tuple.__new__, Point)


def choose_window(now: int, period_s: int | None, first_ts: int | None = None) -> Window:
    """Choose the day that ends with the bucket of `now`: at most 550 buckets, none below a period.

    first_ts: the oldest sample. While all there is fits into a minute, five, an hour or six hours, only that
    is drawn: nobody learns anything from a day that is empty but for its last minutes.
    """
    age = DAY_S if first_ts is None else now - first_ts
    span = next((span for span in _SPANS_S if 0 <= age < 0.9 * span), DAY_S)
    shortest = max(span / _MOST_BUCKETS, period_s or 0)
    bucket = next((size for size in _BUCKETS_S if size >= shortest), _BUCKETS_S[-1])
    end = (now // bucket + 1) * bucket
    return Window(end - span, end, bucket, _longest(bucket, period_s or 0))


def span_window(from_ts: int, to_ts: int, period_s: int | None = None) -> Window:
    """A window over any span, in at most 550 buckets; both ends are moved out to the bucket's border."""
    shortest = max((to_ts - from_ts) / _MOST_BUCKETS, period_s or 0)
    bucket = (
        next((size for size in _LONG_BUCKETS_S if size >= shortest), 0) or -int(-shortest // DAY_S) * DAY_S
    )
    begin, end = from_ts // bucket * bucket, -(-to_ts // bucket) * bucket
    return Window(begin, end, bucket, _longest(bucket, period_s or 0))


def _longest(bucket_s: int, period_s: int) -> float:
    """A silence of a whole bucket is a gap, unless samples are so rare that one may fall beside its bucket."""
    return max(1.5 * bucket_s, GAP_PERIODS * period_s)


def read_columns(
    db: Database,
    definitions: Definitions,
    page: str,
    statements: Mapping[str, str],
    window: Window,
    now: int | None = None,
) -> dict[str, Columns]:
    """Read all buckets for a kind of page: subject (profile, card, or empty) -> column -> points by time.

    A day comes from the samples, a longer span from the roll-ups, and so does a day whose samples are gone. A source
    that is split gives a column `name/part` for each of its parts. Raises ConfigError over a source of the user's.
    """
    found: dict[str, Columns] = {}
    bindings = {
        **window.bindings(),
        "bucket_s": window.bucket_s,
        "now_ts": window.to_ts if now is None else now,
    }
    for source in definitions.sources:
        if source.page != page:
            continue
        rolled = long_statement(db, source.statement, window)
        rows = _ask(db, source, rolled or (statements[source.statement], bindings))
        gathered = _gather_parts(source, rows) if source.split else _gather(source, rows)
        for subject, made in gathered.items():
            found.setdefault(subject, {}).update({name: tuple(points) for name, points in made.items()})
    return found


def _ask(db: Database, source: SourceSpec, words: tuple[str, Mapping[str, object]]) -> Iterable[Any]:
    if source.origin is None:
        return db.execute(*words)
    return read_rows(source, lambda: db.execute(*words))


def _gather(source: SourceSpec, rows: Iterable[Any]) -> dict[str, dict[str, Sequence[Point]]]:
    """subject, time, then three columns for each figure. Quickest where rows of a subject follow one another.

    There is a row for each bucket of every server, so points are made by what runs in C.
    """
    gathered: dict[str, dict[str, Sequence[Point]]] = {}
    for subject, found in groupby(rows, itemgetter(0)):
        _, times, *figures = zip(*found, strict=True)
        lists = gathered.setdefault(subject, {})
        for index, name in enumerate(source.columns):
            means, lows, highs = figures[3 * index : 3 * index + 3]
            points = tuple(map(_POINT, zip(times, means, lows, highs, strict=True)))
            if None in means or not math.isfinite(sum(means) + sum(lows) + sum(highs)):
                points = tuple(point for point in points if _is_known(point))
            lists[name] = (*lists.get(name, ()), *points)
    return gathered


def _gather_parts(source: SourceSpec, rows: Iterable[Any]) -> dict[str, dict[str, Sequence[Point]]]:
    """The same where the second column says whose figures they are."""
    gathered: dict[str, dict[str, Any]] = {}
    for subject, part, ts, *values in rows:
        lists = gathered.setdefault(subject, {})
        for index, column in enumerate(source.columns):
            mean, low, high = values[3 * index : 3 * index + 3]
            point = Point(ts, mean, low, high)
            if _is_known(point):
                lists.setdefault(f"{column}/{part}", []).append(point)
    return gathered


def _is_known(point: Point) -> bool:
    """Infinity is what a server says of a speed that it could not measure."""
    return point.mean is not None and all(map(math.isfinite, point[1:]))


def draw_charts(
    definitions: Definitions,
    page: str,
    columns: Columns,
    window: Window,
    zone: dt.tzinfo,
    events: Sequence[Event] = (),
) -> tuple[tuple[ChartSpec, Chart], ...]:
    """Make the charts of one page from its columns; an optional one without data is left out."""
    made = []
    for spec in definitions.charts:
        if spec.page != page:
            continue
        lines = stack_lines(spec, columns, window.bucket_s) if spec.stack else _lines(spec, columns)
        chart = make_chart(
            spec.slug,
            spec.title,
            spec.unit,
            (window.from_ts, window.to_ts),
            lines,
            zone=zone,
            longest_s=window.longest_s,
            events=events,
            limits=_limits(spec, columns),
            top=spec.top,
        )
        if not (spec.optional and chart.empty):
            made.append((spec, chart))
    return tuple(made)


def _lines(spec: ChartSpec, columns: Columns) -> tuple[Series, ...]:
    return tuple(
        Series(line.name, role, columns.get(line.column, ()), line.style)
        for role, line in enumerate(spec.series)
        if columns.get(line.column) or not role
    )


def _limits(spec: ChartSpec, columns: Columns) -> tuple[Limit, ...]:
    found = ((columns.get(column), label) for column, label in spec.limits)
    return tuple(
        Limit(points[-1].mean, f"{label} {format_quantity(points[-1].mean, spec.unit)}")
        for points, label in found
        if points
    )


def latest(columns: Columns, column: str, window: Window) -> float | None:
    """The newest bucket of a column, None when it is older than a gap."""
    points = columns.get(column)
    if not points or window.to_ts - points[-1].ts > window.longest_s + window.bucket_s:
        return None
    return points[-1].mean
