"""What should happen now, from plain values to plain values. No I/O, no clock: `now` is handed in.

One call looks at one moment. The pass acts, looks again and calls again until nothing is left to do,
so each rule below needs to name only the next step of a launch, never a whole sequence.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.faults import ASKED, PERMANENT, UNCOUNTED
from llamaagent.domain.plan import Action, Arithmetic, Plan
from llamaagent.domain.wish import Override, Wish, in_force, wish
from llamaagent.reconcile.health import healthy, judge, past_bearing, remains, unkillable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.sight import Sight
    from llamaagent.launch.outside import Outside
    from llamaagent.reconcile.again import Past

_ALL_SIGNALS = 3  # TERM, TERM, KILL


class Subject(NamedTuple):
    """All that is known of one profile: its declaration, its newest row, what was seen of it."""

    name: str
    profile: Profile | None  # None: no file declares it and no last good revision is in force
    gone_reason: str = "retired"  # why profile is None: retired | host
    row: Instance | None = None
    sight: Sight | None = None
    override: Override | None = None
    age_s: int | None = None  # of its server, by a clock that nobody sets; None = not known
    idle_s: int | None = None  # since it was last used, by both clocks; None = in use, or not known
    counts: bool = True  # whether this look is a pass's own probe, and not one of those while it waits
    stalled_s: int | None = None  # loading: how long without progress; None = not known
    rolled_back: bool = False  # the profile in force is not the declared one, which never became healthy
    past: Past | None = None  # of a failed launch; None = not asked
    off_card: bool | None = (
        None  # nothing of it is on its card: was the launch before it ended for that? None: no
    )
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
    return wish(subject.profile, subject.override, now, subject.row)


def _over(subject: Subject, want: Wish, now: int) -> list[Action]:
    """Nothing lives: start it, unless it has to wait or is to be left alone."""
    profile, row = subject.profile, subject.row
    if not want.wanted or profile is None:
        return []
    if row is not None and row.status == st.ERROR:
        from llamaagent.reconcile.again import after_failure

        return after_failure(subject, profile, row, want, now)
    return [Action(act.START, subject.name, None, _start_reason(row, want), want.detail)]


def _start_reason(row: Instance | None, want: Wish) -> str:
    """Why this launch: what ended the one before it, when that says more than the wish."""
    if row is None or row.reason not in {"update", "restart", "reboot", "not-launched"}:
        return want.reason
    return row.reason


def _held(subject: Subject, want: Wish) -> list[Action]:
    """A row without a launch: try again, or let go."""
    row = subject.row
    if row is None:
        return []
    kind = act.START if want.wanted else act.CANCEL
    return [Action(kind, subject.name, row.id, want.reason, want.detail)]


def _watch_only(subject: Subject, now: int) -> list[Action]:
    """A guarded profile: record what happens to it, stop nothing."""
    return _watch(subject, Wish(wanted=True, reason="guard"), now)


def _watch(subject: Subject, want: Wish, now: int) -> list[Action]:
    """Something lives, or did a moment ago."""
    row, sight = subject.row, subject.sight
    if row is None or sight is None:
        return []
    ended = _ended(subject, row, sight, now)
    if ended is not None:
        return ended
    if row.status == st.STOPPING:
        return _stopping(subject, row, sight, now)
    stop = remains(sight) or _reason_to_stop(subject, row, want, now)
    if stop is not None:
        return [_stop(subject, row, sight, stop, now)]
    return judge(subject, row, sight, now)


def _ended(subject: Subject, row: Instance, sight: Sight, now: int) -> list[Action] | None:
    """END when the launch is over, [] when it is just ending, None when it lives."""
    if not sight.same_boot:
        detail = sight.end_detail or "the machine was started again"
        return [_end(subject, row, "reboot", detail, now)]
    if sight.server_alive:
        return None
    if row.pid is None and not sight.exit_known:
        if sight.wrapper_alive:
            return []  # spawned this moment: the next look knows its pid
        if sight.gone and row.wrapper_pid is None:
            return [_end(subject, row, "not-launched", "the agent ended before the launch was made", now)]
    if sight.wrapper_alive and not sight.exit_known:
        return []  # the wrapper is about to write the exit status
    if sight.others_alive:
        return None  # the leader is gone, its children are not: they are stopped first
    if row.status == st.STOPPING:
        why = row.stop_reason or "override"
        told = _how(sight) if why in ASKED - {"evicted"} or not row.detail else f"{row.detail}; {_how(sight)}"
        return [_end(subject, row, why, told, now)]
    reason = sight.end_reason or ("lost" if not sight.exit_known else "crash")
    return [_end(subject, row, reason, sight.end_detail or _how(sight), now)]


def _how(sight: Sight) -> str:
    if sight.exit_signal is not None:
        return f"ended by signal {sight.exit_signal}"
    if sight.exit_code is not None:
        return f"exit status {sight.exit_code}"
    return "exit status unknown"


def _end(subject: Subject, row: Instance, reason: str, detail: str, now: int) -> Action:
    """The launch is over: what it reads now, when the next try is due, and how many failures that makes in a row."""
    if reason in ASKED or subject.profile is None:
        status = st.STOPPED if reason in ASKED else st.ERROR
        return Action(act.END, row.profile, row.id, reason, detail, status=status)
    from llamaagent.domain.backoff import delay_s, restarts_before

    rule = subject.profile.restart
    before = restarts_before(row.restarts, _healthy_s(subject, row, now), rule.reset_after_s)
    due: int | None = None
    figures: tuple[Arithmetic, ...] = (Arithmetic("failures", before + 1),)
    if reason not in PERMANENT:
        wait = delay_s(rule, before + (reason not in UNCOUNTED), row.launch_id or row.profile)
        due, figures = now + wait, (*figures, Arithmetic("wait_s", wait))
    return Action(
        act.END, row.profile, row.id, reason, detail, figures, due_ts=due, status=st.ERROR, restarts=before
    )


def _healthy_s(subject: Subject, row: Instance, now: int) -> int:
    """How long it was healthy at most: the clock since boot keeps a wall clock that was set from making it longer."""
    if row.ready_ts is None:
        return 0
    lived = max(0, now - row.ready_ts)
    return lived if subject.age_s is None else min(lived, subject.age_s)


def _reason_to_stop(subject: Subject, row: Instance, want: Wish, now: int) -> Wish | None:
    """None = leave it running."""
    profile = subject.profile
    if not want.wanted:
        return want
    if profile is None:
        return None
    if subject.override is not None and _asks_restart(subject.override, profile, now):
        return Wish(wanted=False, reason="restart", detail=want.detail)
    changed = row.launch_hash is not None and row.launch_hash != profile.launch_hash
    idle = subject.sight is not None and subject.sight.requests_processing == 0
    if changed and (profile.update.restart == "now" or (profile.update.restart == "when_idle" and idle)):
        return Wish(wanted=False, reason="update", detail="the profile changed")
    if row.status == st.RUNNING and (unused := _unused(subject, profile, now)) is not None:
        return unused
    if row.status == st.LOADING:
        return _too_slow(subject, row, profile, now)
    return past_bearing(profile, row, subject.sight, subject.off_card)


def _too_slow(subject: Subject, row: Instance, profile: Profile, now: int) -> Wish | None:
    """Only time without progress counts: a slow disk or a long download is no fault of the server."""
    timeout = profile.health.start_timeout_s
    waited = now - (row.launched_ts or now) if subject.age_s is None else subject.age_s
    still = waited if subject.stalled_s is None else min(waited, subject.stalled_s)
    if timeout is None or still < timeout or healthy(subject.sight):
        return None
    return Wish(
        wanted=False,
        reason="start-timeout",
        detail=f"not healthy after {waited} s, and no progress for {still} s",
    )


def _unused(subject: Subject, profile: Profile, now: int) -> Wish | None:
    if subject.idle_s is None:
        return None
    from llamaagent.domain.idle import idle_stop

    return idle_stop(profile, subject.override, subject.idle_s, now)


def _asks_restart(override: Override, profile: Profile, now: int) -> bool:
    return override.action == "restart" and override.done_ts is None and in_force(override, profile, now)


def _stop(subject: Subject, row: Instance, sight: Sight, why: Wish, now: int) -> Action:
    """Begin to stop: wait for requests in flight, or signal at once when there are none."""
    drain = subject.profile.stop.drain_s if subject.profile is not None else 0
    grace = subject.profile.stop.grace_s if subject.profile is not None else 10
    figures: tuple[Arithmetic, ...] = (Arithmetic("requests_processing", sight.requests_processing),)
    if why.reason == "idle":  # the next look asks again for requests: one may have come in this moment
        figures = (*figures, Arithmetic("idle_s", subject.idle_s))
        return Action(act.STOP, row.profile, row.id, why.reason, why.detail, figures, None, now + drain)
    if sight.requests_processing and drain and why.reason not in {"start-timeout", "health", "stuck"}:
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
    if row.signals_sent >= _ALL_SIGNALS:
        return [unkillable(row, sight, grace, now)]
    signal = "TERM" if row.signals_sent < 2 else "KILL"
    detail = f"SIG{signal}" + (" again" if row.signals_sent == 1 else "")
    return [Action(act.SIGNAL, row.profile, row.id, "signal", detail, signal=signal, due_ts=now + grace)]
