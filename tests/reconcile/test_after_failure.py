"""What follows a failure: rule by rule, with the clock handed in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from little_world import NOW, Host, Real, alive, dead, kinds, override, plan_of, profile, row

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain import sight as seen
from llamaagent.domain.faults import PERMANENT
from llamaagent.domain.profile import Health, Restart, Update
from llamaagent.reconcile.again import Past
from llamaagent.reconcile.decide import Subject


def failed(reason: str = "crash", past: Past | None = None, **keys: object) -> Subject:
    over = row(status=st.ERROR, reason=reason, retry_ts=NOW - 1)._replace(**keys)
    return Subject("alpha", profile(), row=over, past=past or Past())


def test_each_failure_in_a_row_waits_twice_as_long() -> None:
    waits = []
    for before in range(8):
        (end,) = plan_of(Subject("alpha", profile(), row=row(restarts=before, ready_ts=None), sight=dead()))
        assert end.restarts == before
        waits.append((end.due_ts or 0) - NOW)
    for wait, plain in zip(waits, (10, 20, 40, 80, 160, 300, 300, 300), strict=True):
        assert 0.9 * plain <= wait <= 1.1 * plain + 1
    figures = {figure.name: figure.value for figure in end.arithmetic}
    assert figures == {"failures": 8, "wait_s": waits[-1]}


@pytest.mark.parametrize(("age_s", "before"), [(None, 0), (700, 0), (100, 4)])
def test_a_healthy_life_counts_by_the_clock_since_boot(age_s: int | None, before: int) -> None:
    """A wall clock that jumped forward makes no life longer than it was."""
    lived = row(restarts=4, ready_ts=NOW - 650, launched_ts=NOW - 660)
    (end,) = plan_of(Subject("alpha", profile(), row=lived, sight=dead(), age_s=age_s))
    assert end.restarts == before


@pytest.mark.parametrize("reason", sorted(PERMANENT))
def test_a_permanent_fault_waits_for_a_change(reason: str) -> None:
    (end,) = plan_of(Subject("alpha", profile(), row=row(), sight=dead(end_reason=reason)))
    assert (end.reason, end.due_ts) == (reason, None)
    assert kinds(failed(reason, retry_ts=None), NOW + 1_000_000) == []
    assert kinds(failed(reason, Past(changed="/m.gguf"))) == [(act.START, "changed-file")]
    assert kinds(failed(reason)._replace(profile=profile(launch_hash="h2"))) == [(act.START, "update")]
    assert kinds(failed(reason)._replace(override=override("start"))) == [(act.START, "override")]


def test_a_port_that_was_taken_counts_as_no_failure() -> None:
    (end,) = plan_of(Subject("alpha", profile(), row=row(restarts=2), sight=dead(end_reason="port-taken")))
    assert 18 <= (end.due_ts or 0) - NOW <= 22  # as after the second failure: this is no third


@pytest.mark.case("peers 5.15")
def test_too_many_failures_end_the_tries_until_something_changes() -> None:
    """Peers 5.15: five in two minutes must."""
    (given_up,) = plan_of(failed(past=Past(recent=5)))
    assert (given_up.kind, given_up.reason) == (act.GIVE_UP, "crash")
    assert {f.name: f.value for f in given_up.arithmetic} == {"failures": 5, "limit": 5, "within_s": 900}
    assert kinds(failed(past=Past(recent=4))) == [(act.START, "crash")]
    resting = failed(past=Past(recent=5), gave_up_ts=NOW - 1, retry_ts=None)
    assert kinds(resting, NOW + 1_000_000) == []
    assert kinds(resting._replace(past=Past(changed="/m.gguf"))) == [(act.START, "changed-file")]
    assert kinds(resting._replace(override=override("start"))) == [(act.START, "override")]
    assert kinds(resting._replace(profile=profile(launch_hash="h2"))) == [(act.START, "update")]
    endless = profile(restart=Restart(give_up_failures=None))
    assert kinds(failed(past=Past(recent=500))._replace(profile=endless)) == [(act.START, "crash")]


GOOD = Past(healthy_hash="good", declared_at="2026-01-01 00:00:00")


@pytest.mark.parametrize(("reason", "restarts", "back"), [
    ("bad-option", 0, True), ("start-timeout", 0, True), ("oom-gpu", 0, True),
    ("crash", 0, False), ("crash", 1, True), ("exited", 1, True), ("port-taken", 9, False), ("lost", 9, False),
])  # fmt: skip
def test_a_change_that_never_became_healthy_goes_back(reason: str, restarts: int, back: bool) -> None:
    found = failed(reason, GOOD, restarts=restarts, ready_ts=None)
    assert ((act.ROLLBACK, reason) in kinds(found)) is back


def test_what_was_healthy_once_or_may_not_go_back_does_not() -> None:
    bad = failed("bad-option", GOOD, ready_ts=None)
    assert kinds(bad)[0][0] == act.ROLLBACK
    assert kinds(bad._replace(past=GOOD._replace(ever_healthy=True))) == []
    assert kinds(bad._replace(past=Past())) == []
    assert kinds(bad._replace(profile=profile(update=Update(rollback=False)))) == []
    assert kinds(failed("crash", GOOD, restarts=1, ready_ts=NOW - 40)) == [(act.START, "crash")]


def test_after_a_roll_back_the_healthy_revision_is_started_at_once() -> None:
    rolled = failed("bad-option", GOOD, ready_ts=None)._replace(
        profile=profile(launch_hash="h0"), rolled_back=True
    )
    assert kinds(rolled) == [(act.START, "rollback")]


@pytest.mark.parametrize(("stalled_s", "stops"), [(None, True), (0, False), (299, False), (300, True)])
def test_only_time_without_progress_counts_towards_the_start_timeout(
    stalled_s: int | None, stops: bool
) -> None:
    """A load of twenty minutes that moves is left alone, a hung one is not."""
    loading = Subject(
        "alpha",
        profile(health=Health(start_timeout_s=300)),
        row=row(status=st.LOADING, launched_ts=NOW - 1200),
        sight=alive(health=seen.LOADING),
        age_s=1200,
        stalled_s=stalled_s,
    )
    assert (kinds(loading) == [(act.STOP, "start-timeout")]) is stops


@settings(max_examples=60, deadline=None)
@given(some.lists(some.tuples(some.integers(0, 199), some.integers(-10_000_000, 10_000_000)), max_size=4))
def test_a_clock_that_jumps_costs_one_early_try_and_no_more(jumps: list[tuple[int, int]]) -> None:
    """Facts 10: the back-off is neither stuck nor defeated, whichever way the wall clock is set."""
    declared = profile(restart=Restart(give_up_failures=None))
    crashing = Subject("alpha", declared, row=row(ready_ts=None, restarts=0), sight=None)
    host = Host((crashing,), {"alpha": Real(lives=False)})
    for step in range(200):  # of 10 seconds each
        host.step()
        host.real["alpha"] = Real(lives=False)  # it ends at once, each time
        host.now += 10 + sum(by for at, by in jumps if at == step)
    assert host.launches + len(jumps) >= 7
    assert host.launches <= 12 + len(jumps)
