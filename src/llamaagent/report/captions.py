"""What is said about a chart in words: the caption under it, and the text that stands for it. Pure."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from llamaagent.base.record import NamedTuple
from llamaagent.report.figures import format_quantity
from llamaagent.report.times import format_day, format_instant, format_time, local, zone_label

if TYPE_CHECKING:
    import datetime as dt

    from llamaagent.report.charts import Chart, Series

_FEW_EVENTS = 6  # more than these are counted, not told one by one
_LONG_S = 2 * 86400  # from here on a time of day alone says nothing
_TREND = 1.5  # the last third beside the first, when it is worth a word
_TREND_DAYS = 5  # over a day everything rises and falls


class Summary(NamedTuple):
    """What is said about one series."""

    latest: float
    mean: float
    peak: float
    peak_ts: int


def summarise(series: Series) -> Summary | None:
    """Say what a series comes to; the mean is that of its buckets. None without data."""
    points = [point for point in series.points if point is not None]
    if not points:
        return None
    top = max(points, key=attrgetter("high"))  # the first of them
    mean = sum(point.mean for point in points) / len(points)
    return Summary(points[-1].mean, mean, top.high, top.ts)


def caption(chart: Chart, zone: dt.tzinfo) -> str:
    """What one sees in it: mean, peak, latest and trend of each series, what is cut off, the gaps."""
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
            f"peak {format_quantity(summary.peak, chart.unit)} {_when(summary.peak_ts, chart, zone)}, "
            f"latest {format_quantity(summary.latest, chart.unit)}{_trend(line, chart)}"
        )
    sentences = ["; ".join(parts)]
    if chart.cut is not None:
        sentences.append(f"one peak of {format_quantity(chart.cut.value, chart.unit)} is cut off")
    if chart.gaps:
        sentences.append(_gap_words(chart, zone))
    named = len(chart.series) > 1  # a name keeps its small letter
    return " ".join(
        f"{text if named and not place else text[0].upper() + text[1:]}."
        for place, text in enumerate(sentences)
    )


def _gap_words(chart: Chart, zone: dt.tzinfo) -> str:
    longest = max(chart.gaps, key=lambda gap: gap.to_ts - gap.from_ts)
    begin, end = (_moment(ts, chart, zone) for ts in (longest.from_ts, longest.to_ts))
    names = [local(ts, zone).tzname() for ts in (longest.from_ts, longest.to_ts)]
    if names[0] != names[1] and not _years(chart):  # from 02:17 to 02:42 may be an hour and a half
        begin, end = f"{begin} {names[0]}", f"{end} {names[1]}"
    words = f"no data from {begin} to {end}"
    more = len(chart.gaps) - 1
    return words if not more else f"{words}, and in {more} shorter gap{'s' if more > 1 else ''}"


def _span(chart: Chart, zone: dt.tzinfo) -> str:
    start = format_instant(chart.from_ts, zone, chart.to_ts)
    return f"{start} and {format_instant(chart.to_ts, zone, chart.to_ts)}"


def alternative(chart: Chart, words: str, zone: dt.tzinfo) -> str:
    """The alternative text: what kind of chart, over which time, and its caption."""
    if chart.empty:
        return words
    unit = f" in {chart.unit}" if chart.unit else ""
    text = (
        f"{_kind(chart)} of {chart.title.lower()}{unit}, {_day(chart.from_ts, chart, zone)} "
        f"{format_time(chart.from_ts, zone)} to {_day(chart.to_ts, chart, zone)} "
        f"{format_time(chart.to_ts, zone)} "
        f"{zone_label(chart.from_ts, chart.to_ts, zone)}. {words}"
    )
    if len(chart.events) > _FEW_EVENTS:
        return f"{text} {len(chart.events)} events are marked."
    marks = ", ".join(f"{event.label} {_when(event.ts, chart, zone)}" for event in chart.events)
    return f"{text} Marked: {marks}." if marks else text


def _when(ts: int, chart: Chart, zone: dt.tzinfo) -> str:
    return f"{'on' if _long(chart) else 'at'} {_moment(ts, chart, zone)}"


def _moment(ts: int, chart: Chart, zone: dt.tzinfo) -> str:
    if not _long(chart):
        return format_time(ts, zone)
    if _years(chart):
        return _day(ts, chart, zone)
    return format_instant(ts, zone, chart.to_ts)


def _day(ts: int, chart: Chart, zone: dt.tzinfo) -> str:
    """The day, with its year where that is not the one in which the chart ends: a year's two ends look alike."""
    return format_day(ts, zone, year=local(ts, zone).year != local(chart.to_ts, zone).year)


def _long(chart: Chart) -> bool:
    return chart.to_ts - chart.from_ts > _LONG_S


def _years(chart: Chart) -> bool:
    """Whether it is so long that days are named without their hours."""
    return chart.to_ts - chart.from_ts > 62 * 86400


def _trend(line: Series, chart: Chart) -> str:
    """Rising or falling, where the last third of a long span differs clearly from the first."""
    if (chart.to_ts - chart.from_ts) / 86400 < _TREND_DAYS:
        return ""
    span = (chart.to_ts - chart.from_ts) / 3
    first = [p.mean for p in line.points if p and p.ts < chart.from_ts + span]
    last = [p.mean for p in line.points if p and p.ts >= chart.to_ts - span]
    if len(first) < 5 or len(last) < 5:
        return ""
    before, after = sum(first) / len(first), sum(last) / len(last)
    if after > _TREND * before:
        return ", rising"
    return ", falling" if before > _TREND * after else ""


def _kind(chart: Chart) -> str:
    return "Stacked area chart" if any(line.style == "stack" for line in chart.series) else "Line chart"
