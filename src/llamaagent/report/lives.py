"""The life line of a profile: when it loaded and ran, launch by launch. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.report.figures import format_duration
from llamaagent.report.model import Life, Stretch
from llamaagent.report.times import format_instant
from llamaagent.report.words import BUSY, GOOD, say_reason

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from llamaagent.report.rows import LifeRow
    from llamaagent.report.series import Window


def live(launches: Sequence[LifeRow], window: Window, now: int, zone: dt.tzinfo) -> Life:
    """Cut the launches of one profile into stretches within a window, the earliest first.

    A life that begins within the window is measured from there: before it there was nothing to be healthy.
    """
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
    born = min((row.first_ts for row in launches), default=window.from_ts)
    since = format_instant(born, zone, window.to_ts) if born > window.from_ts else ""
    return Life(tuple(sorted(found)), max(born, window.from_ts), min(now, window.to_ts), since)


def _ending(row: LifeRow) -> str:
    how = "ended by itself" if row.status == "error" else "stopped"
    why = row.detail or say_reason(row.reason)
    return f"{how}: {why}" if why else how


def _within(stretch: Stretch, window: Window) -> list[Stretch]:
    begin, end = max(stretch.from_ts, window.from_ts), min(stretch.to_ts, window.to_ts)
    return [stretch._replace(from_ts=begin, to_ts=end)] if begin < end else []


def say_life(life: Life) -> str:
    """What the line shows, in words: how much of the time it was healthy, and in how many launches."""
    if not life.stretches:
        return "It did not run in this time."
    healthy = [one.to_ts - one.from_ts for one in life.stretches if one.tone == GOOD]
    share = 100 * sum(healthy) / max(1, life.to_ts - life.from_ts)
    launches = "one stretch" if len(healthy) == 1 else f"{len(healthy)} stretches"
    when = f"since its first launch ({life.since})" if life.since else "of the time"
    joined = f"{when}, in {launches}" if healthy else when
    return f"Healthy for {share:.3g}% {'of the time ' if life.since else ''}{joined}."
