"""Doing what was decided, one action at a time, each with its own short transaction."""

from __future__ import annotations

from llamaagent.base.errors import LlamaAgentError, StorageError
from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.backoff import delay_s
from llamaagent.domain.faults import UNCOUNTED
from llamaagent.domain.lifecycle import follows
from llamaagent.domain.plan import Action
from llamaagent.domain.probe import DUE_START
from llamaagent.launch.ending import signal_launch
from llamaagent.reconcile.gates import HeldError, ask_before_change
from llamaagent.reconcile.props import learn_from_props
from llamaagent.reconcile.starting import held, launch, prepare
from llamaagent.store.supervision import SupervisionStore
from llamaagent.store.watched import WatchedStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Borders, Context
    from llamaagent.reconcile.observe import View

_SIGNALS = {"TERM": 15, "KILL": 9}


def perform(
    ctx: Context,
    action: Action,
    rows: Mapping[str, Instance],
    profiles: Mapping[str, Profile],
    view: View,
    borders: Borders,
) -> Action:
    """Do one action; gives what really happened (a start that is refused becomes a hold).

    Raises LifecycleError, with nothing done, for an action that the table of states does not know.
    """
    row = rows.get(action.profile)
    follows(row.status if row is not None else None, action)
    now = ctx.clock.now()
    if action.kind in {act.HOLD, act.WAIT}:
        return _not_now(ctx, action, row, profiles[action.profile], now)
    if action.kind == act.ADOPT:  # of a server that somebody else runs
        return _watch(ctx, action, row, profiles[action.profile], now)
    if action.kind == act.START:
        done = _start(ctx, action, row, profiles[action.profile], borders)
    elif action.kind == act.GUARD:
        if ctx.journal.note(action, now):
            tell(ctx, action, now)
        return action
    elif row is None:
        return action
    elif action.kind == act.STUCK:
        return _stuck(ctx, action, row, now)
    elif act.is_change(action) and action.profile in profiles:
        done = _change(ctx, action, row, profiles[action.profile], borders, now)
    else:
        done = _with_row(ctx, action, row, profiles.get(action.profile), view, now)
    if done.kind not in {act.HOLD, act.WAIT}:  # told where it is made, when it is news
        tell(ctx, done, now)
    return done


def _not_now(ctx: Context, action: Action, row: Instance | None, profile: Profile, now: int) -> Action:
    """Held: what is not launched, what runs and is to be launched anew, or what somebody else runs."""
    lives = row is not None and row.status in st.LIVE
    if row is not None and lives and row.kind != "external":
        return _runs_on(ctx, action, row, now)
    if profile.runtime.kind != "external" and not lives:
        return _hold(ctx, action, row, profile, now)
    return _watch(ctx, action, row, profile, now)


def _watch(ctx: Context, action: Action, row: Instance | None, profile: Profile, now: int) -> Action:
    from llamaagent.reconcile.external import watch

    done, news = watch(ctx, action, row, profile)
    if news:
        tell(ctx, done, now)
    return done


def _signal(ctx: Context, row: Instance, name: str) -> None:
    """Signal what we run; what we only watch is never signalled, whatever was decided."""
    if row.kind == "container":
        from llamaagent.reconcile.containers import signal_container

        signal_container(ctx, row, name)
    elif row.kind != "external":
        signal_launch(row.wrapper, row.server, row.launch_id, _SIGNALS[name])


def _change(
    ctx: Context, action: Action, row: Instance, profile: Profile, borders: Borders, now: int
) -> Action:
    """Stop what runs for a changed profile or a restart, unless that cannot be launched: then the old one runs on."""
    try:
        ask_before_change(ctx, profile, row, borders.gpus())
    except HeldError as error:
        return _runs_on(ctx, held(profile, error)._replace(instance_id=row.id), row, now)
    _stop(ctx, action, row, now)
    return action


def _runs_on(ctx: Context, action: Action, row: Instance, now: int) -> Action:
    """A change or a restart that is refused, or waits for room: told, and nothing is stopped.

    A restart that is refused is answered with that; it does not happen hours later.
    """
    if ctx.journal.note(action, now):
        tell(ctx, action, now)
    said = ctx.wishes.overrides().get(row.profile)
    if action.kind == act.HOLD and said is not None and said.action == "restart" and said.done_ts is None:
        ctx.wishes.done(row.profile, now)
    return action


def _with_row(
    ctx: Context, action: Action, row: Instance, profile: Profile | None, view: View, now: int
) -> Action:
    store = ctx.instances
    if action.kind == act.READY:
        _ready(ctx, action, row, profile, now)
    elif action.kind == act.UNHEALTHY:
        store.change(row.id, follows(row.status, action), row.failures + 1, action, now)
    elif action.kind == act.RECOVERED:
        store.change(row.id, follows(row.status, action), 0, action, now)
    elif action.kind == act.FAILING:
        store.failures(row.id, row.failures + 1)
    elif action.kind == act.HEALED:
        store.failures(row.id, 0)
    elif action.kind == act.CANCEL:
        store.ended(row, action._replace(status=st.STOPPED), None, None, now, now)
    elif action.kind in {act.STOP, act.EVICT}:
        _stop(ctx, action, row, now)
    elif action.kind == act.SIGNAL:
        store.next_signal(row.id, "TERM" if row.signals_sent == 0 else "KILL", action.due_ts, action, now)
        _signal(ctx, row, action.signal or "TERM")
    elif action.kind == act.END:
        from llamaagent.reconcile.ends import end

        return end(ctx, action, row, profile, view, now)
    else:
        _resign(ctx, action, row, now)
    return action


def _resign(ctx: Context, action: Action, row: Instance, now: int) -> None:
    """After failures: no more tries, or no more of what was changed. The launch itself stays as it ended."""
    if action.kind == act.GIVE_UP:
        SupervisionStore(ctx.db).give_up(row.id, action, now)
    elif action.kind == act.ROLLBACK:
        with ctx.db:
            ctx.wishes.refuse(row.profile, row.launch_hash or "", f"{row.reason}: {row.detail or '-'}", now)
            ctx.journal.note(action, now)


def _ready(ctx: Context, action: Action, row: Instance, profile: Profile | None, now: int) -> None:
    with ctx.db:
        ctx.instances.ready(row.id, action, now)
        if profile is not None and profile.health.probe == "auto":
            WatchedStore(ctx.db).due(row.id, DUE_START)
    ctx.wishes.healthy(row.profile, row.profile_hash or "", now)
    learn_from_props(ctx, row, profile)


def _stuck(ctx: Context, action: Action, row: Instance, now: int) -> Action:
    """Busy and getting nowhere: unhealthy. Alive after SIGKILL: signalled again, told when it is news."""
    if row.status != st.STOPPING:
        ctx.instances.change(row.id, st.UNHEALTHY, row.failures, action, now)
        tell(ctx, action, now)
        return action
    with ctx.db:
        WatchedStore(ctx.db).unkillable(row.id, action)
        news = ctx.journal.decide(action, row.id, now)
    if news:
        tell(ctx, action, now)
    _signal(ctx, row, "KILL")
    return action


def _start(
    ctx: Context,
    action: Action,
    row: Instance | None,
    profile: Profile,
    borders: Borders,
) -> Action:
    now = ctx.clock.now()
    reserved = ctx.instances.reservations()
    on = tuple(uuid for uuid, _ in action.cards)
    try:
        rows = ctx.instances.newest()  # this very pass may have launched one that does not listen yet
        prepared = prepare(ctx, profile, rows, borders.gpus(), borders.git(), on)
    except HeldError as error:
        restarts = _restarts(row, profile, action)
        return _hold(ctx, held(profile, error)._replace(restarts=restarts), row, profile, now)
    done = action._replace(arithmetic=prepared.arithmetic)
    ctx.checkpoint("before-intent")
    with ctx.db:
        overtaken = ctx.instances.reservations() != reserved
        if not overtaken:
            ctx.samples.know_gpus(borders.gpus().cards, prepared.intent.boot_id, now)
            instance_id, _ = _held_row(ctx, done, row, profile, now)
            ctx.instances.intend(instance_id, prepared.intent, prepared.claims, done, now)
            ctx.wishes.done(profile.name, now)  # a restart of what was not running
    if overtaken:  # somebody was lent a card between the look and the transaction
        return _start(ctx, action, row, profile, borders)
    try:
        launch(ctx, prepared, instance_id)
    except StorageError:
        raise
    except LlamaAgentError as error:
        return _not_launched(ctx, profile, instance_id, error)
    return done._replace(instance_id=instance_id)


def _hold(ctx: Context, action: Action, row: Instance | None, profile: Profile, now: int) -> Action:
    """Wanted and not launched now: the held row says why, and the journal when it is news."""
    instance_id, news = _held_row(ctx, action, row, profile, now)
    if news:
        tell(ctx, action, now)
    return action._replace(instance_id=instance_id)


def _held_row(
    ctx: Context, action: Action, row: Instance | None, profile: Profile, now: int
) -> tuple[int, bool]:
    hashes = (profile.launch_hash, profile.profile_hash)
    more: dict[str, object] = {"project": profile.project, "model_path": profile.model.path}
    more["restarts"] = _restarts(row, profile, action) if action.restarts is None else action.restarts
    return ctx.instances.hold(row, profile.name, profile.runtime.kind, hashes, action, now, **more)


def _not_launched(ctx: Context, profile: Profile, instance_id: int, error: LlamaAgentError) -> Action:
    """The spawn itself failed, so no process exists: the launch is over, and is tried again after the back-off."""
    reason, detail = getattr(error, "reason", "not-launched"), str(error)
    now = ctx.clock.now()
    row = ctx.instances.one(instance_id)
    restarts = row.restarts if row is not None else 0
    due = now + delay_s(profile.restart, restarts + 1, f"{instance_id}")
    action = Action(act.END, profile.name, instance_id, reason, detail, due_ts=due, status=st.ERROR)
    if row is not None:
        ctx.instances.ended(row, action, None, None, now, now)
    return action


def _restarts(row: Instance | None, profile: Profile, action: Action) -> int:
    """How many launches in a row ended by themselves before this one; what changed, or is asked for, starts anew."""
    if row is None or row.status == st.STOPPED or row.launch_hash != profile.launch_hash:
        return 0
    if action.reason in {"override", "changed-file"} and row.status == st.ERROR:
        return 0
    if row.status == st.CREATED or row.reason in UNCOUNTED:
        return row.restarts
    return row.restarts + 1


def _stop(ctx: Context, action: Action, row: Instance, now: int) -> None:
    """Record the wish to stop, then signal: a signal without a record would look like a crash."""
    ctx.instances.stopping(row.id, action.due_ts, action, now)
    if action.reason == "restart":
        ctx.wishes.done(row.profile, now)
    if action.signal is not None:
        ctx.instances.next_signal(row.id, "TERM", action.due_ts, action, now)
        _signal(ctx, row, action.signal)


def tell(ctx: Context, action: Action, now: int) -> None:
    """One line in `logs` for each change."""
    if action.kind in {act.FAILING, act.HEALED}:
        return
    trouble = action.kind in {
        act.HOLD,
        act.WAIT,
        act.UNHEALTHY,
        act.STUCK,
        act.GUARD,
        act.GIVE_UP,
        act.ROLLBACK,
    }
    trouble = trouble or (action.kind == act.END and action.status == st.ERROR)
    level = "warning" if trouble else "info"  # an error is what the agent itself could not do
    text = f"{action.kind} {action.profile}: {action.reason}" + (
        f" ({action.detail})" if action.detail else ""
    )
    with ctx.db:
        ctx.samples.log(level, action.profile, text, now, "decision")
