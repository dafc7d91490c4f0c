"""A pretended host for `decide`: servers that live, answer and obey or not, and rows that plans are applied to."""

from __future__ import annotations

from typing import NamedTuple

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain import sight as seen
from llamaagent.domain.instance import Instance
from llamaagent.domain.profile import ModelRef, Profile
from llamaagent.domain.sight import Sight
from llamaagent.domain.wish import Override
from llamaagent.reconcile.decide import Subject, World, decide

NOW = 1_800_000_000


def profile(name: str = "alpha", **keys: object) -> Profile:
    """A profile as loading would make it."""
    made = Profile(
        name=name, source=f"/site/{name}.yaml", line=1, model=ModelRef(path="/m.gguf"), launch_hash="h1"
    )
    return made._replace(**keys)  # type: ignore[arg-type]


def row(name: str = "alpha", status: str = st.RUNNING, **keys: object) -> Instance:
    """A row of a launch with everything that its status implies."""
    values: dict[str, object] = dict.fromkeys(Instance._fields)
    values |= {
        "id": 1,
        "profile": name,
        "kind": "process",
        "project": "default",
        "status": status,
        "since_ts": NOW - 60,
    }
    values |= {"created_ts": NOW - 60, "failures": 0, "restarts": 0, "signals_sent": 0}
    if status != st.CREATED:
        values |= {
            "launch_id": "aa",
            "launch_hash": "h1",
            "launched_ts": NOW - 60,
            "boot_id": "b",
            "host": "127.0.0.1",
        }
        values |= {"pid": 10, "start_ticks": 5, "wrapper_pid": 9, "wrapper_start_ticks": 4, "port": 8100}
    if status in {st.RUNNING, st.UNHEALTHY}:
        values["ready_ts"] = NOW - 50
    if status == st.STOPPING:
        values |= {"stop_reason": "override", "next_signal": "TERM", "next_signal_ts": NOW + 5}
    if status in st.OVER:
        values["ended_ts"] = NOW - 30
    return Instance(**(values | keys))  # type: ignore[arg-type]


def alive(**keys: object) -> Sight:
    """A healthy live server."""
    made = Sight(1, server_alive=True, wrapper_alive=True, health=seen.OK, http_status=200, listener="ours")
    return made._replace(requests_processing=0)._replace(**keys)  # type: ignore[arg-type]


def dead(**keys: object) -> Sight:
    """Everything gone, the exit status known."""
    return Sight(1, exit_known=True, exit_code=1)._replace(**keys)  # type: ignore[arg-type]


def override(action: str, **keys: object) -> Override:
    """An operator's word, said just now while the file said running."""
    return Override("alpha", action, NOW - 1, None, "running", "ann", None)._replace(**keys)  # type: ignore[arg-type]


def plan_of(subject: Subject, now: int = NOW) -> tuple[act.Action, ...]:
    """What is decided about one profile alone."""
    return decide(World(now, (subject,))).actions


def kinds(subject: Subject, now: int = NOW) -> list[tuple[str, str]]:
    """Kind and reason of every action about one profile."""
    return [(action.kind, action.reason) for action in plan_of(subject, now)]


class Real(NamedTuple):
    """How a server of the pretended host is. answers: what its health probe says."""

    lives: bool = False
    answers: str = seen.OK
    obeys: int = 15  # the weakest signal that ends it: 15, or 9
    busy: int = 0


class Host:
    """Subjects with what is real about them; `step` looks, decides and applies."""

    def __init__(self, subjects: tuple[Subject, ...], real: dict[str, Real], now: int = NOW) -> None:
        self.subjects = {subject.name: subject for subject in subjects}
        self.real = real
        self.now = now
        self.launches = 0

    def world(self) -> World:
        return World(self.now, tuple(s._replace(sight=self._sight(s)) for s in self.subjects.values()))

    def step(self) -> tuple[act.Action, ...]:
        actions = decide(self.world()).actions
        for action in actions:
            self._apply(action)
        return actions

    def settle(self, rounds: int = 80) -> None:
        """Step until nothing more comes of it.

        A failing probe is only counted, and that goes on for ever; but a few in a row lead to a stop, so only
        as many quiet steps as that takes show that nothing is left to do.
        """
        quiet = 0
        for _ in range(rounds):
            done = self.step()
            quiet = quiet + 1 if all(action.kind in {act.FAILING, act.GUARD} for action in done) else 0
            if quiet > 6:
                return
        raise AssertionError(f"does not settle: {self.step()}")

    def _sight(self, subject: Subject) -> Sight | None:
        if subject.row is None or subject.row.status not in st.LIVE:
            return None
        real = self.real[subject.name]
        if not real.lives:
            return dead()
        answers = real.answers
        return alive(
            health=answers, http_status=200 if answers == seen.OK else None, requests_processing=real.busy
        )

    def _apply(self, action: act.Action) -> None:
        if action.kind == act.GUARD:
            return
        subject, real = self.subjects[action.profile], self.real[action.profile]
        if action.kind == act.START:
            self.launches += 1
            restarts = (
                subject.row.restarts + 1 if subject.row is not None and subject.row.status == st.ERROR else 0
            )
            assert subject.profile is not None
            made = row(action.profile, st.LOADING, launched_ts=self.now, restarts=restarts)
            self._put(
                subject,
                made._replace(launch_hash=subject.profile.launch_hash),
                real._replace(lives=True, busy=0),
            )
            if subject.override is not None and subject.override.done_ts is None:
                said = subject.override._replace(done_ts=self.now)
                self.subjects[action.profile] = self.subjects[action.profile]._replace(override=said)
            return
        assert subject.row is not None
        self._put(subject, self._changed(subject.row, action), real)
        if action.kind == act.STOP and action.reason == "restart" and subject.override is not None:
            said = subject.override._replace(done_ts=self.now)
            self.subjects[action.profile] = self.subjects[action.profile]._replace(override=said)
        signal = {"TERM": 15, "KILL": 9}.get(action.signal or "")
        if (
            action.kind in {act.STOP, act.SIGNAL, act.STUCK}
            and signal is not None
            and (signal == 9 or real.obeys == 15)
        ):
            self.real[action.profile] = real._replace(lives=False)

    def _changed(self, old: Instance, action: act.Action) -> Instance:
        sent = 0 if action.signal is None else 1
        due = action.due_ts
        if action.kind == act.STOP:
            return old._replace(
                status=st.STOPPING, stop_reason=action.reason, next_signal_ts=due, signals_sent=sent
            )
        if action.kind == act.STUCK and old.status != st.STOPPING:
            return old._replace(status=st.UNHEALTHY, reason=action.reason)
        if action.kind in {act.SIGNAL, act.STUCK}:
            return old._replace(next_signal_ts=due, signals_sent=old.signals_sent + 1)
        if action.kind == act.END:
            ended = old._replace(status=action.status, reason=action.reason, retry_ts=due, ended_ts=self.now)
            return ended if action.restarts is None else ended._replace(restarts=action.restarts)
        if action.kind == act.GIVE_UP:
            return old._replace(gave_up_ts=self.now, retry_ts=None)
        status = {
            act.READY: st.RUNNING,
            act.UNHEALTHY: st.UNHEALTHY,
            act.RECOVERED: st.RUNNING,
            act.CANCEL: st.STOPPED,
        }
        failures = old.failures + 1 if action.kind in {act.FAILING, act.UNHEALTHY} else 0
        return old._replace(status=status.get(action.kind, old.status), failures=failures)

    def _put(self, subject: Subject, new: Instance, real: Real) -> None:
        self.subjects[subject.name] = subject._replace(row=new)
        self.real[subject.name] = real
