"""What a look saw of the processes of a launch joins its row: a pid that was not stored, or that is another one now."""

from __future__ import annotations

import os

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.launch.identity import other_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.domain.instance import Identity, Instance
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.observe import View


def keep_seen(ctx: Context, rows: Iterable[Instance], view: View) -> None:
    """Store what was only seen: pids that were not known yet, and how far loads have come."""
    rows = tuple(rows)
    _join(ctx, rows, view)
    if any(row.status == st.LOADING for row in rows):
        from llamaagent.reconcile.progress import note_progress

        note_progress(ctx, rows, view)


def _join(ctx: Context, rows: Iterable[Instance], view: View) -> None:
    """Rows get the pid that was not stored, because the agent was killed, or that is another one now."""
    for row in rows:
        sight = view.sights.get(row.id)
        if sight is not None and sight.heir is not None:
            detail = f"pid {sight.heir.pid}, which the process that was launched left in its place"
            _adopt(ctx, row, row.wrapper, sight.heir, detail)
            _forget_exit(row)
            continue
        unknown = row.pid is None or other_namespace(row.boot_id, view.boot_id)
        found = view.found.get(row.launch_id or "") if row.status in st.LIVE and unknown else None
        if found is None or found.server is None:
            continue
        _adopt(ctx, row, found.wrapper, found.server, f"pid {found.server.pid}")
        if found.wrapper is None:
            _forget_exit(row)


def _adopt(ctx: Context, row: Instance, wrapper: Identity | None, server: Identity, detail: str) -> None:
    from llamaagent.reconcile.act import tell

    now = ctx.clock.now()
    action = act.Action(act.ADOPT, row.profile, row.id, "adopted", detail)
    with ctx.db:
        ctx.instances.spawned(row.id, wrapper, server, now)
        ctx.journal.decide(action, row.id, now)
        tell(ctx, action, now)


def _forget_exit(row: Instance) -> None:
    """What the first process of a launch left behind says nothing about the one that goes on."""
    import contextlib

    if row.exit_path is not None:
        with contextlib.suppress(OSError):
            os.unlink(row.exit_path)
