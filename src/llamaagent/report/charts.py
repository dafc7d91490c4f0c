"""A chart is a value: what is shown, over which time, in which unit, and what one sees in it. Pure.

A renderer (png.py) is handed a Chart and nothing else; two renderers given the same one show the same data.
Points are bucket summaries: `mean` is the line, `low` to `high` the band behind it.
"""

from __future__ import annotations

import typing
from operator import attrgetter
from typing import TYPE_CHECKING

from llamaagent.base.record import NamedTuple
from llamaagent.report import captions
from llamaagent.report.figures import choose_scale, nice_ceiling
from llamaagent.report.marks import thin_events
from llamaagent.report.times import local, zone_label

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

LAST_SHARE = (
    1.5  # a silence at the end is a gap when it is longer than one by this: its bucket may have just begun
)
_WILD = 3  # a mean this many times the third highest does not count for the axis
_NOTHING = (-1.0,) * 4  # stands for a gap; no time is negative
_ENOUGH = 20  # points from which on a few of them can be wild


class Point(typing.NamedTuple):  # the quickest to make, and there are tens of thousands
    """One bucket. ts: the mean time of its samples, seconds UTC."""

    ts: int
    mean: float
    low: float
    high: float


class Series(NamedTuple):
    """One line. role: 0 and up, the colour and dash it gets. None among the points is a gap, where the line breaks.

    style: `line` (joined), `dots` (not joined) or `stack` (an area upon those before it; all have the same times).
    """

    name: str
    role: int
    points: tuple[Point | None, ...]
    style: str = "line"


class Event(NamedTuple):
    """Something that happened at an instant. kind: start | end | crash | refusal | deploy."""

    ts: int
    kind: str
    label: str


class Limit(NamedTuple):
    """A horizontal line: what there is at most, or what is allowed."""

    value: float
    label: str


class Cut(NamedTuple):
    """A peak beyond the axis: one wild value would otherwise flatten all else."""

    ts: int
    value: float


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
    cut: Cut | None = None
    caption: str = ""
    alt: str = ""

    @property
    def empty(self) -> bool:
        """Nothing to draw; the caption says so in a sentence."""
        return not any(point for line in self.series for point in line.points)

    def fingerprint(self, zone: dt.tzinfo) -> str:
        """Sixteen hexadecimal digits that change when anything to be drawn changes.

        The zone is drawn on the axis, so it takes part; an offset stands for zones without a name.
        """
        import hashlib  # only for those that draw pictures
        from array import array

        words = (
            self._replace(series=()),
            [(line.name, line.role, line.style) for line in self.series],
            local(self.from_ts, zone).isoformat(),
            zone_label(self.from_ts, self.to_ts, zone),
        )
        digest = hashlib.sha256(repr(words).encode("utf-8", "replace"))
        for line in self.series:  # as bytes: writing out each number took longer than drawing the line
            digest.update(array("d", [part for point in line.points for part in point or _NOTHING]).tobytes())
        return digest.hexdigest()[:16]


_HIGH = attrgetter("high")


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
    """Find the silences longer than `longest_s` within a range, at its beginning too, and at its end longer ones."""
    gaps = []
    last = from_ts
    for ts in sorted(set(times)):
        if ts - last > longest_s:
            gaps.append(Gap(last, ts))
        last = max(last, ts)
    if to_ts - last > LAST_SHARE * longest_s:
        gaps.append(Gap(last, to_ts))
    return tuple(gaps)


def stacked(series: Sequence[Series]) -> tuple[Series, ...]:
    """Lay the stacks upon one another: each point's `low` is the floor it stands on, its `mean` and `high` its top."""
    floor: dict[int, float] = {}
    laid = []
    for line in series:
        if line.style != "stack":
            laid.append(line)
            continue
        points: list[Point | None] = []
        for point in line.points:
            if point is not None:
                below = floor.get(point.ts, 0.0)
                floor[point.ts] = below + point.mean
                points.append(Point(point.ts, floor[point.ts], below, floor[point.ts]))
            else:
                points.append(None)
        laid.append(line._replace(points=tuple(points)))
    return tuple(laid)


def find_ceiling(series: Sequence[Series], limits: Sequence[Limit]) -> tuple[float, Cut | None]:
    """Choose what the axis must reach, and the value cut off when a few wild samples would flatten the rest.

    The means are what one reads, so they are always within, but for one or two that are far above all others.
    """
    lines = [[point for point in line.points if point] for line in stacked(series)]
    points = [point for line in lines for point in line]
    limit = max((line.value for line in limits), default=0.0)
    if not points:
        return limit, None
    peak = max((max(line, key=_HIGH) for line in lines if line), key=lambda point: (point.high, -point.ts))
    if len(points) < _ENOUGH:
        return max(peak.high, limit), None
    means = sorted((point.mean for point in points), reverse=True)
    highs = sorted((point.high for point in points), reverse=True)
    usual = means[0] if means[0] <= _WILD * means[2] else means[2]
    reach = max(1.2 * usual, 1.1 * highs[len(points) // 50], limit)
    if 0 < reach < peak.high / 1.5:
        return reach, Cut(peak.ts, peak.high)
    return max(peak.high, limit), None


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
    happened = thin_events([event for event in sorted(events) if span[0] <= event.ts <= span[1]], span)
    chart = Chart(slug, title, unit, *span, broken, happened, tuple(limits), gaps, end, tick, cut)
    words = captions.caption(chart, zone)
    return chart._replace(caption=words, alt=captions.alternative(chart, words, zone))


def _joined_gaps(series: Sequence[Series], span: tuple[int, int], longest_s: float) -> tuple[Gap, ...]:
    """Gaps of all joined lines together; dots are sparse by nature and say nothing about sampling."""
    times = [point.ts for line in series if line.style != "dots" for point in line.points if point]
    return find_gaps(times, *span, longest_s) if times else ()


def _axis(unit: str, largest: float) -> tuple[float, float]:
    if unit == "%" and 50 < largest <= 100:
        return 100.0, 25.0
    scale = choose_scale(unit, largest)
    end, tick = nice_ceiling(largest / scale.divisor)
    return end * scale.divisor, tick * scale.divisor


def thin(points: Sequence[Point], from_ts: int, to_ts: int, most: int = 72) -> tuple[Point | None, ...]:
    """Reduce to at most `most` points for a picture as small as a word; None where a slot has no data."""
    slots: list[list[Point]] = [[] for _ in range(most)]
    for point in points:
        if from_ts <= point.ts < to_ts:
            slots[(point.ts - from_ts) * most // (to_ts - from_ts)].append(point)
    width = (to_ts - from_ts) / most
    return tuple(
        Point(
            int(from_ts + (index + 0.5) * width),
            sum(p.mean for p in slot) / len(slot),
            min(p.low for p in slot),
            max(p.high for p in slot),
        )
        if slot
        else None
        for index, slot in enumerate(slots)
    )
