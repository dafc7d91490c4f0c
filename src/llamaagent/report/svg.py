"""Draws a Chart as inline SVG: no colour of its own (the style sheet has them), no script, no outside reference. Pure.

The drawing stretches: what is drawn lies in an inner picture whose unit square is pulled to the width there is, what is
written stands at percentages of it, so letters keep their size on a phone and lines their width. Paths are relative
whole numbers, one for each series. Text that comes from outside is escaped here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.report.charts import stacked
from llamaagent.report.escaping import escape
from llamaagent.report.figures import choose_scale, format_number, format_quantity
from llamaagent.report.times import span_ticks

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

    from llamaagent.report.charts import Chart, Point, Series
    from llamaagent.report.times import Tick

WIDE, HIGH = 1200, 240  # of the inner picture, in its own units: at most two points a pixel need no more
TOP, TALL, FOOT = 14, 144, 20  # CSS pixels: room for the marks, the plot, the times below it
HEIGHT = TOP + TALL + FOOT
ROLES = 6  # colours and dashes that the style sheet has


def draw(chart: Chart, zone: dt.tzinfo) -> str:
    """Return the chart as one `<svg>` element. Not for an empty one."""
    inner = "".join(_draw_series(line, chart) for line in stacked(chart.series))
    return (
        f'<svg class="plot" role="img" aria-label="{escape(chart.alt)}" width="100%" height="{HEIGHT}">'
        f"{_gaps(chart)}{_grid(chart)}"
        f'<svg y="{TOP}" width="100%" height="{TALL}" viewBox="0 0 {WIDE} {HIGH}" preserveAspectRatio="none">'
        f"{inner}</svg>{_limits(chart)}{_scale(chart)}{_times(chart, zone)}{_cut(chart)}{_events(chart)}</svg>"
    )


def _percent(ts: float, chart: Chart) -> str:
    return f"{100 * (ts - chart.from_ts) / (chart.to_ts - chart.from_ts):.5g}%"


def _level(value: float, chart: Chart) -> str:
    """CSS pixels from the top."""
    return f"{TOP + TALL * (1 - value / chart.top):.4g}"


def _gaps(chart: Chart) -> str:
    drawn = []
    for gap in chart.gaps:
        width = 100 * (gap.to_ts - gap.from_ts) / (chart.to_ts - chart.from_ts)
        place = f'x="{_percent(gap.from_ts, chart)}" y="{TOP}" width="{width:.4g}%" height="{TALL}"'
        drawn.append(f'<rect class="gap" {place}/>')
    return "".join(drawn)


def _grid(chart: Chart) -> str:
    lines = []
    for step in range(round(chart.top / chart.tick) + 1):
        y = _level(step * chart.tick, chart)
        kind = "grid" if step else "base"
        lines.append(f'<line class="{kind}" x2="100%" y1="{y}" y2="{y}"/>')
    return "".join(lines)


def _scale(chart: Chart) -> str:
    """The numbers of the axis, on its lines; the unit stands at the top one."""
    scale = choose_scale(chart.unit, chart.top)
    count = round(chart.top / chart.tick)
    drawn = []
    for step in range(1, count + 1):
        text = format_number(step * chart.tick / scale.divisor)
        if step == count and scale.unit:
            text += scale.unit if scale.unit == "%" else f" {scale.unit}"
        y = TOP + TALL * (1 - step * chart.tick / chart.top) + 11
        drawn.append(f'<text class="y" x="2" y="{y:.4g}">{escape(text)}</text>')
    return "".join(drawn)


def _times(chart: Chart, zone: dt.tzinfo) -> str:
    drawn = []
    for tick, kind in label_times(chart.from_ts, chart.to_ts, zone):
        x = _percent(tick.ts, chart)
        drawn.append(
            f'<line class="tick" x1="{x}" x2="{x}" y1="{TOP + TALL}" y2="{TOP + TALL + 4}"/>'
            f'<text class="{kind}" x="{x}" y="{HEIGHT - 3}">{tick.label}</text>'
        )
    return "".join(drawn)


def label_times(from_ts: int, to_ts: int, zone: dt.tzinfo) -> list[tuple[Tick, str]]:
    """The marks of a time axis, each with its classes: d a day, s and e at the ends, o left out where it is narrow."""
    ticks = span_ticks(from_ts, to_ts, zone)
    days = [index for index, tick in enumerate(ticks) if tick.day]
    first = days[0] if days else 0
    found = []
    for index, tick in enumerate(ticks):
        part = (tick.ts - from_ts) / (to_ts - from_ts)
        anchor = " s" if part < 0.025 else " e" if part > 0.975 else ""
        odd = " o" if len(ticks) > 6 and (index - first) % 2 and not tick.day else ""
        found.append((tick, f"x{' d' if tick.day else ''}{anchor}{odd}"))
    return found


def _limits(chart: Chart) -> str:
    drawn = []
    for limit in chart.limits:
        if limit.value <= chart.top:
            y = _level(limit.value, chart)
            label = f'<text class="l" x="100%" y="{float(y) + 11:.4g}">{escape(limit.label)}</text>'
            drawn.append(f'<line class="limit" x2="100%" y1="{y}" y2="{y}"/>{label}')
    return "".join(drawn)


def _cut(chart: Chart) -> str:
    if chart.cut is None:
        return ""
    part = (chart.cut.ts - chart.from_ts) / (chart.to_ts - chart.from_ts)
    anchor = "e" if part > 0.5 else "s"
    text = f"\N{UPWARDS ARROW} {format_quantity(chart.cut.value, chart.unit)}"
    return f'<text class="x cut {anchor}" x="{_percent(chart.cut.ts, chart)}" y="10">{escape(text)}</text>'


def _events(chart: Chart) -> str:
    """A line and a mark at each; the marks themselves stand once in the page (`marks`)."""
    return "".join(
        f'<svg class="event {event.kind}" x="{_percent(event.ts, chart)}" overflow="visible">'
        f'<title>{escape(event.label)}</title><use href="#m-{event.kind}"/></svg>'
        for event in chart.events
    )


def marks() -> str:
    """The shapes that the events of a page's charts refer to; once in a page that has charts."""
    stem = f"M0 {TOP}v{TALL}"
    shapes = {"start": "M0 2l4 8h-8z", "end": "M-3 3h6v6h-6z", "crash": "M-4 2l8 8m0-8l-8 8",
              "refusal": "M0 1l4 5l-4 5l-4-5z", "deploy": "M-4 6a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"}  # fmt: skip
    drawn = "".join(
        f'<g id="m-{kind}"><path class="stem" d="{stem}"/><path class="mark" d="{shape}"/></g>'
        for kind, shape in shapes.items()
    )
    return f'<svg class="hidden" width="0" height="0" aria-hidden="true"><defs>{drawn}</defs></svg>'


def _draw_series(line: Series, chart: Chart) -> str:
    role = f"s{line.role % ROLES}"
    if line.style == "dots":
        dots = "".join(f"M{x} {y}h0" for part in _runs(line.points, chart) for x, y, _, _ in part)
        return f'<path class="{role} dots" d="{dots}"/>'
    runs = list(_runs(line.points, chart))
    if line.style == "stack":
        return f'<path class="{role} stack" d="{"".join(_area(part) for part in runs)}"/>'
    band = "".join(_area(part) for part in runs if any(low != high for _, _, low, high in part))
    shade = f'<path class="{role} band" d="{band}"/>' if band else ""
    return f'{shade}<path class="{role}" d="{"".join(relative([(x, y) for x, y, _, _ in part]) for part in runs)}"/>'


Place = tuple[int, int, int, int]  # x, and y of mean, low, high


def _runs(points: Sequence[Point | None], chart: Chart) -> Iterable[list[Place]]:
    """The points between gaps, in the units of the inner picture; what lies beyond the axis ends just above it."""
    wide = WIDE / (chart.to_ts - chart.from_ts)
    tall = HIGH / chart.top
    begin = chart.from_ts
    run: list[Place] = []
    for point in points:
        if point is None:
            if run:
                yield run
            run = []
            continue
        ts, mean, low, high = point
        y = max(-9, int(HIGH - mean * tall + 0.5))
        if low == high:
            run.append((int((ts - begin) * wide + 0.5), y, y, y))
        else:
            bottom, top = max(-9, int(HIGH - low * tall + 0.5)), max(-9, int(HIGH - high * tall + 0.5))
            run.append((int((ts - begin) * wide + 0.5), y, bottom, top))
    if run:
        yield run


def relative(places: Sequence[tuple[int, int]]) -> str:
    """`Mx y` and relative steps; level steps are joined to one, a lone point becomes a dot."""
    (x, y), rest = places[0], places[1:]
    start = f"M{x} {y}"
    steps: list[str] = []
    level = 0
    for right, down in rest:
        if down == y:
            level += right - x
        else:
            if level:
                steps.append(_step(level, 0))
                level = 0
            steps.append(_step(right - x, down - y))
        x, y = right, down
    if level or not rest:
        steps.append(_step(level, 0))
    return f"{start}l{''.join(steps).lstrip()}"


def _step(right: int, down: int) -> str:
    first = str(right) if right < 0 else f" {right}"
    return f"{first}{down}" if down < 0 else f"{first} {down}"


def _area(run: Sequence[Place]) -> str:
    """Along the high edge and back along the low one."""
    edge = [(x, high) for x, _, _, high in run] + [(x, low) for x, _, low, _ in reversed(run)]
    return f"{relative(edge)}z"
