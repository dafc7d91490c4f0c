"""Draws a Chart as PNG with matplotlib. The only module that imports it, and only when a chart must be drawn.

One figure is made once and used for every chart; the layout is fixed, because matplotlib's automatic ones
cost as much as the drawing. The background is white, so that a picture taken out of the page stays legible;
on a dark page the style sheet turns the lightness over.
"""

from __future__ import annotations

import functools
import io
import os
import tempfile
import warnings
from typing import TYPE_CHECKING, Any

from llamaagent.report.figures import DASH, choose_scale, format_number
from llamaagent.report.times import format_day, time_ticks, zone_label

if TYPE_CHECKING:
    import datetime as dt

    from llamaagent.report.charts import Chart, Series

VERSION = "1"  # part of a picture's name: a change in the drawing is one more
WIDTH, HEIGHT = 480, 230  # CSS pixels; the picture has twice as many each way
_DPI = 200

# Okabe and Ito's colours, darkened where white would swallow them; dashes say the same without colour.
_PALETTE = ("#0072B2", "#D55E00", "#007E5C", "#A6407F", "#8A6D00", "#3C8DBC")
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
            self._palette = _make_palette()
            _dress(self._axes)

    def draw(self, chart: Chart) -> bytes:
        """Return the chart as PNG, the same bytes for the same chart. Not for an empty one."""
        with warnings.catch_warnings(), self._options():
            warnings.simplefilter("ignore")  # a glyph that the font lacks is drawn as a box: fine
            self._clear()
            _draw_axes(self._axes, chart, self._zone)
            for gap in chart.gaps:
                self._axes.axvspan(gap.from_ts, gap.to_ts, color=_GAP, linewidth=0, zorder=0)
            for line in chart.series:
                _draw_series(self._axes, line)
            _draw_limits(self._axes, chart)
            _draw_events(self._axes, chart)
            self._head(chart)
            self._canvas.draw()
            return _encode(self._canvas.buffer_rgba(), self._palette)

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
            dots = line.style == "dots"
            swatch = Line2D(
                [left, left + 0.0125 if dots else left + 0.045],
                [0.858, 0.858],
                color=colour,
                linewidth=0 if dots else 1.4,
                linestyle=_DASHES[line.role % len(_DASHES)],
                marker="o" if dots else "",
                markersize=2,
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
        directory = tempfile.mkdtemp(prefix="llamaagent-")
    os.environ["MPLCONFIGDIR"] = directory


def _dress(axes: Any) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_QUIET)
    axes.spines["bottom"].set_linewidth(0.6)
    axes.grid(axis="y", color=_GRID, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0, labelsize=6, labelcolor=_QUIET, pad=3)
    axes.tick_params(axis="x", length=2.5, width=0.6, color=_QUIET, labelsize=6, labelcolor=_QUIET, pad=2.5)


def _draw_axes(axes: Any, chart: Chart, zone: dt.tzinfo) -> None:
    axes.set_xlim(chart.from_ts, chart.to_ts)
    axes.set_ylim(0, chart.top)
    hours = (chart.to_ts - chart.from_ts) / 3600
    every_min = 180 if hours > 12 else 60 if hours > 3 else 10 if hours > 0.5 else 1
    ticks = time_ticks(chart.from_ts, chart.to_ts, zone, every_min)
    axes.set_xticks([tick.ts for tick in ticks], [tick.label for tick in ticks])
    for label, tick in zip(axes.get_xticklabels(), ticks, strict=True):
        label.set_fontweight("bold" if tick.day else "normal")
    scale = choose_scale(chart.unit, chart.top)
    count = round(chart.top / chart.tick)
    values = [chart.tick * step for step in range(count + 1)]
    axes.set_yticks(values, [format_number(value / scale.divisor) for value in values])


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


def _make_palette() -> Any:
    """Every colour that is drawn, and its way to white in steps: what smoothed edges are made of.

    A palette computed from the picture would drop the rare colours, and those are the marks of crashes.
    """
    from PIL import Image

    drawn = dict.fromkeys((*_PALETTE, *(colour for colour, _ in _EVENTS.values()), _INK, _QUIET))
    steps = 16
    flat = [255, 255, 255]
    for colour in (_GRID, _GAP):
        flat += [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    for colour in drawn:
        full = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        for step in range(1, steps + 1):
            flat += [round(255 + (part - 255) * step / steps) for part in full]
    image = Image.new("P", (1, 1))
    image.putpalette(flat)
    return image


def _encode(pixels: Any, palette: Any) -> bytes:
    """PNG with one byte a pixel: a third of the size of full colour, and no metadata to vary."""
    from PIL import Image

    size = (2 * WIDTH, 2 * HEIGHT)
    image = Image.frombuffer("RGBA", size, pixels, "raw", "RGBA", 0, 1).convert("RGB")
    out = io.BytesIO()
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(out, "PNG", compress_level=6)
    return out.getvalue()
