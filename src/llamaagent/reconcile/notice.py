"""What a server's log means for its health: an error to look into, progress, and requests that were our own."""

from __future__ import annotations

from llamaagent.collect.log import wall_time
from llamaagent.collect.logevent import ERROR, FAULTS
from llamaagent.domain import instance as st
from llamaagent.domain.probe import DUE_ERROR, without_ours
from llamaagent.store.watched import WatchedStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.probe import Watched
    from llamaagent.domain.sample import Request
    from llamaagent.reconcile.context import Context
    from llamaagent.store.instances import LogPosition

_TROUBLE = FAULTS | {ERROR}


def take_notice(ctx: Context, instance_id: int, kinds: frozenset[str], *, progress: bool) -> None:
    """Note what the events of one reading mean, and whether a request got on. The caller holds the transaction.

    An error of a server that runs makes a token due, which is asked for only where `health.probe` is `auto`: errors
    while it loads are told by its end, or were none.
    """
    watched = WatchedStore(ctx.db)
    if progress:
        watched.progress(instance_id)
    if kinds & _TROUBLE:
        row = ctx.instances.one(instance_id)
        if row is not None and row.status in {st.RUNNING, st.UNHEALTHY}:
            watched.due(instance_id, DUE_ERROR)


def users_requests(ctx: Context, position: LogPosition, requests: tuple[Request, ...]) -> tuple[Request, ...]:
    """The requests without those that were our own probes, which are forgotten. The caller holds the transaction."""
    left, users = _sorted(ctx, position, requests)
    if left is not None:
        WatchedStore(ctx.db).keep(left)
    return users


def only_users(ctx: Context, position: LogPosition, requests: tuple[Request, ...]) -> tuple[Request, ...]:
    """The requests without those that were our own probes. Stores nothing."""
    return _sorted(ctx, position, requests)[1]


def _sorted(
    ctx: Context, position: LogPosition, requests: tuple[Request, ...]
) -> tuple[Watched | None, tuple[Request, ...]]:
    """What is to be remembered, None when nothing changed, and the users' requests."""
    watched = WatchedStore(ctx.db).one(position.id) if requests else None
    if watched is None or not watched.marks:
        return None, requests
    launched = position.launched_ts
    begun = tuple(
        (one, None if launched is None else wall_time(launched, one.started_us)) for one in requests
    )
    left, ours = without_ours(watched.marks, begun)
    users = tuple(one for place, one in enumerate(requests) if place not in ours)
    return (watched._replace(marks=left) if ours else None), users
