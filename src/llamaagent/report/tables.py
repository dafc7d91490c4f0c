"""The figures of a chart as rows of a table. Not by a template: a page has some two thousand of these cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.report.charts import table_step, tabulate
from llamaagent.report.figures import DASH, format_number
from llamaagent.report.times import format_step, iso

if TYPE_CHECKING:
    import datetime as dt

    from llamaagent.report.charts import Chart

_NONE = f"<td>{DASH}</td>" * 3


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
