"""The life line of a profile: when it loaded and ran, launch by launch. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.report.figures import format_duration
from llamaagent.report.model import Stretch
from llamaagent.report.words import BUSY, GOOD, say_reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.report.rows import LifeRow
    from llamaagent.report.series import Window


def live(launches: Iterable[LifeRow], window: Window, now: int) -> tuple[Stretch, ...]:
    """Cut the launches of one profile into stretches within a window, the earliest first."""
    found: list[Stretch] = []
    for row in launches:
        end = row.ended_ts if row.ended_ts is not None else now
        ready = end if row.ready_ts is None else min(row.ready_ts, end)
        ends = "until now" if row.ended_ts is None else _ending(row)
        loading = f"loading for {format_duration(ready - row.launched_ts)}"
        if row.ready_ts is None:
            loading += f", {ends}"
        found += _within(Stretch(row.launched_ts, ready, BUSY, loading), window)
        if row.ready_ts is not None:
            text = f"healthy for {format_duration(end - ready)}, {ends}"
            found += _within(Stretch(ready, end, GOOD, text), window)
    return tuple(sorted(found))


def _ending(row: LifeRow) -> str:
    how = "ended by itself" if row.status == "error" else "stopped"
    why = row.detail or say_reason(row.reason)
    return f"{how}: {why}" if why else how


def _within(stretch: Stretch, window: Window) -> list[Stretch]:
    begin, end = max(stretch.from_ts, window.from_ts), min(stretch.to_ts, window.to_ts)
    return [stretch._replace(from_ts=begin, to_ts=end)] if begin < end else []


def say_life(stretches: Iterable[Stretch], window: Window) -> str:
    """What the line shows, in words: how much of the time it was healthy, and in how many launches."""
    known = list(stretches)
    healthy = sum(one.to_ts - one.from_ts for one in known if one.tone == GOOD)
    if not known:
        return "It did not run in this time."
    times = sum(one.tone == GOOD for one in known)
    share = 100 * healthy / (window.to_ts - window.from_ts)
    launches = "one stretch" if times == 1 else f"{times} stretches"
    return f"Healthy for {share:.3g}% of the time, in {launches}."
