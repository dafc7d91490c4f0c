"""The files beside the charts: a PNG, one twice as large, and the data as CSV. Drawn at their own pace.

matplotlib is slow to load and to draw, so the agent's own builds draw a picture again only when its period's time is up
(a day's after half an hour, a year's after a day), and no longer than a third of a minute in all; the rest is left to
the next time. Names never change, so that a wiki can show them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.report import png
from llamaagent.report.paths import picture_stem
from llamaagent.report.publish import PICTURE_FILES
from llamaagent.report.times import iso

if TYPE_CHECKING:
    import datetime as dt

    from llamaagent.base.clock import Clock
    from llamaagent.report.charts import Chart
    from llamaagent.report.model import Charts
    from llamaagent.report.periods import Period
    from llamaagent.report.publish import Site

_PATIENCE_S = 20.0


class Gallery:
    """Draws what is due. known: what there is for the pages, by stem; '' or what went wrong."""

    def __init__(
        self, site: Site, clock: Clock, zone: dt.tzinfo, now: int, cache_directory: str | None, mode: str
    ) -> None:
        self.known: dict[str, str] = {}
        self.drawn = 0
        self._site, self._clock, self._zone, self._now = site, clock, zone, now
        self._cache_directory, self._mode = cache_directory, mode
        self._renderer: png.Renderer | None = None
        self._begin = clock.monotonic()

    def add(self, kind: str, subject: str, charts: Charts, period: Period) -> bool:
        """Draw the pictures of a page's charts as far as they are due; False when time ran out."""
        complete = True
        for spec, chart in charts:
            if not chart.empty:
                stem = picture_stem(kind, subject, spec.slug, period.key)
                complete = self._add(stem, chart, period) and complete
        return complete

    def _add(self, stem: str, chart: Chart, period: Period) -> bool:
        before = self._site.picture(stem)
        there = before is not None and self._site.keep_pages([stem + ending for ending in PICTURE_FILES])
        none = self._mode == "none"
        if there and before is not None:
            waits = none or (self._mode == "due" and 0 <= self._now - before[1] < period.pictures_s)
            if waits or self._late() or before[0] == self._mark(chart):
                self.known[stem] = ""
                self._site.note_picture(stem, before)
                return waits or not self._late()
        elif none or self._late():
            return none
        self._draw(stem, chart, self._mark(chart))
        return True

    def _mark(self, chart: Chart) -> str:
        return f"{chart.fingerprint(self._zone)}-{png.VERSION}"

    def _late(self) -> bool:
        return self._mode == "due" and self._clock.monotonic() - self._begin > _PATIENCE_S

    def _draw(self, stem: str, chart: Chart, mark: str) -> None:
        try:
            self._renderer = self._renderer or png.Renderer(self._zone, self._cache_directory)
            one, two = self._renderer.draw_both(chart)
        except Exception as error:  # noqa: BLE001 - whatever matplotlib or a font raises, the page says so
            self.known[stem] = f"{type(error).__name__}: {error}"
            return
        for ending, content in zip(PICTURE_FILES, (one, two, tell(chart, self._zone)), strict=True):
            self._site.add_page(stem + ending, content)
        self._site.note_picture(stem, (mark, self._now))
        self.known[stem] = ""
        self.drawn += 1


def tell(chart: Chart, zone: dt.tzinfo) -> bytes:
    """The chart's data as CSV (RFC 4180): the time, then lowest, mean and highest of each series."""
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out)
    names = [line.name for line in chart.series]
    unit = f" [{chart.unit}]" if chart.unit else ""
    writer.writerow(
        ["time", "unix_time"]
        + [f"{name} {what}{unit}" for name in names for what in ("lowest", "mean", "highest")]
    )
    rows: dict[int, list[str | None]] = {}
    for index, line in enumerate(chart.series):
        for point in line.points:
            if point is not None:
                row = rows.setdefault(point.ts, [None] * (3 * len(names)))
                row[3 * index : 3 * index + 3] = [
                    f"{value:.6g}" for value in (point.low, point.mean, point.high)
                ]
    for ts in sorted(rows):
        writer.writerow([iso(ts, zone), ts, *rows[ts]])
    return out.getvalue().encode()
