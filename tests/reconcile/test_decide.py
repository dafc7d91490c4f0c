"""One rule at a time: what is decided about a profile in a given situation."""

from __future__ import annotations

import pytest
from little_world import NOW, Host, Real, alive, dead, kinds, override, plan_of, profile, row

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain import sight as seen
from llamaagent.domain.profile import Health, Restart, Stop, Update
from llamaagent.reconcile.decide import Subject, World, decide


def subject(**keys: object) -> Subject:
    return Subject("alpha", profile(), row=row(), sight=alive())._replace(**keys)


def test_a_wanted_profile_without_a_row_is_started() -> None:
    assert kinds(subject(row=None, sight=None)) == [(act.START, "declared")]


def test_a_healthy_one_is_left_alone() -> None:
    assert kinds(subject()) == []


@pytest.mark.parametrize("status", [st.LOADING, st.RUNNING, st.UNHEALTHY, st.STOPPING])
def test_a_live_row_that_nobody_looked_at_is_not_judged(status: str) -> None:
    assert kinds(subject(row=row(status=status), sight=None)) == []


@pytest.mark.parametrize(("state", "said", "wanted", "reason"), [
    ("running", None, True, "declared"), ("stopped", None, False, "state"),
    ("running", "stop", False, "override"), ("running", "detach", False, "override"),
    ("running", "start", True, "override"),
])  # fmt: skip
def test_an_operators_word_goes_before_the_files(
    state: str, said: str | None, wanted: bool, reason: str
) -> None:
    word = override(said) if said else None
    found = kinds(subject(profile=profile(state=state), row=None, sight=None, override=word))
    assert found == ([(act.START, reason)] if wanted else [])
    found = kinds(subject(profile=profile(state=state), override=word))
    assert found == ([] if wanted else [(act.STOP, reason)])


def test_a_start_holds_for_a_file_that_says_stopped() -> None:
    word = override("start", state_seen="stopped")
    assert kinds(subject(profile=profile(state="stopped"), override=word)) == []


def test_a_word_is_over_with_its_time_or_with_a_change_of_the_file() -> None:
    assert kinds(subject(override=override("stop", until_ts=NOW + 1))) == [(act.STOP, "override")]
    assert kinds(subject(override=override("stop", until_ts=NOW))) == []
    assert kinds(subject(override=override("stop", state_seen="stopped"))) == []


def test_a_restart_stops_once() -> None:
    assert kinds(subject(override=override("restart"))) == [(act.STOP, "restart")]
    assert kinds(subject(override=override("restart", done_ts=NOW - 1))) == []


def test_a_changed_launch_hash_restarts_unless_told_otherwise() -> None:
    changed = profile(launch_hash="h2")
    assert kinds(subject(profile=changed)) == [(act.STOP, "update")]
    assert kinds(subject(profile=changed._replace(update=Update(restart="manual")))) == []
    assert kinds(subject(profile=profile(profile_hash="other", labels=(("a", "b"),)))) == []


def test_what_no_file_declares_is_retired_and_what_is_for_another_host_too() -> None:
    assert kinds(subject(profile=None)) == [(act.STOP, "retired")]
    assert kinds(subject(profile=None, gone_reason="host")) == [(act.STOP, "host")]
    assert kinds(subject(profile=None, row=row(status=st.CREATED), sight=None)) == [(act.CANCEL, "retired")]
    assert kinds(subject(profile=None, row=None, sight=None)) == []


def test_a_held_row_is_tried_again_or_let_go() -> None:
    held = row(status=st.CREATED)
    assert kinds(subject(row=held, sight=None)) == [(act.START, "declared")]
    assert kinds(subject(row=held, sight=None, override=override("stop"))) == [(act.CANCEL, "override")]


@pytest.mark.parametrize(("policy", "reason", "again"), [
    ("always", "crash", True), ("always", "exited", True),
    ("on-failure", "crash", True), ("on-failure", "exited", False), ("on-failure", "oom-gpu", True),
    ("never", "crash", False), ("never", "exited", False),
])  # fmt: skip
def test_the_policy_decides_what_follows_an_end(policy: str, reason: str, again: bool) -> None:
    over = row(status=st.ERROR, reason=reason, retry_ts=NOW - 1)
    declared = profile(restart=Restart(policy=policy))
    found = kinds(subject(profile=declared, row=over, sight=None))
    assert found == ([(act.START, reason)] if again else [])
    asked = subject(profile=declared, row=over, sight=None, override=override("start"))
    assert [kind for kind, _ in kinds(asked)] == [act.START]
    mended = subject(profile=declared._replace(launch_hash="h2"), row=over, sight=None)
    assert [kind for kind, _ in kinds(mended)] == [act.START]


def test_a_server_that_ended_by_itself_waits_for_its_back_off() -> None:
    declared = profile(restart=Restart(backoff_s=10))
    (end,) = plan_of(subject(profile=declared, sight=dead()))
    assert (end.kind, end.reason, end.status) == (act.END, "crash", st.ERROR)
    assert NOW + 9 <= (end.due_ts or 0) <= NOW + 11
    over = row(status=st.ERROR, reason="crash", retry_ts=NOW + 10)
    waiting = subject(profile=declared, row=over, sight=None)
    assert kinds(waiting, NOW + 9) == []
    assert kinds(waiting, NOW + 10) == [(act.START, "crash")]


def test_a_back_off_longer_than_the_longest_is_still_waited_for() -> None:
    declared = profile(restart=Restart(backoff_s=900, max_backoff_s=300))
    waiting = subject(
        profile=declared, row=row(status=st.ERROR, reason="crash", retry_ts=NOW + 900), sight=None
    )
    assert kinds(waiting) == []


def test_a_back_off_from_before_the_clock_was_set_back_is_not_waited_for() -> None:
    waiting = subject(row=row(status=st.ERROR, reason="crash", retry_ts=NOW + 100_000), sight=None)
    assert kinds(waiting) == [(act.START, "crash")]


def test_a_start_that_fails_at_once_is_not_asked_for_again_by_the_same_word() -> None:
    over = row(status=st.ERROR, reason="crash", launched_ts=NOW, ended_ts=NOW, retry_ts=NOW + 10)
    assert kinds(subject(row=over, sight=None, override=override("start", created_ts=NOW, done_ts=NOW))) == []


@pytest.mark.parametrize(("sight", "reason", "status"), [
    (dead(), "crash", st.ERROR),
    (dead(exit_known=False), "lost", st.ERROR),
    (dead(end_reason="oom-gpu"), "oom-gpu", st.ERROR),
    (alive(same_boot=False), "reboot", st.STOPPED),
])  # fmt: skip
def test_an_end_is_told_by_its_cause(sight: object, reason: str, status: str) -> None:
    (end,) = plan_of(subject(sight=sight))
    assert (end.kind, end.reason, end.status) == (act.END, reason, status)


def test_an_intent_without_a_process_was_not_launched() -> None:
    intent = row(status=st.LOADING, pid=None, start_ticks=None, wrapper_pid=None, wrapper_start_ticks=None)
    assert kinds(subject(row=intent, sight=dead(exit_known=False))) == [(act.END, "not-launched")]
    spawned = dead(exit_known=False, wrapper_alive=True)
    assert kinds(subject(row=intent, sight=spawned)) == []


def test_a_wrapper_that_still_writes_its_record_is_waited_for() -> None:
    assert kinds(subject(sight=dead(exit_known=False, wrapper_alive=True))) == []


def test_health_is_judged_by_probes_in_a_row() -> None:
    sick = alive(health=seen.TIMEOUT, http_status=None)
    declared = profile(health=Health(failures=3))
    assert kinds(subject(profile=declared, sight=sick)) == [(act.FAILING, "health")]
    assert kinds(subject(profile=declared, row=row(failures=2), sight=sick)) == [(act.UNHEALTHY, "health")]
    assert kinds(subject(profile=declared, row=row(failures=2))) == [(act.HEALED, "healthy")]
    unhealthy = row(status=st.UNHEALTHY, failures=3)
    assert kinds(subject(profile=declared, row=unhealthy, sight=sick)) == [(act.FAILING, "health")]
    assert kinds(subject(profile=declared, row=unhealthy)) == [(act.RECOVERED, "healthy")]
    worse = row(status=st.UNHEALTHY, failures=4)
    assert kinds(subject(profile=declared, row=worse, sight=sick)) == [(act.STOP, "health")]


def test_a_stranger_that_answers_on_the_port_makes_nothing_healthy() -> None:
    loading = row(status=st.LOADING, launched_ts=NOW - 5)
    assert kinds(subject(row=loading)) == [(act.READY, "healthy")]
    assert kinds(subject(row=loading, sight=alive(listener="stranger"))) == []
    assert kinds(subject(sight=alive(listener="stranger"))) == [(act.FAILING, "health")]


def test_loading_has_its_time() -> None:
    declared = profile(health=Health(start_timeout_s=60))
    sight = alive(health=seen.LOADING, http_status=503)
    loading = subject(profile=declared, row=row(status=st.LOADING, launched_ts=NOW - 59), sight=sight)
    assert kinds(loading) == []
    assert kinds(loading, NOW + 1) == [(act.STOP, "start-timeout")]
    endless = profile(health=Health(start_timeout_s=None))
    assert kinds(loading._replace(profile=endless), NOW + 100_000) == []


def test_a_stop_terms_twice_and_then_kills() -> None:
    declared = profile(stop=Stop(drain_s=30, grace_s=10))
    host = Host((subject(profile=declared, override=override("stop")),), {"alpha": Real(lives=True, obeys=9)})
    sent = []
    for _ in range(60):
        sent += [(host.now - NOW, action.kind, action.signal) for action in host.step()]
        host.now += 1
    assert sent == [
        (0, act.STOP, "TERM"),
        (10, act.SIGNAL, "TERM"),
        (20, act.SIGNAL, "KILL"),
        (21, act.END, None),
    ]


def test_requests_in_flight_are_waited_for() -> None:
    declared = profile(stop=Stop(drain_s=30, grace_s=10))
    wanted_off = subject(profile=declared, override=override("stop"), sight=alive(requests_processing=2))
    (stop,) = plan_of(wanted_off)
    assert (stop.kind, stop.signal, stop.due_ts) == (act.STOP, None, NOW + 30)
    draining = wanted_off._replace(row=row(status=st.STOPPING, next_signal_ts=NOW + 30))
    assert kinds(draining) == []
    assert kinds(draining._replace(sight=alive())) == [(act.SIGNAL, "signal")]
    assert kinds(draining, NOW + 30) == [(act.SIGNAL, "signal")]
    at_once = wanted_off._replace(profile=declared._replace(stop=Stop(drain_s=0)))
    assert plan_of(at_once)[0].signal == "TERM"
    never_healthy = subject(
        profile=declared, row=row(status=st.LOADING, launched_ts=NOW - 500),
        sight=alive(health=seen.LOADING, requests_processing=2),
    )  # fmt: skip
    assert plan_of(never_healthy)[0].signal == "TERM"


def test_the_next_signal_is_not_frozen_by_a_clock_set_back() -> None:
    stopping = subject(row=row(status=st.STOPPING, signals_sent=1, next_signal_ts=NOW + 100_000))
    assert kinds(stopping) == [(act.SIGNAL, "signal")]


def test_children_of_a_dead_server_are_stopped_before_the_end_is_told() -> None:
    left = dead(others_alive=True)
    stopping = row(status=st.STOPPING, signals_sent=1, next_signal_ts=NOW)
    assert kinds(subject(row=stopping, sight=left)) == [(act.SIGNAL, "signal")]
    assert kinds(subject(row=stopping, sight=dead())) == [(act.END, "override")]


def _several(retired: int, kept: int, *, approved: bool = False) -> list[tuple[str, str]]:
    names = [f"r{n}" for n in range(retired)] + [f"k{n}" for n in range(kept)]
    subjects = tuple(
        Subject(name, None if name.startswith("r") else profile(name), row=row(name), sight=alive())
        for name in names
    )
    return [(action.kind, action.profile) for action in decide(World(NOW, subjects, approved)).actions]


@pytest.mark.parametrize(("retired", "kept", "guarded"), [
    (2, 0, False), (3, 3, False), (3, 2, True), (3, 0, True), (4, 4, False), (5, 4, True),
])  # fmt: skip
def test_the_guard_stops_a_retirement_of_three_or_more_and_more_than_half(
    retired: int, kept: int, guarded: bool
) -> None:
    expected = act.GUARD if guarded else act.STOP
    assert _several(retired, kept) == [(expected, f"r{n}") for n in range(retired)]
    assert _several(retired, kept, approved=True) == [(act.STOP, f"r{n}") for n in range(retired)]


def test_a_guarded_profile_is_still_watched() -> None:
    subjects = [Subject(name, None, row=row(name), sight=alive()) for name in ("r0", "r1", "r2")]
    subjects[0] = subjects[0]._replace(sight=dead())
    found = [(action.kind, action.profile) for action in decide(World(NOW, tuple(subjects))).actions]
    assert (act.END, "r0") in found
    assert act.STOP not in [kind for kind, _ in found]
