"""How long each running server has been idle, for profiles that say `idle: {stop_after: …}`. Asks nothing anew."""

from __future__ import annotations

from llamaagent.domain import instance as st
from llamaagent.domain.idle import Activity, idle_s
from llamaagent.reconcile.logs import read_news
from llamaagent.reconcile.notice import only_users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.observe import View


def idle_ages(
    ctx: Context, rows: Iterable[Instance], profiles: Mapping[str, Profile], view: View
) -> dict[int, int]:
    """Seconds of idleness by instance; one that is in use, or of which that is not known, is left out."""
    seen = ctx.samples.activity()
    found: dict[int, int] = {}
    for row in rows:
        profile, counters = profiles.get(row.profile), view.counters.get(row.id)
        limit = profile.idle.stop_after_s if profile is not None else None
        if limit is None or counters is None or row.status != st.RUNNING:
            continue
        age = idle_s(
            seen.get(row.id, Activity()),
            counters.tokens,
            counters.in_progress,
            ctx.clock.now(),
            int(ctx.clock.boottime()),
        )
        if age is not None and not (age >= limit and _asked_meanwhile(ctx, row)):
            found[row.id] = age
    return found


def _asked_meanwhile(ctx: Context, row: Instance) -> bool:
    """Whether the log tells of requests that are not stored yet, such as those that count no tokens."""
    at = ctx.instances.log_position(row.id)
    return at is not None and any(only_users(ctx, at, reading.requests) for reading in read_news([at]))
