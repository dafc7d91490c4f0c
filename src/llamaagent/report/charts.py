"""A chart is a value: what is shown, over which time, in which unit, and what one sees in it. Pure.

A renderer (png.py) is handed a Chart and nothing else; two renderers given the same one show the same data.
Points are bucket summaries: `mean` is the line, `low` to `high` the band behind it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.report.figures import choose_scale, format_quantity, nice_ceiling
from llamaagent.report.times import format_day, format_instant, format_time, local, zone_label

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

GAP_PERIODS = 2.5  # a silence longer than this many sampling periods is a gap
_WILD = 10  # a peak this many times the third highest is cut off, or it would flatten all else
_FEW_EVENTS = 6  # more than these are counted, not told one by one


class Point(NamedTuple):
    """One bucket. ts: the mean time of its samples, seconds UTC."""

    ts: int
    mean: float
    low: float
    high: float


class Series(NamedTuple):
    """One line. role: 0 and up, the colour and dash it gets. style: `line` (joined) or `dots` (not joined).

    None among the points is a gap, where the line breaks.
    """

    name: str
    role: int
    points: tuple[Point | None, ...]
    style: str = "line"


class Event(NamedTuple):
    """Something that happened at an instant. kind: start | end | crash | refusal."""

    ts: int
    kind: str
    label: str


class Limit(NamedTuple):
    """A horizontal line: what there is at most, or what is allowed."""

    value: float
    label: str


class Gap(NamedTuple):
    """A time without data, seconds UTC."""

    from_ts: int
    to_ts: int


class Chart(NamedTuple):
    """All that a renderer needs. unit: of the stored values; `top`: where the axis ends, in that unit."""

    slug: str
    title: str
    unit: str
    from_ts: int
    to_ts: int
    series: tuple[Series, ...]
    events: tuple[Event, ...]
    limits: tuple[Limit, ...]
    gaps: tuple[Gap, ...]
    top: float
    tick: float
    caption: str
    alt: str

    @property
    def empty(self) -> bool:
        """Nothing to draw; the caption says so in a sentence."""
        return not any(point for line in self.series for point in line.points)

    def fingerprint(self, zone: dt.tzinfo) -> str:
        """Sixteen hexadecimal digits that change when anything to be drawn changes.

        The zone is drawn on the axis, so it takes part; an offset stands for zones without a name.
        """
        text = (
            f"{self!r}|{local(self.from_ts, zone).isoformat()}|{zone_label(self.from_ts, self.to_ts, zone)}"
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Summary(NamedTuple):
    """What is said about one series."""

    latest: float
    mean: float
    peak: float
    peak_ts: int


class HourRow(NamedTuple):
    """One hour of the data table: per series (low, mean, high), None where there are no data."""

    from_ts: int
    cells: tuple[tuple[float, float, float] | None, ...]


def break_gaps(points: Sequence[Point], longest_s: float) -> tuple[Point | None, ...]:
    """Put None between points that are further apart than `longest_s`. points: by time."""
    broken: list[Point | None] = []
    last: Point | None = None
    for point in points:
        if last is not None and point.ts - last.ts > longest_s:
            broken.append(None)
        broken.append(point)
        last = point
    return tuple(broken)


def find_gaps(times: Iterable[int], from_ts: int, to_ts: int, longest_s: float) -> tuple[Gap, ...]:
    """Find the silences longer than `longest_s` within a range, those at its two ends too."""
    gaps = []
    last = from_ts
    for ts in sorted(set(times)):
        if ts - last > longest_s:
            gaps.append(Gap(last, ts))
        last = max(last, ts)
    if to_ts - last > longest_s:
        gaps.append(Gap(last, to_ts))
    return tuple(gaps)


def summarise(series: Series) -> Summary | None:
    """Say what a series comes to; the mean is that of its buckets. None without data."""
    points = [point for point in series.points if point is not None]
    if not points:
        return None
    top = max(points, key=lambda point: (point.high, -point.ts))
    mean = sum(point.mean for point in points) / len(points)
    return Summary(points[-1].mean, mean, top.high, top.ts)


def find_ceiling(series: Sequence[Series], limits: Sequence[Limit]) -> tuple[float, float | None]:
    """Choose what the axis must reach, and the value cut off when one wild sample would flatten the rest."""
    highs = sorted((point.high for line in series for point in line.points if point), reverse=True)
    largest = highs[0] if highs else 0.0
    limit = max((line.value for line in limits), default=0.0)
    if len(highs) >= 20 and highs[2] > 0 and largest > _WILD * highs[2] and largest > limit:
        return max(highs[2] * 1.2, limit), largest
    return max(largest, limit), None


def make_chart(
    slug: str,
    title: str,
    unit: str,
    span: tuple[int, int],
    series: Sequence[Series],
    *,
    zone: dt.tzinfo,
    longest_s: float,
    events: Sequence[Event] = (),
    limits: Sequence[Limit] = (),
    top: float | None = None,
) -> Chart:
    """Build a chart: breaks lines at gaps, fits the axis, writes caption and alternative text.

    span: (from, to), seconds UTC. longest_s: the longest silence that is still joined. top: a fixed end
    of the axis in `unit`, used when the data stay below it.
    """
    broken = tuple(
        line._replace(points=break_gaps([p for p in line.points if p], longest_s)) for line in series
    )
    gaps = _joined_gaps(broken, span, longest_s)
    largest, cut = find_ceiling(broken, limits)
    end, tick = _axis(unit, max(largest, top or 0.0))
    happened = tuple(event for event in sorted(events) if span[0] <= event.ts <= span[1])
    chart = Chart(
        slug, title, unit, *span, broken, happened, tuple(limits), gaps, end, tick, caption="", alt=""
    )
    words = _caption(chart, cut, zone)
    return chart._replace(caption=words, alt=_alt(chart, words, zone))


def tabulate(chart: Chart, zone: dt.tzinfo) -> tuple[HourRow, ...]:
    """Reduce a chart to one row per local hour that has data, earliest first."""
    hours: dict[int, list[list[Point]]] = {}
    for index, line in enumerate(chart.series):
        for point in line.points:
            if point is not None:
                at = local(point.ts, zone)
                start = point.ts - at.minute * 60 - at.second
                hours.setdefault(start, [[] for _ in chart.series])[index].append(point)
    return tuple(HourRow(start, tuple(_cell(points) for points in hours[start])) for start in sorted(hours))


def _cell(points: Sequence[Point]) -> tuple[float, float, float] | None:
    if not points:
        return None
    mean = sum(point.mean for point in points) / len(points)
    return min(point.low for point in points), mean, max(point.high for point in points)


def _joined_gaps(series: Sequence[Series], span: tuple[int, int], longest_s: float) -> tuple[Gap, ...]:
    """Gaps of all joined lines together; dots are sparse by nature and say nothing about sampling."""
    times = [point.ts for line in series if line.style == "line" for point in line.points if point]
    return find_gaps(times, *span, longest_s) if times else ()


def _axis(unit: str, largest: float) -> tuple[float, float]:
    if unit == "%" and 50 < largest <= 100:
        return 100.0, 25.0
    scale = choose_scale(unit, largest)
    end, tick = nice_ceiling(largest / scale.divisor)
    return end * scale.divisor, tick * scale.divisor


def _caption(chart: Chart, cut: float | None, zone: dt.tzinfo) -> str:
    if chart.empty:
        return f"No {chart.title.lower()} data between {_span(chart, zone)}."
    parts = []
    for line in chart.series:
        summary = summarise(line)
        if summary is None:
            parts.append(f"{line.name}: no data")
            continue
        name = f"{line.name}: " if len(chart.series) > 1 else ""
        if summary.peak == 0:
            parts.append(f"{name}always 0")
            continue
        parts.append(
            f"{name}mean {format_quantity(summary.mean, chart.unit)}, "
            f"peak {format_quantity(summary.peak, chart.unit)} at {format_time(summary.peak_ts, zone)}, "
            f"latest {format_quantity(summary.latest, chart.unit)}"
        )
    sentences = ["; ".join(parts)]
    if cut is not None:
        sentences.append(f"one peak of {format_quantity(cut, chart.unit)} is cut off")
    if chart.gaps:
        sentences.append(_gap_words(chart, zone))
    return " ".join(f"{text[0].upper()}{text[1:]}." for text in sentences)


def _gap_words(chart: Chart, zone: dt.tzinfo) -> str:
    longest = max(chart.gaps, key=lambda gap: gap.to_ts - gap.from_ts)
    words = f"no data from {format_time(longest.from_ts, zone)} to {format_time(longest.to_ts, zone)}"
    more = len(chart.gaps) - 1
    return words if not more else f"{words}, and in {more} shorter gap{'s' if more > 1 else ''}"


def _span(chart: Chart, zone: dt.tzinfo) -> str:
    start = format_instant(chart.from_ts, zone, chart.to_ts)
    return f"{start} and {format_instant(chart.to_ts, zone, chart.to_ts)}"


def _alt(chart: Chart, caption: str, zone: dt.tzinfo) -> str:
    if chart.empty:
        return caption
    unit = f" in {chart.unit}" if chart.unit else ""
    text = (
        f"Line chart of {chart.title.lower()}{unit}, {format_day(chart.from_ts, zone)} "
        f"{format_time(chart.from_ts, zone)} to {format_day(chart.to_ts, zone)} "
        f"{format_time(chart.to_ts, zone)} "
        f"{zone_label(chart.from_ts, chart.to_ts, zone)}. {caption}"
    )
    if len(chart.events) > _FEW_EVENTS:
        return f"{text} {len(chart.events)} events are marked."
    marks = ", ".join(f"{event.label} at {format_time(event.ts, zone)}" for event in chart.events)
    return f"{text} Marked: {marks}." if marks else text
