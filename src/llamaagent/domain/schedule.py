"""When the windows of a schedule are open, as the clock on the wall of its time zone shows it. Pure.

A window opens at the first moment at which the wall clock of its day shows its beginning or more, and closes behind
the last one at which it shows less than its end. So an hour that is left out in spring opens it at the change, and
one that comes twice in autumn opens it once, not twice. Days are those on which it begins; one that ends at or before
its beginning ends on the next day. Windows that meet are one.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from llamaagent.base.record import NamedTuple
from llamaagent.base.zone import find_zone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from llamaagent.domain.profile import Schedule

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HORIZON = 16  # days looked at on both sides; what is open for longer is always open
_DAY_MINUTES = 24 * 60


class Window(NamedTuple):
    """days: 0 = Monday; minutes of the day, end_minute beyond 1440 on the next day."""

    days: frozenset[int]
    begin_minute: int
    end_minute: int


class Place(NamedTuple):
    """Where a moment stands. since_ts: when this began, next_ts: when it ends; None = not within two weeks."""

    open: bool
    since_ts: int | None
    next_ts: int | None


def place(schedule: Schedule, now: int) -> Place:
    """Whether the schedule is open now. One whose time zone is not known any more is: nothing is stopped for that."""
    zone = find_zone(schedule.timezone)
    if zone is None:
        return Place(open=True, since_ts=None, next_ts=None)
    return place_in(tuple(parse_window(text) for text in schedule.windows), zone, now)


def parse_window(text: str) -> Window:
    """Read a window as loading leaves it: `Mon-Fri 08:00-18:00`, `Sat,Sun 22:00-06:00`, `09:00-24:00`."""
    days, _, hours = text.rpartition(" ")
    begin, end = (60 * int(clock[:2]) + int(clock[3:]) for clock in hours.split("-"))
    return Window(_days(days), begin, end if end > begin else end + _DAY_MINUTES)


def _days(text: str) -> frozenset[int]:
    if not text:
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        found |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return frozenset(found)


def place_in(windows: tuple[Window, ...], zone: tzinfo, now: int) -> Place:
    """Whether one of these windows is open."""
    today = datetime.fromtimestamp(now, zone).date()
    first, last = today - timedelta(days=_HORIZON), today + timedelta(days=_HORIZON)
    early = _instant(first + timedelta(days=2), 0, zone, last=False)
    late = _instant(last - timedelta(days=2), 0, zone, last=False)
    before: int | None = None
    for begin, end in _spans(windows, zone, first, last):
        if end <= now:
            before = end
        elif begin <= now:
            return Place(
                open=True, since_ts=begin if begin > early else None, next_ts=end if end < late else None
            )
        else:
            return Place(open=False, since_ts=before, next_ts=begin)
    return Place(open=False, since_ts=before, next_ts=None)


def _spans(windows: tuple[Window, ...], zone: tzinfo, first: date, last: date) -> list[tuple[int, int]]:
    """From when to when something is open, in order, those that meet joined."""
    made: list[tuple[int, int]] = []
    for begin, end in sorted(_single(windows, zone, first, last)):
        if made and begin <= made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], end))
        else:
            made.append((begin, end))
    return made


def _single(windows: tuple[Window, ...], zone: tzinfo, first: date, last: date) -> Iterator[tuple[int, int]]:
    day = first
    while day <= last:
        for window in windows:
            if day.weekday() in window.days:
                begin = _instant(day, window.begin_minute, zone, last=False)
                end = _instant(day, window.end_minute, zone, last=True)
                if begin < end:  # it may lie wholly in an hour that is left out
                    yield begin, end
        day += timedelta(days=1)


def _instant(day: date, minute: int, zone: tzinfo, *, last: bool) -> int:
    """Unix time at which the wall clock shows this minute of the day. last: of two such moments, the second."""
    naive = datetime.combine(day, time()) + timedelta(minutes=minute)
    early = _timestamp(naive, zone, fold=0)
    late = _timestamp(naive, zone, fold=1)
    if early == late:
        return early
    if early < late:  # it is shown twice
        again = last and _shown(late - 1, zone) < naive
        return late if again else early
    low, high = late, early  # it is left out: the moment of the change
    while low < high:
        middle = (low + high) // 2
        if _shown(middle, zone) >= naive:
            high = middle
        else:
            low = middle + 1
    return low


def _timestamp(naive: datetime, zone: tzinfo, *, fold: int) -> int:
    return int(naive.replace(tzinfo=zone, fold=fold).timestamp())


def _shown(ts: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(ts, zone).replace(tzinfo=None, fold=0)
