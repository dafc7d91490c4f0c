"""The lengths of time that the report draws, and the window of each. Pure.

A day ends with the bucket of now. A week, a month and a year end with the last bucket that is complete, so that their
pages are the same until the next bucket is: each has its own pace, and nothing is drawn again for a minute's sake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.base.record import NamedTuple
from llamaagent.report.series import DAY_S, Window, span_window

if TYPE_CHECKING:
    from collections.abc import Sequence


class Period(NamedTuple):
    """One length. key: the folder of its pages. pictures_s: how often its pictures are drawn at most."""

    key: str
    title: str
    words: str
    span_s: int
    pictures_s: int


DAY = Period("day", "Day", "The last 24 hours", DAY_S, 1800)
LONG = (
    Period("week", "Week", "The last 7 days", 7 * DAY_S, 7200),
    Period("month", "Month", "The last 31 days", 31 * DAY_S, 6 * 3600),
    Period("year", "Year", "The last 366 days", 366 * DAY_S, DAY_S),
)


def choose_periods(now: int, first_ts: int | None) -> tuple[Period, ...]:
    """The long ones that show more than the one before. first_ts: the oldest figure of all."""
    if first_ts is None:
        return ()
    shorter = (DAY, *LONG)
    return tuple(
        period for before, period in zip(shorter, LONG, strict=False) if now - first_ts > before.span_s
    )


def long_window(period: Period, now: int, sampling_s: int | None, reached_ts: Sequence[int] = ()) -> Window:
    """The window that ends with the last complete bucket. reached_ts: up to when figures are complete, if known."""
    bucket_s = span_window(0, period.span_s, sampling_s).bucket_s
    known = min(now, max(reached_ts, default=now))
    end = known // bucket_s * bucket_s
    span = -(-period.span_s // bucket_s) * bucket_s
    return span_window(end - span, end, sampling_s)
