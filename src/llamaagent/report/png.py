"""Draws a Chart as PNG with matplotlib. The only module that imports it, and only when a chart must be drawn.

One figure is made once and used for every chart; the layout is fixed, because matplotlib's automatic ones
cost as much as the drawing. The background is white, so that a picture taken out of the page stays legible;
on a dark page the style sheet turns the lightness over.
"""

from __future__ import annotations

import functools
import os
import warnings
from typing import TYPE_CHECKING, Any

from llamaagent.report.charts import stacked
from llamaagent.report.figures import DASH, choose_scale, format_number, format_quantity
from llamaagent.report.palette import encode_both, make_palette
from llamaagent.report.times import format_day, span_ticks, zone_label

if TYPE_CHECKING:
    import datetime as dt

    from llamaagent.report.charts import Chart, Series

VERSION = "3"  # part of a picture's name: a change in the drawing is one more
WIDTH, HEIGHT = 480, 230  # CSS pixels; the picture has twice as many each way
_DPI = 200

# Okabe and Ito's colours, darkened where white would swallow them; dashes say the same without colour.
_PALETTE = ("#0072B2", "#D55E00", "#007E5C", "#A6407F", "#8A6D00", "#6E7781")
_DASHES: tuple[Any, ...] = (
    "solid",
    (0, (5, 1.6)),
    (0, (1.2, 1.4)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (3, 1)),
    (0, (8, 2)),
)
_INK, _QUIET, _GRID, _GAP = "#24292f", "#57606a", "#dfe3e8", "#f1f3f5"
_OPTIONS: Any = {
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "path.simplify_threshold": 0.5,
}
_EVENTS = {
    "start": ("#007E5C", "^"),
    "end": ("#57606a", "s"),
    "crash": ("#B3261E", "X"),
    "refusal": ("#8A6D00", "D"),
    "deploy": ("#6F3FA0", "o"),
}


class Renderer:
    """Draws charts one after another on one figure. Not for several threads.

    cache_directory: matplotlib's own folder for its font list, made if missing; None uses a temporary one.
    """

    def __init__(self, zone: dt.tzinfo, cache_directory: str | None) -> None:
        _prepare_folder(cache_directory)
        import matplotlib as mpl  # 0.4 s: only when there is something to draw
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._zone = zone
        self._options: Any = functools.partial(mpl.rc_context, _OPTIONS)
        with self._options():
            self._figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=_DPI, facecolor="white")
            self._canvas: Any = FigureCanvasAgg(self._figure)
            self._axes: Any = self._figure.add_axes((0.105, 0.115, 0.88, 0.695))
            self._header: list[Any] = []
            drawn = (*_PALETTE, *(colour for colour, _ in _EVENTS.values()), _INK, _QUIET)
            self._palette = make_palette(drawn, (_GRID, _GAP))
            self._axes.set_axis_off()

    def draw(self, chart: Chart) -> bytes:
        """Return the chart as PNG in twice its size; the same bytes for the same chart. Not for an empty one."""
        return self.draw_both(chart)[1]

    def draw_both(self, chart: Chart) -> tuple[bytes, bytes]:
        """Return the chart in its size and in twice that, as PNG."""
        with warnings.catch_warnings(), self._options():
            warnings.simplefilter("ignore")  # a glyph that the font lacks is drawn as a box: fine
            self._clear()
            _draw_axes(self._axes, chart, self._zone)
            for gap in chart.gaps:
                self._axes.axvspan(gap.from_ts, gap.to_ts, color=_GAP, linewidth=0, zorder=0)
            for line in stacked(chart.series):
                _draw_series(self._axes, line)
            _draw_limits(self._axes, chart)
            _draw_cut(self._axes, chart)
            _draw_events(self._axes, chart)
            self._head(chart)
            self._canvas.draw()
            return encode_both(self._canvas.buffer_rgba(), self._palette, (2 * WIDTH, 2 * HEIGHT))

    def _clear(self) -> None:
        for artist in (*self._axes.lines, *self._axes.collections, *self._axes.patches, *self._axes.texts):
            artist.remove()
        for artist in self._header:
            artist.remove()
        self._header.clear()

    def _head(self, chart: Chart) -> None:
        """Title, unit and a key of the lines, above the frame."""
        unit = choose_scale(chart.unit, chart.top).unit
        title = self._figure.text(
            0.012, 0.94, chart.title, fontsize=7.6, color=_INK, weight="bold", va="center"
        )
        self._header.append(title)
        first, last = format_day(chart.from_ts, self._zone), format_day(chart.to_ts, self._zone)
        span = format_day(chart.to_ts, self._zone, year=True)
        span = span if first == last else f"{first} {DASH} {span}"
        zone = zone_label(chart.from_ts, chart.to_ts, self._zone)
        self._header.append(
            self._figure.text(
                0.985, 0.94, f"{span}, {zone}", fontsize=5.8, color=_QUIET, ha="right", va="center"
            )
        )
        left = 0.105
        if unit:
            self._header.append(self._figure.text(0.012, 0.858, unit, fontsize=6, color=_QUIET, va="center"))
            left = max(left, 0.03 + 0.0125 * len(unit))
        if len(chart.series) > 1:
            self._key(chart, left)

    def _key(self, chart: Chart, left: float) -> None:
        from matplotlib.lines import Line2D

        for line in chart.series:
            colour = _PALETTE[line.role % len(_PALETTE)]
            dots, area = line.style == "dots", line.style == "stack"
            swatch = Line2D(
                [left, left + 0.0125 if dots else left + 0.045],
                [0.858, 0.858],
                color=colour,
                linewidth=0 if dots else 5 if area else 1.4,
                linestyle="solid" if area else _DASHES[line.role % len(_DASHES)],
                marker="o" if dots else "",
                markersize=2,
                solid_capstyle="butt",
                transform=self._figure.transFigure,
            )
            self._figure.add_artist(swatch)
            left += 0.025 if dots else 0.056
            name = line.name if len(line.name) <= 40 else line.name[:39] + "…"
            text = self._figure.text(left, 0.858, name, fontsize=6, color=_INK, va="center")
            left += 0.0125 * len(name) + 0.03
            self._header += [swatch, text]


def _prepare_folder(directory: str | None) -> None:
    """Tell matplotlib where to keep its font list, unless it is already loaded or the caller has said so."""
    if "MPLCONFIGDIR" in os.environ:
        return
    try:
        if directory is not None:
            os.makedirs(directory, mode=0o700, exist_ok=True)
    except OSError:
        directory = None
    if directory is None or not os.access(directory, os.W_OK):
        import tempfile

        directory = tempfile.mkdtemp(prefix="llamaagent-")
    os.environ["MPLCONFIGDIR"] = directory


def _draw_axes(axes: Any, chart: Chart, zone: dt.tzinfo) -> None:
    """Lines and labels one by one: matplotlib's own axes measure each label several times, half of all the work."""
    axes.set_xlim(chart.from_ts, chart.to_ts)
    axes.set_ylim(0, chart.top)
    scale = choose_scale(chart.unit, chart.top)
    values = [chart.tick * step for step in range(round(chart.top / chart.tick) + 1)]
    axes.hlines(values[1:], chart.from_ts, chart.to_ts, colors=_GRID, linewidths=0.5, zorder=0.5)
    axes.hlines([0], chart.from_ts, chart.to_ts, colors=_QUIET, linewidths=0.6, zorder=0.6, clip_on=False)
    look: dict[str, Any] = {"fontsize": 6, "color": _QUIET, "clip_on": False}
    across, along = axes.get_yaxis_transform(), axes.get_xaxis_transform()
    for value in values:
        text = format_number(value / scale.divisor)
        axes.text(-0.008, value, text, transform=across, ha="right", va="center_baseline", **look)
    ticks = span_ticks(chart.from_ts, chart.to_ts, zone)
    marks = {"transform": along, "colors": _QUIET, "linewidths": 0.6, "clip_on": False}
    axes.vlines([tick.ts for tick in ticks], -0.015, 0, **marks)
    for tick in ticks:
        weight = "bold" if tick.day else "normal"
        axes.text(tick.ts, -0.03, tick.label, transform=along, ha="center", va="top", weight=weight, **look)


def _draw_series(axes: Any, line: Series) -> None:
    nan = float("nan")
    ts = [float(point.ts) if point else nan for point in line.points]
    mean = [point.mean if point else nan for point in line.points]
    colour = _PALETTE[line.role % len(_PALETTE)]
    if line.style == "dots":
        axes.plot(
            ts, mean, linestyle="none", marker="o", markersize=1.7, markeredgewidth=0, color=colour, zorder=4
        )
        return
    low = [point.low if point else nan for point in line.points]
    high = [point.high if point else nan for point in line.points]
    if line.style == "stack":
        axes.fill_between(ts, low, high, color=colour, alpha=0.72, linewidth=0, zorder=2)
        return
    if low != high:
        axes.fill_between(ts, low, high, color=colour, alpha=0.16, linewidth=0, zorder=2)
    dash = _DASHES[line.role % len(_DASHES)]
    axes.plot(ts, mean, color=colour, linestyle=dash, linewidth=1.15, solid_joinstyle="round", zorder=3)
    lone = [
        index
        for index, point in enumerate(line.points)
        if point and not _neighbour(line, index - 1) and not _neighbour(line, index + 1)
    ]
    if lone:  # a bucket between two gaps has no line to be part of
        axes.plot([ts[i] for i in lone], [mean[i] for i in lone], ".", markersize=2.5, color=colour, zorder=3)


def _neighbour(line: Series, index: int) -> bool:
    return 0 <= index < len(line.points) and line.points[index] is not None


def _draw_limits(axes: Any, chart: Chart) -> None:
    for limit in chart.limits:
        if limit.value <= chart.top:
            axes.axhline(limit.value, color=_QUIET, linewidth=0.8, linestyle=(0, (2, 2)), zorder=2)
            axes.annotate(
                limit.label,
                (chart.to_ts, limit.value),
                xytext=(-2, -2),
                textcoords="offset points",
                fontsize=5.6,
                color=_QUIET,
                ha="right",
                va="top",
                zorder=5,
            )


def _draw_cut(axes: Any, chart: Chart) -> None:
    if chart.cut is not None:
        text = f"\N{UPWARDS ARROW} {format_quantity(chart.cut.value, chart.unit)}"
        left = chart.cut.ts < (chart.from_ts + chart.to_ts) / 2
        axes.annotate(
            text,
            (chart.cut.ts, chart.top),
            xytext=(3 if left else -3, -3),
            textcoords="offset points",
            fontsize=5.6,
            color=_INK,
            ha="left" if left else "right",
            va="top",
            zorder=6,
        )


def _draw_events(axes: Any, chart: Chart) -> None:
    for event in chart.events:
        colour, marker = _EVENTS.get(event.kind, _EVENTS["end"])
        axes.axvline(event.ts, color=colour, linewidth=0.7, alpha=0.55, zorder=1)
        axes.plot(
            [event.ts],
            [1.0],
            marker=marker,
            markersize=3.4,
            color=colour,
            markeredgewidth=0,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            zorder=6,
        )
