"""The figures of a chart as rows of a table. Not by a template: a page has some two thousand of these cells."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from llamaagent.base.record import NamedTuple
from llamaagent.report.figures import DASH, format_number
from llamaagent.report.times import format_step, iso, local

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from llamaagent.report.charts import Chart, Point

_SLOT_S = 900
_NONE = f"<td>{DASH}</td>" * 3


class TableRow(NamedTuple):
    """One row of the data table, an hour or more: per series (low, mean, high), None where there are no data."""

    from_ts: int
    cells: tuple[tuple[float, float, float] | None, ...]


def tabulate(chart: Chart, zone: dt.tzinfo) -> tuple[TableRow, ...]:
    """Reduce a chart to one row per local hour (or day, or month, with the span) that has data, earliest first."""
    step = table_step(chart)
    rows: dict[int, list[list[Point]]] = {}
    for index, line in enumerate(chart.series):
        slot, points = None, []
        for point in line.points:
            if point is not None:
                if point.ts // _SLOT_S != slot:
                    slot = point.ts // _SLOT_S
                    points = rows.setdefault(_start(slot, step, zone), [[] for _ in chart.series])[index]
                points.append(point)
    return tuple(TableRow(start, tuple(map(_cell, rows[start]))) for start in sorted(rows))


def table_step(chart: Chart) -> str:
    """What a row of the table stands for: hour, day or month."""
    days = (chart.to_ts - chart.from_ts) / 86400
    return "hour" if days <= 2 else "day" if days <= 62 else "month"


@functools.lru_cache(maxsize=8192)
def _start(slot: int, step: str, zone: dt.tzinfo) -> int:
    """The begin of the hour, day or month in which a quarter of an hour lies: offsets of zones are whole quarters."""
    ts = slot * _SLOT_S
    at = local(ts, zone)
    if step == "hour":
        return ts - at.minute * 60 - at.second
    day = at.replace(hour=0, minute=0, second=0, fold=0, day=1 if step == "month" else at.day)
    return int(day.timestamp())


def _cell(points: Sequence[Point]) -> tuple[float, float, float] | None:
    if not points:
        return None
    _, means, lows, highs = zip(*points, strict=True)
    return min(lows), sum(means) / len(means), max(highs)


def draw_rows(chart: Chart, zone: dt.tzinfo) -> str:
    """Each hour, day or month as `<tr>`: lowest, mean, highest of each series. There is no text from outside in it."""
    step = table_step(chart)
    drawn = []
    for row in tabulate(chart, zone):
        cells = "".join(
            _NONE if cell is None else "".join(f"<td>{format_number(value)}</td>" for value in cell)
            for cell in row.cells
        )
        when = f'<time datetime="{iso(row.from_ts, zone)}">{format_step(row.from_ts, step, zone)}</time>'
        drawn.append(f'<tr><th scope="row">{when}</th>{cells}</tr>\n')
    return "".join(drawn)
