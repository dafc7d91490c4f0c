"""What holds for `decide` whatever the world is like."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as some
from little_world import NOW, Host, Real, override, profile, row

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain import sight as seen
from llamaagent.domain.profile import Health, Restart, Stop
from llamaagent.domain.wish import wish
from llamaagent.reconcile.decide import Subject

MODEST = settings(max_examples=150, deadline=None)


def _profiles(name: str) -> some.SearchStrategy[object]:
    return some.builds(
        lambda state, policy, backoff, drain, failures, hashed: profile(
            name,
            state=state,
            restart=Restart(policy=policy, backoff_s=backoff),
            stop=Stop(drain_s=drain, grace_s=10),
            health=Health(failures=failures),
            launch_hash=hashed,
        ),
        some.sampled_from(["running", "running", "stopped"]),
        some.sampled_from(["always", "on-failure", "never"]),
        some.sampled_from([0, 10, 900]),
        some.sampled_from([0, 30]),
        some.integers(1, 3),
        some.sampled_from(["h1", "h2"]),
    )


def _rows(name: str) -> some.SearchStrategy[object]:
    return some.none() | some.builds(
        lambda status, reason, retry, failures, sent: row(
            name,
            status,
            reason=reason if status in st.OVER else None,
            retry_ts=NOW + retry if status == st.ERROR else None,
            failures=failures,
            signals_sent=sent if status == st.STOPPING else 0,
        ),
        some.sampled_from([s for s in st.STATUSES if s != st.DELETED]),
        some.sampled_from(["crash", "exited", "lost", "override", "state"]),
        some.sampled_from([-100, 5, 100_000]),
        some.integers(0, 3),
        some.integers(0, 4),
    )


_REALS = some.builds(
    Real,
    some.booleans(),
    some.sampled_from([seen.OK, seen.OK, seen.LOADING, seen.REFUSED, seen.TIMEOUT]),
    some.sampled_from([15, 15, 9]),
    some.sampled_from([0, 0, 2]),
)
_OVERRIDES = some.none() | some.builds(
    lambda action, until, age: override(action, until_ts=until, created_ts=NOW - age),
    some.sampled_from(["start", "stop", "restart", "detach"]),
    some.sampled_from([None, NOW - 1, NOW + 100]),
    some.sampled_from([0, 1, 45]),
)


@some.composite
def hosts(draw: some.DrawFn, *, retired: bool = True) -> Host:
    subjects, real = [], {}
    for name in ("a", "b", "c", "d")[: draw(some.integers(1, 4))]:
        declared = draw((some.none() | _profiles(name)) if retired else _profiles(name))
        found = draw(_rows(name))
        said = draw(_OVERRIDES)
        subjects.append(Subject(name, declared, row=found, override=said and said._replace(profile=name)))
        real[name] = draw(_REALS)
        if found is None or found.status not in st.LIVE:
            real[name] = real[name]._replace(lives=False)
    return Host(tuple(subjects), real)


@MODEST
@given(hosts())
def test_what_was_decided_leads_to_a_world_in_which_nothing_is_left_to_do(host: Host) -> None:
    host.settle()
    before = host.launches
    assert all(action.kind in {act.FAILING, act.GUARD} for action in host.step())
    assert host.launches == before


@MODEST
@given(hosts())
def test_nothing_is_ever_started_beside_something_live(host: Host) -> None:
    for _ in range(12):
        live = {name for name, s in host.subjects.items() if s.row is not None and s.row.status in st.LIVE}
        started = {action.profile for action in host.step() if action.kind == act.START}
        assert not started & live


@MODEST
@given(hosts())
def test_one_step_at_a_time_and_stops_before_starts(host: Host) -> None:
    for _ in range(8):
        actions = [action for action in host.step() if action.kind != act.GUARD]
        names = [action.profile for action in actions]
        assert len(names) == len(set(names))
        order = [action.kind for action in actions]
        if act.START in order:
            assert set(order[order.index(act.START) :]) == {act.START}


@MODEST
@given(hosts(retired=False))
def test_in_the_end_what_is_wanted_runs_and_what_is_not_does_not(host: Host) -> None:
    host.real = {name: Real(lives=real.lives) for name, real in host.real.items()}
    host.settle()
    for name, subject in host.subjects.items():
        assert subject.profile is not None
        status = subject.row.status if subject.row is not None else None
        if not wish(subject.profile, subject.override, NOW).wanted:
            assert status is None or status in st.OVER or status == st.STOPPING
        elif status == st.ERROR:
            waits = (
                subject.row is not None and subject.row.retry_ts is not None and subject.row.retry_ts > NOW
            )
            assert waits or subject.profile.restart.policy != "always"
        else:
            assert status in {st.RUNNING, st.STOPPING}
        assert host.real[name].lives == (status in st.LIVE)


@MODEST
@given(hosts(), some.integers(1, 60))
def test_every_stop_comes_to_its_end_in_time(host: Host, step: int) -> None:
    """At most the drain, then three waits of the grace, then it is gone; a pass may come late by one step."""
    begun: dict[str, int] = {}
    for _ in range(100):
        host.step()
        for name, subject in host.subjects.items():
            if subject.row is not None and subject.row.status == st.STOPPING:
                assert host.now - begun.setdefault(name, host.now) <= 30 + 3 * 10 + 5 * step
            else:
                begun.pop(name, None)
        host.now += step


@MODEST
@given(hosts(retired=False), some.integers(100, 10_000_000))
def test_a_clock_set_back_freezes_nothing(host: Host, back: int) -> None:
    """Whatever was waited for with the old clock is not waited for longer than with the new one."""
    host.real = {name: real._replace(answers=seen.OK, busy=0) for name, real in host.real.items()}
    for _ in range(3):
        host.step()
    host.now -= back
    for _ in range(120):
        host.step()
        host.now += 30
    for subject in host.subjects.values():
        assert subject.row is None or subject.row.status in st.OVER | {st.RUNNING}
        if subject.row is not None and subject.row.status == st.ERROR and subject.profile is not None:
            wanted = wish(subject.profile, subject.override, host.now).wanted
            assert not wanted or subject.profile.restart.policy != "always"
