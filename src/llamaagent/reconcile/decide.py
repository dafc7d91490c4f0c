"""What should happen now, from plain values to plain values. No I/O, no clock: `now` is handed in.

One call looks at one moment. The pass acts, looks again and calls again until nothing is left to do,
so each rule below needs to name only the next step of a launch, never a whole sequence.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.plan import Action, Arithmetic, Plan
from llamaagent.domain.wish import Override, Wish, in_force, wish
from llamaagent.reconcile.health import healthy, judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.sight import Sight
    from llamaagent.launch.outside import Outside

# Ends with which nothing was wrong: the launch reads `stopped`, and the next start is not held back.
# Every other end reads `error`.
_ASKED = frozenset({"override", "state", "retired", "host", "update", "restart", "reboot", "not-launched"})


class Subject(NamedTuple):
    """All that is known of one profile: its declaration, its newest row, what was seen of it."""

    name: str
    profile: Profile | None  # None: no file declares it and no last good revision is in force
    gone_reason: str = "retired"  # why profile is None: retired | host
    row: Instance | None = None
    sight: Sight | None = None
    override: Override | None = None
    age_s: int | None = None  # of its server, by a clock that nobody sets; None = not known
    counts: bool = True  # whether this look is a pass's own probe, and not one of those while it waits
    outside: Outside | None = None  # where a server that somebody else runs is, while it has no live row


class World(NamedTuple):
    """What one decision is made from."""

    now: int
    subjects: tuple[Subject, ...]
    approved: bool = False  # `--yes`, or an approval kept for this very set of retirements


def decide(world: World) -> Plan:
    """The next step of every profile, stops before starts (what is freed can be used at once)."""
    guarded = _guard(world)
    actions: list[Action] = list(guarded)
    for subject in world.subjects:
        if guarded and subject.profile is None and _is_watched(subject):
            continue  # stays in force with the others
        if guarded and subject.profile is None and _runs(subject):
            actions.extend(_watch_only(subject, world.now))
        else:
            actions.extend(_one(subject, world.now))
    order = {act.GUARD: 0, act.ADOPT: 1, act.END: 2, act.CANCEL: 3, act.SIGNAL: 4, act.STOP: 5, act.START: 9}
    actions.sort(key=lambda a: order.get(a.kind, 6))
    return Plan(tuple(actions))


def _runs(subject: Subject) -> bool:
    return subject.row is not None and subject.row.status in {st.LOADING, st.RUNNING, st.UNHEALTHY}


def _is_watched(subject: Subject) -> bool:
    """Whether it is somebody else's to start and stop: what runs, or else what is declared, is external."""
    row, profile = subject.row, subject.profile
    if row is not None and row.status in st.LIVE:
        return row.kind == "external"
    return profile is not None and profile.runtime.kind == "external"


def _guard(world: World) -> tuple[Action, ...]:
    """Three or more, and more than half of what runs, would be retired: someone emptied the wrong folder."""
    running = [s for s in world.subjects if _runs(s) and not _is_watched(s)]  # nobody stops those
    retired = [s.name for s in running if s.profile is None]
    if world.approved or len(retired) < 3 or 2 * len(retired) <= len(running):
        return ()
    names = ", ".join(sorted(retired))
    detail = f"{len(retired)} of {len(running)} running instances would be retired ({names}); none is"
    figures = (Arithmetic("retired", len(retired)), Arithmetic("running", len(running)))
    return tuple(Action(act.GUARD, name, None, "guard", detail, figures) for name in sorted(retired))


def _one(subject: Subject, now: int) -> list[Action]:
    row = subject.row
    want = _wish(subject, now)
    if _is_watched(subject):
        from llamaagent.reconcile.watched import follow

        return follow(subject, want, now)
    if row is None or row.status in st.OVER:
        return _over(subject, want, now)
    if row.status == st.CREATED:
        return _held(subject, want)
    if subject.sight is None:
        return []
    return _watch(subject, want, now)


def _wish(subject: Subject, now: int) -> Wish:
    if subject.profile is None:
        detail = "no file declares it" if subject.gone_reason == "retired" else "not declared for this host"
        return Wish(wanted=False, reason=subject.gone_reason, detail=detail)
    return wish(subject.profile, subject.override, now)


def _over(subject: Subject, want: Wish, now: int) -> list[Action]:
    """Nothing lives: start it, unless it has to wait or is to be left alone."""
    profile, row = subject.profile, subject.row
    if not want.wanted or profile is None:
        return []
    if row is not None and row.status == st.ERROR:
        asked = want.reason == "override" and _asked_since(subject.override, row)
        changed = row.launch_hash is not None and row.launch_hash != profile.launch_hash
        if not asked and not changed:
            if _stays_down(profile, row):
                return []
            # A longer wait than any we set was written before the clock was set back.
            longest = max(profile.restart.backoff_s, profile.restart.max_backoff_s)
            if row.retry_ts is not None and now < row.retry_ts <= now + longest:
                return []
    return [Action(act.START, subject.name, None, _start_reason(row, want), want.detail)]


def _asked_since(override: Override | None, row: Instance) -> bool:
    """Did an operator speak after this launch ended? A word that led to a launch is done and does not count."""
    if override is None or override.done_ts is not None:
        return False
    return override.action == "restart" or override.created_ts >= (row.ended_ts or 0)


def _start_reason(row: Instance | None, want: Wish) -> str:
    """Why this launch: what ended the one before it, when that says more than the wish."""
    if row is None or (
        row.status != st.ERROR and row.reason not in {"update", "restart", "reboot", "not-launched"}
    ):
        return want.reason
    return row.reason or want.reason


def _stays_down(profile: Profile, row: Instance) -> bool:
    if profile.restart.policy == "never":
        return True
    return profile.restart.policy == "on-failure" and row.reason == "exited"


def _held(subject: Subject, want: Wish) -> list[Action]:
    """A row without a launch: try again, or let go."""
    row = subject.row
    if row is None:
        return []
    if want.wanted:
        return [Action(act.START, subject.name, row.id, want.reason, want.detail)]
    return [Action(act.CANCEL, subject.name, row.id, want.reason, want.detail)]


def _watch_only(subject: Subject, now: int) -> list[Action]:
    """A guarded profile: record what happens to it, stop nothing."""
    return _watch(subject, Wish(wanted=True, reason="guard"), now)


def _watch(subject: Subject, want: Wish, now: int) -> list[Action]:
    """Something lives, or did a moment ago."""
    row, sight = subject.row, subject.sight
    if row is None or sight is None:
        return []
    ended = _ended(row, sight, subject.profile, now)
    if ended is not None:
        return ended
    if row.status == st.STOPPING:
        return _stopping(subject, row, sight, now)
    stop = _reason_to_stop(subject, row, want, now)
    if stop is not None:
        return [_stop(subject, row, sight, stop, now)]
    return judge(subject, row, sight, now)


def _ended(row: Instance, sight: Sight, profile: Profile | None, now: int) -> list[Action] | None:
    """END when the launch is over, [] when it is just ending, None when it lives."""
    if not sight.same_boot:
        return [_end(row, "reboot", "the machine was started again", profile, now)]
    if sight.server_alive:
        return None
    if row.pid is None and not sight.exit_known:
        if sight.wrapper_alive:
            return []  # spawned this moment: the next look knows its pid
        if sight.gone and row.wrapper_pid is None:
            return [_end(row, "not-launched", "the agent ended before the launch was made", profile, now)]
    if sight.wrapper_alive and not sight.exit_known:
        return []  # the wrapper is about to write the exit status
    if row.status == st.STOPPING and sight.others_alive:
        return None  # the leader is gone, its children are not: the stop goes on
    if row.status == st.STOPPING:
        return [_end(row, row.stop_reason or "override", _how(sight), profile, now)]
    reason = sight.end_reason or ("lost" if not sight.exit_known else "crash")
    return [_end(row, reason, sight.end_detail or _how(sight), profile, now)]


def _how(sight: Sight) -> str:
    if sight.exit_signal is not None:
        return f"ended by signal {sight.exit_signal}"
    if sight.exit_code is not None:
        return f"exit status {sight.exit_code}"
    return "exit status unknown"


def _end(row: Instance, reason: str, detail: str, profile: Profile | None, now: int) -> Action:
    status = st.STOPPED if reason in _ASKED else st.ERROR
    retry = None
    if profile is not None and reason not in _ASKED:
        retry = now + profile.restart.backoff_s
    return Action(act.END, row.profile, row.id, reason, detail, due_ts=retry, status=status)


def _reason_to_stop(subject: Subject, row: Instance, want: Wish, now: int) -> Wish | None:
    """None = leave it running."""
    profile = subject.profile
    if not want.wanted:
        return want
    if profile is None:
        return None
    override = subject.override
    if override is not None and _asks_restart(override, profile, now):
        return Wish(wanted=False, reason="restart", detail=want.detail)
    changed = row.launch_hash is not None and row.launch_hash != profile.launch_hash
    idle = subject.sight is not None and subject.sight.requests_processing == 0
    if changed and (profile.update.restart == "now" or (profile.update.restart == "when_idle" and idle)):
        return Wish(wanted=False, reason="update", detail="the profile changed")
    timeout = profile.health.start_timeout_s
    waited = now - (row.launched_ts or now) if subject.age_s is None else subject.age_s
    if row.status == st.LOADING and timeout is not None and waited >= timeout and not healthy(subject.sight):
        return Wish(wanted=False, reason="start-timeout", detail=f"not healthy after {waited} s")
    if (
        row.status == st.UNHEALTHY
        and row.failures > profile.health.failures
        and profile.restart.policy != "never"
    ):
        return Wish(wanted=False, reason="health", detail=f"{row.failures} health probes failed in a row")
    return None


def _asks_restart(override: Override, profile: Profile, now: int) -> bool:
    return override.action == "restart" and override.done_ts is None and in_force(override, profile, now)


def _stop(subject: Subject, row: Instance, sight: Sight, why: Wish, now: int) -> Action:
    """Begin to stop: wait for requests in flight, or signal at once when there are none."""
    drain = subject.profile.stop.drain_s if subject.profile is not None else 0
    grace = subject.profile.stop.grace_s if subject.profile is not None else 10
    busy = sight.requests_processing or 0
    figures = (Arithmetic("requests_processing", sight.requests_processing),)
    if busy and drain and why.reason not in {"start-timeout", "health"}:
        return Action(act.STOP, row.profile, row.id, why.reason, why.detail, figures, None, now + drain)
    return Action(act.STOP, row.profile, row.id, why.reason, why.detail, figures, "TERM", now + grace)


def _stopping(subject: Subject, row: Instance, sight: Sight, now: int) -> list[Action]:
    """Send the next signal when it is due. llama-server hangs on the first TERM while a client is connected."""
    grace = subject.profile.stop.grace_s if subject.profile is not None else 10
    wait = max(grace, subject.profile.stop.drain_s if subject.profile is not None else 0)
    # A due time further off than any wait we set was written before the clock was set back.
    due = row.next_signal_ts is None or now >= row.next_signal_ts or row.next_signal_ts > now + wait
    drained = row.signals_sent == 0 and sight.requests_processing == 0
    if not due and not drained:
        return []
    signal = "TERM" if row.signals_sent < 2 else "KILL"
    detail = f"SIG{signal}" + (" again" if row.signals_sent == 1 or row.signals_sent > 2 else "")
    return [Action(act.SIGNAL, row.profile, row.id, "signal", detail, signal=signal, due_ts=now + grace)]
