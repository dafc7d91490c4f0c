"""What happened to live containers between two passes, heard from their engines and told in `logs`.

An end tells its own cause. This is for what leaves a container alive: a process in it that was killed for want of
memory, a pause, a limit that somebody changed. Replayed from where the last pass stopped listening; the lines and that
place are one transaction, so that nothing is told twice.
"""

from __future__ import annotations

import contextlib

from llamaagent.domain import instance as st
from llamaagent.engine.client import EngineError
from llamaagent.engine.container import SITE
from llamaagent.store.containers import ContainerStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.domain.instance import Instance
    from llamaagent.engine.container import Event
    from llamaagent.reconcile.context import Context

_NS = 1_000_000_000
_LONGEST_S = 86400  # an engine remembers no longer than it runs, and mostly less
_MOST_LINES = 20  # of one pass
_WORDS = {
    "oom": "the kernel killed a process in it for want of memory",
    "pause": "it was paused through its engine, and not by us",
    "unpause": "it goes on after a pause",
    "update": "its limits were changed through its engine, and not by us",
    "rename": "it was renamed through its engine, and not by us",
    "restart": "it was restarted through its engine, and not by us",
}


def hear_engines(ctx: Context, boxed: Iterable[Instance]) -> None:
    """Replay and tell. An engine that does not answer is heard later; what it forgot meanwhile is lost."""
    by_engine: dict[str, dict[str, Instance]] = {}
    for row in boxed:
        if row.engine and row.container_id and row.status != st.STOPPING:
            by_engine.setdefault(row.engine, {})[row.container_id] = row
    for url, rows in by_engine.items():
        with contextlib.suppress(EngineError):
            _hear(ctx, url, rows)


def _hear(ctx: Context, url: str, rows: dict[str, Instance]) -> None:
    store, now = ContainerStore(ctx.db), ctx.clock.now()
    since = store.heard_ts(url)
    first = min(row.launched_ts or now for row in rows.values()) if since is None else since
    first = max(min(first, now), now - _LONGEST_S)  # a clock that was set back begins anew
    told: list[tuple[Instance, Event]] = []
    for event in ctx.engines().at(url).events(first, now, {SITE: ctx.site_id}):
        row = rows.get(event.container_id)
        if row is not None and event.action in _WORDS and event.ns // _NS < now:
            told.append((row, event))
    with ctx.db:
        for row, event in told[:_MOST_LINES]:
            text = f"{row.profile}: {_WORDS[event.action]}{_limit(ctx, row) if event.action == 'oom' else ''}"
            ctx.samples.log("warning", row.profile, text, event.ns // _NS, "container")
        if len(told) > _MOST_LINES:
            ctx.samples.log(
                "warning", "containers", f"and {len(told) - _MOST_LINES} more events", now, "container"
            )
        store.keep_heard(url, now)


def _limit(ctx: Context, row: Instance) -> str:
    with contextlib.suppress(EngineError):
        found = ctx.engines().at(row.engine or "").inspect(row.container_id or "")
        if found is not None and found.memory_bytes:
            return f"; its limit is {found.memory_bytes >> 20} MiB"
    return ""
