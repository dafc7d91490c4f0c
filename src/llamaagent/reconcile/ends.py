"""The end of a launch: its last lines, why it ended, what it held; all in one transaction."""

from __future__ import annotations

from llamaagent.collect.files import is_ours
from llamaagent.reconcile.lastlines import last_words, remove_old_logs
from llamaagent.reconcile.logs import read_rest
from llamaagent.reconcile.oom import remember_oom
from llamaagent.reconcile.rotation import cap_ended
from llamaagent.store.logs import LogStore
from llamaagent.store.memory import MemoryStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.plan import Action
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.observe import View


def end(ctx: Context, action: Action, row: Instance, profile: Profile | None, view: View, now: int) -> Action:
    """The launch is over: read the rest of its log, tell why it ended, release what it held."""
    sight = view.sights.get(row.id)
    if row.kind == "container":
        from llamaagent.reconcile.containerlogs import copy_log

        copy_log(ctx, row, over=True)
    rest = read_rest(ctx, row)
    last = last_words(ctx, row, [ref for _, ref in profile.secrets] if profile is not None else ())
    code = sight.exit_code if sight is not None else None
    signal = sight.exit_signal if sight is not None else None
    action = action._replace(detail=last.mask(action.detail))
    if action.reason == "port-taken" and profile is not None and _moves(profile, row):
        action = action._replace(due_ts=None)  # the next start takes another port, at once
    ended_ts = _ended_ts(row, sight.ended_ts if sight is not None else None, now)
    with ctx.db:
        ctx.instances.ended(row, action, code, signal, ended_ts, now)
        rest.store(ctx)
        MemoryStore(ctx.db).observe((row.id,), now)
        if action.reason == "oom-gpu":
            remember_oom(ctx, row, now)
        if last.text:
            LogStore(ctx.db).keep_tail(row.id, last.text, now)
    if row.log_path is not None and is_ours(ctx.places.logs, row.log_path):
        cap_ended(ctx, row.log_path, rest.offset)
        remove_old_logs(ctx, row)
    if action.reason in {"retired", "host"}:
        ctx.wishes.retire(row.profile, now)
    _remove(row.exit_path)
    if row.kind == "container":
        from llamaagent.reconcile.containers import put_away

        put_away(ctx, row)
    return action


def _moves(profile: Profile, row: Instance) -> bool:
    """Whether another try now would get another port; one that binds for us would only be taken again."""
    from llamaagent.launch.listeners import port_free

    return (
        profile.listen.port is None and row.port is not None and not port_free(profile.listen.host, row.port)
    )


def _ended_ts(row: Instance, told_ts: int | None, now: int) -> int:
    """When the wrapper wrote its record, or as told, else now. Never before the launch, nor in the future."""
    from llamaagent.launch.exits import read_exit

    record = read_exit(row.exit_path) if row.exit_path else None
    ended_ts = record.ended_ts if record is not None else told_ts
    if ended_ts is None:
        return now
    return max(min(ended_ts, now), row.launched_ts or 0)


def _remove(path: str | None) -> None:
    """The exit record is in the row now."""
    if path is None:
        return
    import contextlib
    import os

    with contextlib.suppress(OSError):
        os.unlink(path)
