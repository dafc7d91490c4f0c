"""Small drawings that are not charts: a life line, a line as small as a word, bars of a distribution. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.report.escaping import escape
from llamaagent.report.figures import format_number, format_quantity
from llamaagent.report.lives import say_life
from llamaagent.report.spreads import BINS
from llamaagent.report.svg import label_times, relative

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from llamaagent.report.charts import Point
    from llamaagent.report.model import Life
    from llamaagent.report.rows import HistogramRow
    from llamaagent.report.series import Window

_BAR, _FOOT = 18, 18  # CSS pixels: the line, the times below it
_TALL = 72


def draw_life(life: Life, window: Window, zone: dt.tzinfo) -> str:
    """When a profile loaded and ran, on the time axis of the charts below it."""
    span = window.to_ts - window.from_ts
    parts = []
    for one in life.stretches:
        x, width = 100 * (one.from_ts - window.from_ts) / span, 100 * (one.to_ts - one.from_ts) / span
        place = f'x="{x:.5g}%" width="{max(width, 0.15):.5g}%" height="{_BAR}"'
        parts.append(f'<rect class="{one.tone}" {place}><title>{escape(one.words)}</title></rect>')
    for tick, kind in label_times(window.from_ts, window.to_ts, zone):
        place = f'x="{100 * (tick.ts - window.from_ts) / span:.5g}%" y="{_BAR + _FOOT - 4}"'
        parts.append(f'<text class="{kind}" {place}>{tick.label}</text>')
    label = escape(f"Life line. {say_life(life)}")
    ground = f'<rect class="ground" width="100%" height="{_BAR}"/>'
    return (
        f'<svg class="life" role="img" aria-label="{label}" width="100%" height="{_BAR + _FOOT}">'
        f"{ground}{''.join(parts)}</svg>"
    )


def draw_spark(points: Sequence[Point | None], label: str, unit: str = "") -> str:
    """A line as small as a word; an empty string without data. label: what it shows; its figures are added."""
    means = [point.mean for point in points if point]
    if not means:
        return ""
    highest = max(means)
    named = (("lowest", min(means)), ("highest", highest), ("latest", means[-1]))
    told = ", ".join(f"{name} {format_quantity(value, unit)}" for name, value in named)
    runs: list[list[tuple[int, int]]] = [[]]
    for index, point in enumerate(points):
        if point is None:
            runs.append([])
        else:
            level = 22 if not highest else round(22 - 20 * point.mean / highest)
            runs[-1].append((index * 2, level))
    path = "".join(relative(run) for run in runs if run)
    return (
        f'<svg class="spark" role="img" aria-label="{escape(label)}: {escape(told)}" '
        f'viewBox="0 0 {2 * len(points)} 24" preserveAspectRatio="none"><path class="s0" d="{path}"/></svg>'
    )


def draw_histogram(bins: Sequence[HistogramRow], unit: str) -> str:
    """Bars: how many requests were how fast. bins: of one figure."""
    width, most = bins[0].width, max(row.n for row in bins)
    drawn = []
    for row in bins:
        tall = max(1, round(_TALL * row.n / most))
        place = f'x="{100 * row.bin / BINS:.4g}%" y="{_TALL - tall}" width="3.8%" height="{tall}"'
        text = f"{format_number(row.bin * width)} to {format_number((row.bin + 1) * width)} {unit}: {row.n:,}"
        drawn.append(f'<rect class="bar" {place}><title>{escape(text)}</title></rect>')
    for share in (0, 0.5, 1):
        anchor = " s" if not share else " e" if share == 1 else ""
        number = format_number(share * BINS * width) + (f" {unit}" if share == 1 else "")
        drawn.append(
            f'<text class="x{anchor}" x="{100 * share:.4g}%" y="{_TALL + 15}">{escape(number)}</text>'
        )
    total = sum(row.n for row in bins)
    peak = max(bins, key=lambda row: row.n)
    label = (
        f"Distribution of {total:,} requests; most are between {format_number(peak.bin * width)} and "
        f"{format_number((peak.bin + 1) * width)} {unit}"
    )
    return (
        f'<svg class="histogram" role="img" aria-label="{escape(label)}" width="100%" height="{_TALL + 18}">'
        f"{''.join(drawn)}</svg>"
    )
