"""Reads the charts of weeks, months and years: one pass over the roll-ups for all subjects of a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.report.lives import live
from llamaagent.report.model import LongPage
from llamaagent.report.periods import long_window
from llamaagent.report.reading import said_memory
from llamaagent.report.spans import read_reach

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.report.model import Report
    from llamaagent.report.periods import Period
    from llamaagent.report.reading import Reader
    from llamaagent.report.series import Window


def window_of(reader: Reader, period: Period) -> Window:
    """The window of a period now: it moves on when its next bucket is complete."""
    reached = [end for _, end in read_reach(reader.db).values()]
    return long_window(period, reader.now, reader.sampling.period_s, reached)


def read_long(reader: Reader, report: Report, period: Period, window: Window) -> Iterable[LongPage]:
    """Every page of one period: the machine, all requests, each card, each profile."""
    happened = reader.events(window)
    for kind in ("system", "requests"):
        charts = reader.charts(kind, reader.columns(kind, window).get("", {}), happened.of_all(), window)
        yield LongPage(period, kind, "", window, charts)
    cards = reader.columns("gpu", window)
    for gpu in report.gpus:
        charts = reader.charts("gpu", cards.get(gpu.row.uuid, {}), happened.of_card(gpu.row.uuid), window)
        yield LongPage(period, "gpu", gpu.row.uuid, window, charts)
    profiles = reader.columns("profile", window)
    lives = reader.lives(window)
    for page in report.profiles:
        name = page.row.profile
        columns = profiles.get(name, {}) | said_memory(page.row)
        charts = reader.charts("profile", columns, happened.of_profile(name), window)
        stretches = live(lives.get(name, ()), window, reader.now)
        yield LongPage(period, "profile", name, window, charts, stretches)
