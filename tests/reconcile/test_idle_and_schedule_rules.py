"""Stopping for idleness and by schedule, as `decide` sees it."""

from __future__ import annotations

from little_world import NOW, alive, dead, kinds, plan_of, profile, row

from llamaagent.domain import instance as st
from llamaagent.domain.profile import Idle, Schedule, Stop
from llamaagent.reconcile.decide import Subject

LAZY = profile(idle=Idle(stop_after_s=600), stop=Stop(drain_s=30, grace_s=10))
CLOSED = Schedule(("Mon 00:00-00:01",), "UTC")  # NOW is a Friday


def subject(**keys: object) -> Subject:
    return Subject("alpha", LAZY, row=row(), sight=alive())._replace(**keys)  # type: ignore[arg-type]


def test_a_server_that_nobody_asks_is_stopped() -> None:
    assert kinds(subject(idle_s=599)) == []
    assert kinds(subject(idle_s=None)) == []
    (stop,) = plan_of(subject(idle_s=600))
    assert (stop.kind, stop.reason, stop.signal, stop.due_ts) == ("stop", "idle", None, NOW + 30)
    assert dict(stop.arithmetic)["idle_s"] == 600


def test_a_request_that_came_after_the_decision_is_waited_for() -> None:
    """The decision sends no signal: the next look does, when it still sees no request."""
    stopping = row(status=st.STOPPING, stop_reason="idle", next_signal_ts=NOW + 30)
    assert kinds(subject(row=stopping, sight=alive(requests_processing=1))) == []
    assert kinds(subject(row=stopping, sight=alive(requests_processing=0))) == [("signal", "signal")]
    assert kinds(subject(row=stopping, sight=alive(requests_processing=1)), NOW + 30) == [
        ("signal", "signal")
    ]


def test_it_ends_as_stopped_and_is_not_started_again() -> None:
    stopping = row(status=st.STOPPING, stop_reason="idle", signals_sent=1)
    (end,) = plan_of(subject(row=stopping, sight=dead(exit_code=0)))
    assert (end.kind, end.reason, end.status, end.due_ts) == ("end", "idle", st.STOPPED, None)
    over = row(status=st.STOPPED, reason="idle")
    for later in (0, 60, 10**6):
        assert kinds(subject(row=over, sight=None), NOW + later) == []
    changed = LAZY._replace(launch_hash="h2")
    assert kinds(subject(row=over, sight=None, profile=changed)) == [("start", "declared")]


def test_one_that_loads_or_is_unhealthy_is_not_idle() -> None:
    assert kinds(subject(row=row(status=st.LOADING), sight=alive(health="loading"), idle_s=9999)) == []


def test_outside_its_schedule_nothing_runs_and_nothing_is_started() -> None:
    closed = LAZY._replace(schedule=CLOSED)
    assert kinds(subject(profile=closed)) == [("stop", "schedule")]
    assert kinds(subject(profile=closed, row=None, sight=None)) == []
    assert kinds(subject(profile=closed, row=row(status=st.CREATED), sight=None)) == [("cancel", "schedule")]
    assert kinds(subject(profile=closed, row=row(status=st.ERROR, reason="crash"), sight=None)) == []
    busy = plan_of(subject(profile=closed, sight=alive(requests_processing=2)))[0]
    assert busy.signal is None, "requests in flight are waited for"


def test_when_it_opens_it_is_started() -> None:
    opened = LAZY._replace(schedule=Schedule(("Mon 00:00-00:01", "Fri 00:00-24:00"), "UTC"))
    over = row(status=st.STOPPED, reason="schedule", since_ts=NOW - 90_000, ended_ts=NOW - 90_000)
    assert kinds(subject(profile=opened, row=over, sight=None)) == [("start", "schedule")]
