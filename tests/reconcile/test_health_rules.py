"""What a stall, a failed token and a process that outlives SIGKILL lead to, as pure decisions."""

from __future__ import annotations

import pytest
from little_world import NOW, alive, dead, kinds, plan_of, profile, row

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain import sight as seen
from llamaagent.domain.profile import Health, Restart
from llamaagent.domain.shown import is_problem, state
from llamaagent.domain.wish import Wish
from llamaagent.reconcile.decide import Subject

STUCK_ROW = row(status=st.UNHEALTHY, reason="stuck")


def subject(the_row: object, sight: object, **health: object) -> Subject:
    return Subject("alpha", profile(health=Health(**health)), row=the_row, sight=sight)  # type: ignore[arg-type]


@pytest.mark.parametrize(("stalled_s", "probe", "expected"), [
    (299, "auto", []), (300, "auto", [(act.STUCK, "stuck")]), (300, "none", []), (None, "auto", []),
])  # fmt: skip
def test_the_limit_makes_it_stuck(stalled_s: int | None, probe: str, expected: list[tuple[str, str]]) -> None:
    assert kinds(subject(row(), alive(stalled_s=stalled_s), probe=probe)) == expected


def test_never_makes_nothing_stuck() -> None:
    assert kinds(subject(row(), alive(stalled_s=10**6), stuck_after_s=None)) == []


def test_a_launch_that_loads_is_not_stuck() -> None:
    loading = row(status=st.LOADING)
    assert kinds(subject(loading, alive(health=seen.LOADING, stalled_s=10**6))) == []


def test_stuck_is_said_once_then_stopped_without_draining() -> None:
    stuck = subject(STUCK_ROW, alive(stalled_s=400, requests_processing=1))
    (stop,) = plan_of(stuck)
    assert (stop.kind, stop.reason, stop.signal) == (act.STOP, "stuck", "TERM")
    never = stuck._replace(profile=profile(restart=Restart(policy="never")))
    assert kinds(never) == []


def test_one_that_gets_on_again_recovers() -> None:
    assert kinds(subject(STUCK_ROW, alive(stalled_s=None))) == [(act.RECOVERED, "healthy")]


def test_what_was_not_found_out_decides_nothing() -> None:
    unsure = alive(health=seen.UNSURE)
    for status in (st.RUNNING, st.UNHEALTHY, st.LOADING):
        assert kinds(subject(row(status=status, failures=1), unsure)) == []


def test_a_failed_token_counts_and_is_told_in_its_own_words() -> None:
    sick = alive(health=seen.FAILED, detail="/completion for one token answered 500")
    (action,) = plan_of(subject(row(failures=2), sick))
    assert (action.kind, action.detail) == (act.UNHEALTHY, "/completion for one token answered 500")


def test_after_term_term_kill_it_is_unkillable_and_killed_again_in_each_grace() -> None:
    """Peers 5.9, with a scripted reading of /proc; tests/system/test_process_groups.py has a real one."""
    ending = row(status=st.STOPPING, signals_sent=3, next_signal_ts=NOW)
    (action,) = plan_of(subject(ending, alive(kernel_state="D")))
    assert (action.kind, action.reason, action.signal) == (act.STUCK, "unkillable", "KILL")
    assert "pid 10 waits in the kernel" in str(action.detail)
    later = ending._replace(next_signal_ts=action.due_ts, reason="unkillable")
    assert kinds(subject(later, alive(kernel_state="D"))) == []


def test_it_is_shown_as_stuck_and_is_a_problem_even_when_nobody_wants_it() -> None:
    stopped = Wish(wanted=False, reason="override", detail="stopped by ann")
    for status, reason in ((st.STOPPING, "unkillable"), (st.UNHEALTHY, "stuck")):
        assert state(status, reason, wish=stopped, now=NOW) == "stuck"
        assert is_problem(status, stopped, reason)
    assert not is_problem(st.STOPPING, stopped, "override")


def test_what_a_dead_server_left_is_stopped_before_its_end_is_recorded() -> None:
    """Peers 5.7, 5.10."""
    left = subject(row(), dead(others_alive=True))
    assert kinds(left) == [(act.STOP, "crash")]
    ending = row(status=st.STOPPING, stop_reason="crash", signals_sent=1, next_signal_ts=NOW + 9)
    assert kinds(left._replace(row=ending)) == []
    assert kinds(left._replace(row=ending, sight=dead())) == [(act.END, "crash")]
