"""When windows are open: examples, and the law of the wall clock tried minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from llamaagent.domain.profile import Schedule
from llamaagent.domain.schedule import Window, parse_window, place, place_in

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns",
    "Africa/Casablanca", "Pacific/Apia", "America/Sao_Paulo", "Asia/Tokyo",
]  # fmt: skip
STARTS = [
    datetime(2026, 3, 27, tzinfo=UTC),  # the change of spring in Europe is on the 29th
    datetime(2026, 10, 23, tzinfo=UTC),  # that of autumn on the 25th
    datetime(2026, 3, 6, tzinfo=UTC),  # America
    datetime(2026, 10, 30, tzinfo=UTC),
    datetime(2026, 4, 3, tzinfo=UTC),  # Lord Howe, by half an hour
    datetime(2026, 10, 2, tzinfo=UTC),
    datetime(2011, 12, 28, tzinfo=UTC),  # Apia left out a whole day
    datetime(2026, 7, 1, tzinfo=UTC),
]


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp())


def state(
    windows: str | tuple[str, ...], text: str, zone: str = "Europe/Berlin", fold: int = 0
) -> tuple[object, ...]:
    schedule = Schedule((windows,) if isinstance(windows, str) else windows, zone)
    found = place(schedule, at(text, ZoneInfo(zone), fold))
    shown = [
        None if ts is None else datetime.fromtimestamp(ts, ZoneInfo(zone)).strftime("%a %d %H:%M")
        for ts in (found.since_ts, found.next_ts)
    ]
    return (found.open, *shown)


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("Mon-Fri 08:00-18:00", Window(frozenset(range(5)), 480, 1080)),
        ("22:00-06:00", Window(frozenset(range(7)), 1320, 1800)),
        ("Sat-Mon 09:00-24:00", Window(frozenset({5, 6, 0}), 540, 1440)),
        ("Tue,Thu-Fri 00:00-00:30", Window(frozenset({1, 3, 4}), 0, 30)),
        ("Sun-Sun 01:00-02:00", Window(frozenset({6}), 60, 120)),
    ],
)
def test_a_window_is_read(text: str, window: Window) -> None:
    assert parse_window(text) == window


def test_working_hours() -> None:
    week = "Mon-Fri 08:00-18:00"
    assert state(week, "2026-11-25 07:59:59") == (False, "Tue 24 18:00", "Wed 25 08:00")
    assert state(week, "2026-11-25 08:00") == (True, "Wed 25 08:00", "Wed 25 18:00")
    assert state(week, "2026-11-25 17:59:59") == (True, "Wed 25 08:00", "Wed 25 18:00")
    assert state(week, "2026-11-27 18:00") == (False, "Fri 27 18:00", "Mon 30 08:00")


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    assert state("Fri 22:00-06:00", "2026-11-28 05:59") == (True, "Fri 27 22:00", "Sat 28 06:00")
    assert state("Fri 22:00-06:00", "2026-11-27 05:00") == (False, "Sat 21 06:00", "Fri 27 22:00")


def test_windows_that_meet_are_one_and_a_whole_week_never_ends() -> None:
    assert state(("08:00-12:00", "12:00-14:00"), "2026-11-25 12:00") == (True, "Wed 25 08:00", "Wed 25 14:00")
    assert state("00:00-24:00", "2026-11-25 12:00") == (True, None, None)
    assert state(("Mon-Fri 00:00-24:00", "Sat-Sun 00:00-24:00"), "2026-11-25 00:00") == (True, None, None)
    assert state(("06:00-22:00", "22:00-06:00"), "2026-11-25 03:00") == (True, None, None)


def test_an_hour_that_is_left_out() -> None:
    """29 March 2026: 02:00 to 03:00 do not exist."""
    assert state("02:30-05:00", "2026-03-29 03:00") == (True, "Sun 29 03:00", "Sun 29 05:00")
    assert state("01:00-02:30", "2026-03-29 01:59") == (True, "Sun 29 01:00", "Sun 29 03:00")
    assert state("Sun 02:15-02:45", "2026-03-29 03:00") == (False, "Sun 22 02:45", "Sun 05 02:15")


def test_an_hour_that_comes_twice() -> None:
    """25 October 2026: 02:00 to 03:00 are there twice; a window opens once, and not twice."""
    for fold in (0, 1):
        found = place(Schedule(("02:15-02:45",), "Europe/Berlin"), at("2026-10-25 02:30", fold=fold))
        assert found == (True, at("2026-10-25 02:15"), at("2026-10-25 02:45", fold=1))
    between = place(Schedule(("01:00-02:30",), "Europe/Berlin"), at("2026-10-25 02:50"))
    assert between == (True, at("2026-10-25 01:00"), at("2026-10-25 02:30", fold=1))
    before = place(Schedule(("01:00-02:00",), "Europe/Berlin"), at("2026-10-25 02:10"))
    assert (before.open, before.since_ts) == (False, at("2026-10-25 02:00"))


def test_a_zone_that_is_gone_stops_nothing() -> None:
    assert place(Schedule(("Mon 08:00-09:00",), "Europe/Nowhere"), 1_800_000_000) == (True, None, None)
    assert isinstance(place(Schedule(("Mon 08:00-09:00",), None), 1_800_000_000).open, bool)


_WINDOWS = some.lists(
    some.builds(
        lambda days, begin, length: Window(frozenset(days), begin, begin + length),
        some.sets(some.integers(0, 6), min_size=1),
        some.sampled_from([0, 60, 90, 105, 120, 135, 150, 180, 480, 1320, 1410, 1425]),
        some.sampled_from([15, 30, 45, 60, 90, 120, 480, 1000, 1380, 1440]),
    ),
    min_size=1,
    max_size=3,
)


def by_the_wall(windows: list[Window], zone: ZoneInfo, start: int, minutes: int) -> list[bool]:
    """Minute by minute: open from the first moment that shows the begin to the last that shows less than the end."""
    spare = 3 * 24 * 60
    times = range(start - spare * 60, start + (minutes + spare) * 60, 60)
    wall = [datetime.fromtimestamp(ts, zone).replace(tzinfo=None, fold=0) for ts in times]
    highest = list(wall)
    for i in range(1, len(wall)):
        highest[i] = max(highest[i], highest[i - 1])
    lowest = list(wall)
    for i in range(len(wall) - 2, -1, -1):
        lowest[i] = min(lowest[i], lowest[i + 1])
    days = sorted({one.date() for one in wall} | {wall[0].date() + timedelta(days=n) for n in range(12)})
    opened = [False] * len(wall)
    for day in days:
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - what the wall clock shows
        for window in windows:
            if day.weekday() in window.days:
                begin = midnight + timedelta(minutes=window.begin_minute)
                end = midnight + timedelta(minutes=window.end_minute)
                for i in range(len(wall)):
                    opened[i] = opened[i] or (highest[i] >= begin and lowest[i] < end)
    return opened[spare : spare + minutes]


@settings(max_examples=25, deadline=None)
@given(_WINDOWS, some.sampled_from(ZONES), some.sampled_from(STARTS), some.integers(0, 2 * 24 * 60))
def test_the_law_of_the_wall_clock(windows: list[Window], name: str, begin: datetime, shift: int) -> None:
    zone, minutes = ZoneInfo(name), 36 * 60
    start = int(begin.timestamp()) + shift * 60
    expected = by_the_wall(windows, zone, start, minutes)
    for i in range(0, minutes, 5):
        assert place_in(tuple(windows), zone, start + 60 * i).open == expected[i], (i, start)


@settings(max_examples=150, deadline=None)
@given(_WINDOWS, some.sampled_from(ZONES), some.integers(1_300_000_000, 1_900_000_000))
def test_what_is_foreseen_comes_true_and_not_a_second_before(
    windows: list[Window], name: str, now: int
) -> None:
    zone = ZoneInfo(name)
    found = place_in(tuple(windows), zone, now)
    if found.next_ts is not None:
        assert found.next_ts > now
        assert place_in(tuple(windows), zone, found.next_ts).open != found.open
        assert place_in(tuple(windows), zone, found.next_ts - 1).open == found.open
    else:
        assert found.open or name == "Pacific/Apia"
    if found.since_ts is not None:
        assert found.since_ts <= now
        assert place_in(tuple(windows), zone, found.since_ts).open == found.open
        assert place_in(tuple(windows), zone, found.since_ts - 1).open != found.open
