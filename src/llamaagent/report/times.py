"""Instants for people: local time in the page's zone, names of days and months of our own.

strftime's names follow the process's locale, and a page must not; so they stand here.
"""

from __future__ import annotations

import datetime as dt
import functools
import os
import zoneinfo

from llamaagent.base.errors import UsageError
from llamaagent.base.record import NamedTuple

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_STEP_S = 60  # every offset of a zone is a multiple of it
_LINK = "/etc/localtime"


class Tick(NamedTuple):
    """A mark on a time axis; `day` is true where the label is the name of a new day."""

    ts: int
    label: str
    day: bool


def find_zone(name: str | None) -> dt.tzinfo:
    """Return the zone of that name; without a name the machine's own, UTC when it does not say.

    name: as in the time zone database ("Europe/Berlin"). Raises UsageError for an unknown one.
    """
    if name:
        try:
            return zoneinfo.ZoneInfo(name.lstrip(":"))
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise UsageError(
                f"unknown time zone {name!r}", hint="a name such as Europe/Berlin or UTC"
            ) from error
    _, found, linked = os.path.realpath(_LINK).partition("/zoneinfo/")
    try:
        return zoneinfo.ZoneInfo(linked if found else "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return dt.UTC


def local(ts: int, zone: dt.tzinfo) -> dt.datetime:
    """The instant in that zone. ts: seconds, UTC."""
    return dt.datetime.fromtimestamp(ts, zone)


def iso(ts: int, zone: dt.tzinfo) -> str:
    """The exact instant with its offset, for `datetime` attributes."""
    return local(ts, zone).isoformat()


def format_time(ts: int, zone: dt.tzinfo, *, seconds: bool = False) -> str:
    """Write hours and minutes, with seconds on request."""
    at = local(ts, zone)
    return f"{at.hour:02d}:{at.minute:02d}" + (f":{at.second:02d}" if seconds else "")


def format_day(ts: int, zone: dt.tzinfo, *, year: bool = False) -> str:
    """Write the day, such as `Sat 21 Nov`, with the year on request."""
    at = local(ts, zone)
    text = f"{DAYS[at.weekday()]} {at.day} {MONTHS[at.month - 1]}"
    return f"{text} {at.year}" if year else text


def format_instant(ts: int, zone: dt.tzinfo, now: int, *, seconds: bool = False) -> str:
    """Write day and time; the year only when it is not the year of `now`."""
    year = local(ts, zone).year != local(now, zone).year
    return f"{format_day(ts, zone, year=year)} {format_time(ts, zone, seconds=seconds)}"


def utc_date(ts: int) -> str:
    """Write the day of UTC as the roll-ups have it: `2026-11-21`."""
    return local(ts, dt.UTC).date().isoformat()


def format_step(ts: int, step: str, zone: dt.tzinfo) -> str:
    """Write an hour (`14:00`), a day (`Sat 21 Nov`) or a month (`Nov 2026`) by the instant at which it begins."""
    if step == "hour":
        return format_time(ts, zone)
    if step == "day":
        return format_day(ts, zone)
    at = local(ts, zone)
    return f"{MONTHS[at.month - 1]} {at.year}"


def zone_label(from_ts: int, to_ts: int, zone: dt.tzinfo) -> str:
    """Name the zone's time over a range: `CET`, or `CEST, then CET` when the clocks change within it."""
    first = local(from_ts, zone).tzname() or "local time"
    last = local(to_ts, zone).tzname() or "local time"
    return first if first == last else f"{first}, then {last}"


@functools.lru_cache(maxsize=64)
def time_ticks(from_ts: int, to_ts: int, zone: dt.tzinfo, every_min: int = 180) -> tuple[Tick, ...]:
    """Find the round local times of a range of up to a few days; local midnight bears the day's name.

    every_min: minutes between two, counted from local midnight; it divides a day. Walks in steps of UTC, so a
    change of summer time drops or repeats an hour as the wall clock does.
    """
    ticks = []
    first = -(-from_ts // _STEP_S) * _STEP_S
    for ts in range(first, to_ts + 1, _STEP_S):
        at = local(ts, zone)
        if (at.hour * 60 + at.minute) % every_min or at.fold:
            continue
        midnight = not at.hour and not at.minute
        label = f"{DAYS[at.weekday()]} {at.day}" if midnight else f"{at.hour:02d}:{at.minute:02d}"
        ticks.append(Tick(ts, label, midnight))
    return tuple(ticks)


@functools.lru_cache(maxsize=64)
def span_ticks(from_ts: int, to_ts: int, zone: dt.tzinfo) -> tuple[Tick, ...]:
    """Find the marks of a time axis of any length: minutes and hours, then days, Mondays, first days of months."""
    hours = (to_ts - from_ts) / 3600
    if hours <= 60:
        every_min = (
            360 if hours > 30 else 180 if hours > 12 else 60 if hours > 3 else 10 if hours > 0.5 else 1
        )
        return time_ticks(from_ts, to_ts, zone, every_min)
    days = hours / 24
    at = local(from_ts, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    ticks = []
    for _ in range(int(days) + 3):
        if from_ts <= (ts := int(at.timestamp())) <= to_ts and (label := _day_label(at, days)):
            ticks.append(Tick(ts, label, at.day == 1))
        at += dt.timedelta(days=1)  # by the wall clock: a day of the change of summer time has 23 or 25 hours
    return tuple(ticks)


def _day_label(at: dt.datetime, days: float) -> str:
    """The mark of a local midnight, empty where a span of so many days gets none."""
    if days <= 10:
        return f"{DAYS[at.weekday()]} {at.day}"
    if days <= 70:
        return f"{at.day} {MONTHS[at.month - 1]}" if at.weekday() == 0 else ""
    if at.day != 1 or (days > 800 and at.month != 1):
        return ""
    return str(at.year) if at.month == 1 else MONTHS[at.month - 1]
