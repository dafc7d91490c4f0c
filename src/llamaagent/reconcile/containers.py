"""What the engines say of our containers: alive or over and why, signalled, and put away when they are over."""

from __future__ import annotations

import contextlib
import time

from llamaagent.collect.log import classify_exit
from llamaagent.collect.oomkill import kernel_killed_in
from llamaagent.domain import instance as st
from llamaagent.domain import sight as seen_as
from llamaagent.domain.sight import Sight
from llamaagent.engine.client import EngineError
from llamaagent.engine.lines import unix_ns, without_times
from llamaagent.launch.adopt import Found
from llamaagent.launch.ending import signal_one
from llamaagent.launch.identity import alive, identify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.engine.client import Engine
    from llamaagent.engine.container import Container, Event
    from llamaagent.reconcile.context import Context

_SIGNALS = {"TERM": 15, "KILL": 9}
_SIGKILL = 9
_TAIL_LINES = 200
_OUTSIDE = frozenset({"kill", "stop", "restart", "destroy", "pause"})  # what somebody does to a container
_NS = 1_000_000_000


def look_at(ctx: Context, rows: Iterable[Instance], boot: str) -> tuple[dict[int, Sight], dict[str, Found]]:
    """A sight of each live container, and the first processes that are not stored yet, by launch id.

    A container of which nothing is known, since its engine does not answer, has no sight: nothing is done about it.
    """
    sights: dict[int, Sight] = {}
    found: dict[str, Found] = {}
    for row in rows:
        if row.boot_id not in {boot, None}:
            sights[row.id] = Sight(row.id, same_boot=False)
            continue
        try:
            seen = ctx.engines().at(row.engine or "").inspect(row.container_id or row.container_name or "")
        except EngineError as error:
            blind = _unanswered(ctx, row, boot, str(error))
            if blind is not None:
                sights[row.id] = blind
            continue
        sights[row.id] = _sight(ctx, row, seen, boot)
        if seen is not None and seen.alive and row.pid is None:
            server = identify(seen.pid or 0, ctx.host, boot=boot)
            if server is not None and row.launch_id is not None:
                found[row.launch_id] = Found(row.launch_id, row.profile, None, server, ())
    return sights, found


def _unanswered(ctx: Context, row: Instance, boot: str, said: str) -> Sight | None:
    """The engine is silent: its containers may live on without it, and their first processes are known."""
    if row.server is None:
        return None
    if alive(row.server, ctx.host, boot=boot):
        return Sight(row.id, server_alive=True)
    return Sight(row.id, end_reason="lost", end_detail=f"its first process is gone, and its {said}")


def _sight(ctx: Context, row: Instance, seen: Container | None, boot: str) -> Sight:
    if seen is None:
        if row.container_id is None:
            return Sight(row.id)  # never made
        event = _outside_event(ctx, row)
        told = _told(event) if event is not None else "the container was removed from outside"
        return Sight(row.id, exit_known=True, end_reason="outside", end_detail=told)
    if seen.alive:
        server = identify(seen.pid or 0, ctx.host, boot=boot)
        again = row.server is not None and server is not None and server != row.server
        health = "frozen" if seen.status == "paused" else seen.health
        return Sight(row.id, server_alive=True, heir=server if again else None, image_health=health)
    if seen.status == "created":
        return Sight(row.id)  # made, and the agent ended before it was started
    ended = unix_ns(seen.finished)
    sight = Sight(
        row.id,
        exit_known=True,
        exit_code=seen.exit_code,
        exit_signal=seen.exit_signal,
        ended_ts=None if ended is None else ended // _NS,
    )
    if row.status == st.STOPPING:
        return sight
    reason, detail = _cause(ctx, row, seen)
    return sight._replace(end_reason=reason, end_detail=detail)


def _cause(ctx: Context, row: Instance, seen: Container) -> tuple[str, str]:
    """Why it ended: for want of memory, by somebody outside, or by itself, as its last lines say."""
    limit = f" at its limit of {seen.memory_bytes >> 20} MiB" if seen.memory_bytes else ""
    if seen.oom_killed:
        return "oom-host", f"killed by the kernel for want of memory{limit}"
    engine = ctx.engines().at(row.engine or "")
    tail = b""
    with contextlib.suppress(EngineError):
        tail = without_times(engine.logs(seen.id, tail=_TAIL_LINES))
    reason, detail = classify_exit(seen.exit_code, seen.exit_signal, tail)
    if seen.error:
        detail = f"{detail}; the engine says: {seen.error}"
    event = _outside_event(ctx, row) if reason in {"crash", "exited"} else None
    if event is not None:
        return "outside", f"{detail}: {_told(event)}"
    if seen.exit_signal == _SIGKILL:  # Podman does not say it
        named = kernel_killed_in(seen.id)
        if named:
            return (
                "oom-host",
                f"{detail} by the kernel for want of memory{limit}: its log names the container",
            )
        if named is None and limit:
            return "oom-host", f"{detail}, most likely for want of memory{limit}"
    return reason, detail


def _outside_event(ctx: Context, row: Instance) -> Event | None:
    """What somebody else did to the container last, as far as the engine remembers."""
    since, now = row.launched_ts or row.created_ts, ctx.clock.now()
    engine = ctx.engines().at(row.engine or "")
    last = None
    with contextlib.suppress(EngineError):
        for event in engine.events(min(since, now), now + 1):
            if event.container_id == row.container_id and event.action in _OUTSIDE:
                last = event
    return last


def _told(event: Event) -> str:
    number = event.attributes.get("signal")  # Podman does not say which
    words = {
        "kill": f"{f'signal {number}' if number else 'a signal'} was sent to it",
        "stop": "it was stopped",
        "restart": "it was restarted",
        "destroy": "it was removed",
        "pause": "it was paused",
    }
    at = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(event.ns // _NS))
    return f"{words[event.action]} through its engine at {at}, and not by us"


def with_image_health(sight: Sight, profile: Profile | None) -> Sight:
    """One that is stopped in its tracks is not well; of one that we do not ask, its image's own check is believed."""
    if sight.image_health == "frozen":
        return sight._replace(health=seen_as.FAILED, detail="the container is paused")
    if profile is not None and profile.health.probe == "none":
        word = {"starting": seen_as.LOADING, "unhealthy": seen_as.FAILED}.get(sight.image_health or "")
        if word is not None:
            return sight._replace(health=word, detail="the health check of its image fails")
    return sight


def signal_container(ctx: Context, row: Instance, name: str) -> None:
    """Through its engine; past it when that does not answer, as it would do the same."""
    try:
        ctx.engines().at(row.engine or "").kill(row.container_id or row.container_name or "", f"SIG{name}")
    except EngineError:
        if row.server is not None:
            signal_one(row.server, _SIGNALS[name])


def put_away(ctx: Context, row: Instance) -> None:
    """After the end of a launch its container goes, with what was made for it. What cannot be done now is later."""
    from llamaagent.reconcile.containerstart import remove_secrets

    remove_secrets(ctx, row.launch_id)
    with contextlib.suppress(EngineError):
        _remove(ctx.engines().at(row.engine or ""), row.container_id or row.container_name or "")


def _remove(engine: Engine, ref: str) -> None:
    found = engine.inspect(ref)
    if found is not None and not found.alive:
        engine.remove(found.id)
