"""Who wins when wishes differ, what brings an idle profile back, and a clock that is set back."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from llamaagent.domain import instance as st
from llamaagent.domain.idle import Activity, idle_s, idle_stop
from llamaagent.domain.profile import Idle, Schedule
from llamaagent.domain.shown import is_problem, state
from llamaagent.domain.wish import wish

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "reconcile"))
from little_world import override, profile, row


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("UTC")).timestamp())


INSIDE, OUTSIDE = at("2026-11-25 12:00"), at("2026-11-25 20:00")
OPENS = at("2026-11-26 08:00")
WEEK = Schedule(("Mon-Fri 08:00-18:00",), "UTC")
WORKER = profile(schedule=WEEK)


def idle_row(ended_ts: int, **keys: object) -> object:
    return row(status=st.STOPPED, reason="idle", ended_ts=ended_ts, since_ts=ended_ts, **keys)


def test_a_schedule_wants_it_within_and_not_without() -> None:
    assert wish(WORKER, None, INSIDE)[:2] == (True, "schedule")
    found = wish(WORKER, None, OUTSIDE)
    assert (found.wanted, found.reason, found.until_ts) == (False, "schedule", OPENS)
    assert state(None, None, wish=found, now=OUTSIDE) == "outside schedule"
    assert state(st.ERROR, "crash", wish=found, now=OUTSIDE) == "outside schedule"
    assert not is_problem(st.STOPPED, found)


@pytest.mark.parametrize(
    ("word", "now", "expected"),
    [
        ("stop", INSIDE, (False, "override")),
        ("start", OUTSIDE, (True, "override")),
        ("detach", INSIDE, (False, "override")),
    ],
)
def test_an_operator_outranks_the_schedule(word: str, now: int, expected: tuple[bool, str]) -> None:
    assert wish(WORKER, override(word), now)[:2] == expected


def test_a_restart_said_within_the_schedule_does_not_prolong_it() -> None:
    assert wish(WORKER, override("restart", created_ts=INSIDE), OUTSIDE)[:2] == (False, "schedule")
    assert wish(WORKER, override("restart", created_ts=OUTSIDE), OUTSIDE + 60)[:2] == (True, "override")


def test_stopped_in_the_file_stays_stopped_within_the_schedule() -> None:
    stopped = WORKER._replace(state="stopped")
    assert wish(stopped, None, INSIDE)[:2] == (False, "state")
    assert wish(stopped, None, OUTSIDE) == (False, "schedule", "outside its schedule", None)


def test_the_clock_set_back_a_little_makes_no_change_twice() -> None:
    stopped = row(status=st.STOPPED, reason="schedule", since_ts=at("2026-11-25 18:00"))
    assert not wish(WORKER, None, at("2026-11-25 17:58"), stopped).wanted
    assert wish(WORKER, None, at("2026-11-25 15:00"), stopped).wanted, "that is no slip of the clock"
    begun = row(status=st.RUNNING, since_ts=at("2026-11-25 08:00"))
    assert wish(WORKER, None, at("2026-11-25 07:59"), begun).wanted
    assert not wish(WORKER, None, at("2026-11-25 06:00"), begun).wanted


@settings(max_examples=100, deadline=None)
@given(
    some.lists(some.integers(-900, 1200), min_size=50, max_size=300),
    some.sampled_from(["2026-11-25 06:30", "2026-11-25 17:00", "2026-11-27 17:30"]),
)
def test_a_clock_that_is_set_back_and_forth_makes_no_change_twice(steps: list[int], begin: str) -> None:
    """Whatever it does, short of an hour back: as many starts and stops as with a clock that only stood still."""
    now = highest = at(begin)
    seen = row(status=st.STOPPED, reason="state", since_ts=now)
    wanted, changes, plain = wish(WORKER, None, now, seen).wanted, 0, 0
    steadily = wanted
    for step in steps:
        now = max(now + step, highest - 3600)
        if now > highest:
            highest = now
            plain += wish(WORKER, None, highest).wanted != steadily
            steadily = wish(WORKER, None, highest).wanted
        if wish(WORKER, None, now, seen).wanted != wanted:
            wanted, changes, seen = not wanted, changes + 1, seen._replace(since_ts=now)
    assert changes == plain


def test_what_brings_back_a_profile_that_was_stopped_for_idleness() -> None:
    plain, ended = profile(idle=Idle(stop_after_s=60)), INSIDE - 100
    kept = idle_row(ended)
    found = wish(plain, None, INSIDE, kept)  # type: ignore[arg-type]
    assert found[:2] == (False, "idle")
    assert state(st.STOPPED, "idle", wish=found, now=INSIDE) == "idle"
    assert not is_problem(st.STOPPED, found)
    assert wish(plain, override("start", created_ts=INSIDE), INSIDE, kept).wanted  # type: ignore[arg-type]
    assert wish(plain, override("restart", created_ts=INSIDE), INSIDE, kept).wanted  # type: ignore[arg-type]
    assert not wish(plain, override("restart", created_ts=ended - 1), INSIDE, kept).wanted  # type: ignore[arg-type]
    assert wish(plain._replace(launch_hash="h2"), None, INSIDE, kept).wanted  # type: ignore[arg-type]
    for later in (1, 3600, 86400, 365 * 86400):
        assert not wish(plain, None, INSIDE + later, kept).wanted  # type: ignore[arg-type]


def test_the_next_window_brings_it_back_and_not_the_one_it_was_stopped_in() -> None:
    kept = idle_row(INSIDE - 100)
    found = wish(WORKER, None, INSIDE, kept)  # type: ignore[arg-type]
    assert (found.wanted, found.reason, found.until_ts) == (False, "idle", OPENS)
    assert wish(WORKER, None, OUTSIDE, kept)[:2] == (False, "schedule")  # type: ignore[arg-type]
    assert wish(WORKER, None, OPENS, kept)[:2] == (True, "schedule")  # type: ignore[arg-type]
    always = profile(schedule=Schedule(("00:00-24:00",), "UTC"))
    assert not wish(always, None, OPENS, kept).wanted  # type: ignore[arg-type]


SEEN = Activity(100, 1000, 50)


@pytest.mark.parametrize(
    ("tokens", "busy", "now", "boottime", "expected"),
    [
        (100, 0, 1600, 650, 600),
        (100, 0, 8800, 650, 600),  # peers 5.16: two hours forward by hand
        (100, 0, 1600, 7850, 600),  # suspended, and the wall clock not set after it
        (100, 0, 500, 650, 0),  # set back: never negative
        (100, 0, 1600, 10, 0),
        (101, 0, 1600, 650, None),  # tokens moved
        (99, 0, 1600, 650, None),
        (100, 1, 1600, 650, None),  # peers 5.18: a long answer, and no new request
        (None, 0, 1600, 650, None),  # not known is not idle
        (100, None, 1600, 650, None),
    ],
)
def test_idleness_by_both_clocks(
    tokens: int | None, busy: int | None, now: int, boottime: int, expected: int | None
) -> None:
    assert idle_s(SEEN, tokens, busy, now, boottime) == expected


def test_nothing_is_idle_before_anything_is_known_of_it() -> None:
    assert idle_s(Activity(), 0, 0, 10**9, 10**9) is None


def test_an_operators_start_outranks_idleness() -> None:
    plain = profile(idle=Idle(stop_after_s=60))
    assert idle_stop(plain, None, 59, INSIDE) is None
    assert idle_stop(profile(), None, 10**9, INSIDE) is None
    assert idle_stop(plain, override("start"), 600, INSIDE) is None
    found = idle_stop(plain, override("start", until_ts=INSIDE), 600, INSIDE)
    assert found is not None
    assert (found.wanted, found.reason, found.detail) == (False, "idle", "nobody asked for 600 s")
