"""Servers that somebody else runs: looked for, and given a row when they are there. Never started, never signalled."""

from __future__ import annotations

import json
import os

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.launch.identity import alive
from llamaagent.launch.outside import (
    Outside,
    command_words,
    find_outside,
    option_value,
    own_log,
    without_secrets,
)
from llamaagent.store.found import FoundServer, take_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Identity, Instance
    from llamaagent.domain.plan import Action
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context


def seek(ctx: Context, profile: Profile) -> Outside:
    """Where it is now. One of our own servers is no external one."""
    runtime = profile.runtime
    found = find_outside(runtime.port, runtime.pid_from, ctx.host)
    server = found.server
    if server is None:
        return found
    for row in ctx.instances.newest():
        if row.status in st.LIVE and row.profile != profile.name and server in {row.server, row.wrapper}:
            return Outside(None, fault=f"pid {server.pid} is already the server of {row.profile}")
    return found


def watch(ctx: Context, action: Action, row: Instance | None, profile: Profile) -> tuple[Action, bool]:
    """Give it its row, or record that it is not there. Gives what happened, and whether it is news."""
    now = ctx.clock.now()
    found = seek(ctx, profile)
    if found.server is None or not alive(found.server, ctx.host):
        hold = act.Action(act.HOLD, profile.name, None, "not-found", found.fault)
        hashes = (profile.launch_hash, profile.profile_hash)
        more: dict[str, object] = {"project": profile.project, "model_path": profile.model.path}
        instance_id, news = ctx.instances.hold(
            row, profile.name, profile.runtime.kind, hashes, hold, now, **more
        )
        return hold._replace(instance_id=instance_id), news
    words = command_words(found.server.pid, ctx.host)
    facts = FoundServer(
        host=found.host,
        port=found.port,
        launched_ts=started_ts(ctx, found.server),
        argv=json.dumps(without_secrets(words)),
        log_path=own_log(found.server.pid, words, ctx.host),
        model_path=profile.model.path or _model(found.server.pid, words, ctx),
        api_prefix=option_value(words, "--api-prefix"),
        scheme="https" if option_value(words, "--ssl-cert-file") else "http",
    )
    instance_id = take_in(ctx.db, profile, row, (found.server, facts), action, (), now)
    return action._replace(instance_id=instance_id), True


def _model(pid: int, words: list[str], ctx: Context) -> str | None:
    named = option_value(words, "--model") or option_value(words, "-m")
    if named is None or os.path.isabs(named):
        return named
    try:
        return os.path.normpath(os.path.join(os.readlink(f"{ctx.host.proc}/{pid}/cwd"), named))
    except OSError:
        return None


def started_ts(ctx: Context, server: Identity) -> int:
    """When a process started, from its start tick and the time since boot."""
    age_s = ctx.clock.boottime() - server.start_ticks / os.sysconf("SC_CLK_TCK")
    return ctx.clock.now() - max(0, int(age_s))
