"""Looking at the host: which launches live, how healthy they are, who listens on their ports. Changes nothing."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.collect.process import list_descendants
from llamaagent.domain import instance as st
from llamaagent.domain.probe import Watched
from llamaagent.domain.sight import Sight
from llamaagent.launch.exits import read_exit
from llamaagent.launch.identity import alive, boot_id, other_namespace, read_stat
from llamaagent.launch.listeners import Endpoint, listener_states
from llamaagent.reconcile.probing import Probes, ask, judged
from llamaagent.reconcile.stall import Stalls
from llamaagent.store.watched import WatchedStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llamaagent.collect.metrics import ServerCounters
    from llamaagent.domain.instance import Identity, Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.launch.adopt import Found
    from llamaagent.reconcile.context import Context

NOTHING: Mapping[int, int] = {}
PROBE_DEADLINE_S = 8.0  # the longest that one look may wait, whatever health.timeout says


class View(NamedTuple):
    """What one look saw. found: processes of rows whose pid is not stored yet. news: what is to be remembered."""

    boot_id: str
    sights: dict[int, Sight]
    counters: dict[int, ServerCounters]
    found: dict[str, Found]
    news: tuple[Watched, ...] = ()
    own_tokens: Mapping[int, int] = NOTHING  # of the counters, what our own probes used


def observe(
    ctx: Context,
    rows: Iterable[Instance],
    profiles: Mapping[str, Profile],
    deadline_s: float,
    probes: Probes | None = None,
) -> View:
    """Look at every live row once; one of which nothing can be known now has no sight.

    deadline_s: for all answers together. probes: what this pass has asked already, beyond health; None = nothing but
    health and counters is asked.
    """
    rows, boot = tuple(rows), boot_id(ctx.host)
    bodies, found = _bodies(ctx, [row for row in rows if row.status in st.LIVE], boot)
    live = [row for row in rows if row.id in bodies]
    watched = WatchedStore(ctx.db).all()
    alive_rows = [row for row in live if bodies[row.id].server_alive]
    asked = ask(ctx, alive_rows, profiles, deadline_s, watched, probes or Probes(asking=False))
    listening = _listening(alive_rows, found, ctx)
    own = {key: kept.tokens for key, kept in watched.items()}
    stalls = Stalls(ctx)
    sights: dict[int, Sight] = {}
    news: list[Watched] = []
    for row in live:
        sight = bodies[row.id]
        if sight.server_alive:
            sight = judged(ctx, sight, row, profiles.get(row.profile), watched.get(row.id), asked)
            sight = sight._replace(listener=_who_listens(listening, row, profiles.get(row.profile)))
            if row.kind == "container":
                sight = _in_its_image(sight, profiles.get(row.profile))
            before = watched.get(row.id) or Watched(row.id)
            after = asked.remembered(before, row.id)._replace(
                stalled_boottime_s=stalls.since(before, row, asked)
            )
            sight = sight._replace(stalled_s=stalls.length_s(after))
            news += [after] if after != before else []
        sights[row.id] = sight
    return View(boot, sights, asked.counters, found, tuple(news), own)


def _bodies(ctx: Context, live: list[Instance], boot: str) -> tuple[dict[int, Sight], dict[str, Found]]:
    """Processes and containers by row, and what was found of launches whose pid is not stored."""
    found: dict[str, Found] = {}
    boxed = [row for row in live if row.kind == "container"]
    bare = [row for row in live if row.kind != "container"] if boxed else live
    if any(row.pid is None or other_namespace(row.boot_id, boot) for row in bare):
        from llamaagent.launch.adopt import find_launched

        found = {one.launch_id: one for one in find_launched(ctx.site_id, ctx.host)}
    bodies = {row.id: _body(ctx, row, found.get(row.launch_id or ""), boot) for row in bare}
    if boxed:
        from llamaagent.reconcile.containers import look_at

        seen, first = look_at(ctx, boxed, boot)
        return bodies | seen, found | first
    return bodies, found


def _in_its_image(sight: Sight, profile: Profile | None) -> Sight:
    from llamaagent.reconcile.containers import with_image_health

    return with_image_health(sight, profile)


def _who_listens(listening: Mapping[int, str], row: Instance, profile: Profile | None) -> str:
    """Where the profile does not ask for HTTP, nobody need listen; a stranger there is one all the same."""
    word = listening.get(row.id, "unknown")
    probe = profile.health.probe if profile is not None else "auto"
    if probe == "none" or (probe == "command" and word == "none"):
        return "unknown"
    return word


def owners(row: Instance, found: Found | None = None) -> tuple[int, ...]:
    """Pids that may listen on the instance's port."""
    known: tuple[Identity | None, ...] = (row.server, row.wrapper)
    if found is not None:
        known = (*known, found.server, found.wrapper, *found.others)
    return tuple({identity.pid for identity in known if identity is not None})


def _body(ctx: Context, row: Instance, found: Found | None, boot: str) -> Sight:
    """Processes and exit record of one row."""
    # Started inside a container, or outside of ours: its launch id tells.
    if other_namespace(row.boot_id, boot):
        row = row._replace(boot_id=boot, pid=None, wrapper_pid=None)
        if found is None:
            detail = "started in another pid namespace, and none of its processes is to be seen from here"
            return Sight(row.id, same_boot=False, end_detail=detail)
    same = row.boot_id in {boot, None}
    server = row.server or (found.server if found else None)
    wrapper = row.wrapper or (found.wrapper if found else None)
    sight = Sight(
        instance_id=row.id,
        same_boot=same,
        server_alive=same and alive(server, ctx.host, boot=boot),
        wrapper_alive=same and alive(wrapper, ctx.host, boot=boot),
    )
    if sight.server_alive and row.status == st.LOADING and server is not None:
        from llamaagent.collect.progress import read_progress

        return sight._replace(progress_bytes=read_progress(ctx.host, list_descendants(ctx.host, server.pid)))
    if row.status == st.STOPPING and row.signals_sent >= 3:
        found_there = read_stat(row.pid or row.wrapper_pid or 0, ctx.host)
        sight = sight._replace(kernel_state=found_there.state if found_there is not None else None)
    if sight.server_alive or not same:
        return sight
    return _remains(ctx, row, sight, wrapper, server)


def _remains(
    ctx: Context, row: Instance, sight: Sight, wrapper: Identity | None, server: Identity | None
) -> Sight:
    """Of a launch whose server is gone: how it ended, and what of it still lives."""
    record = read_exit(row.exit_path) if row.exit_path else None
    if record is not None:
        sight = sight._replace(exit_known=True, exit_code=record.exit_code, exit_signal=record.exit_signal)
        if row.status != st.STOPPING:
            from llamaagent.reconcile.cause import cause_of

            reason, detail = cause_of(ctx, row, record)
            sight = sight._replace(end_reason=reason, end_detail=detail)
    from llamaagent.launch.adopt import members

    left = members(wrapper, server, row.launch_id, ctx.host)
    if sight.wrapper_alive or not left:
        return sight
    if row.status != st.STOPPING:
        from llamaagent.reconcile.heirs import heir

        after = heir(row, left, sight.exit_code, ctx.host)
        if after is not None:
            return sight._replace(server_alive=True, heir=after)
    return sight._replace(others_alive=True)


def _listening(rows: list[Instance], found: Mapping[str, Found], ctx: Context) -> dict[int, str]:
    asked = [row for row in rows if row.port is not None and row.host is not None and row.kind != "container"]
    if not asked:  # what listens for a container is mostly its engine
        return {}
    endpoints = [
        Endpoint(row.host or "", row.port or 0, owners(row, found.get(row.launch_id or ""))) for row in asked
    ]
    states = list(listener_states(endpoints, ctx.host))
    for at, row in enumerate(asked):
        if states[at] == "stranger":  # a child of the server may be the one that listens
            from llamaagent.launch.adopt import members

            every = members(row.wrapper, row.server, row.launch_id, ctx.host)
            endpoint = endpoints[at]._replace(owners=tuple(one.pid for one in every))
            states[at] = listener_states([endpoint], ctx.host)[0]
    return {row.id: state for row, state in zip(asked, states, strict=True)}
