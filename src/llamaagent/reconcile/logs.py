"""Servers' logs into `generations`: read on from the stored offset, stored in the transaction that adds the rows."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.collect.files import has_news
from llamaagent.collect.log import (
    LogState,
    close_log,
    read_log,
    settle,
    wall_time,
)
from llamaagent.collect.logevent import BUILD, GPU_LAYERS, SLOTS
from llamaagent.reconcile.notice import take_notice, users_requests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.collect.logevent import LogEvent
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.sample import Request
    from llamaagent.reconcile.context import Context
    from llamaagent.store.instances import LogPosition

MAX_BYTES = 8 << 20  # of one server's log in one pass; the rest waits for the next


class Reading(NamedTuple):
    """What was read of one log and is not stored yet."""

    position: LogPosition
    inode: int | None
    offset: int
    state: str
    requests: tuple[Request, ...]
    events: tuple[LogEvent, ...]
    progress: bool = False

    def store(self, ctx: Context) -> int:
        """Add the rows and move the offset; gives how many requests were new. The caller holds the transaction."""
        started = self.position.launched_ts
        added = 0
        for request in users_requests(ctx, self.position, self.requests):
            now = ctx.clock.now()
            begun = None if started is None else wall_time(started, request.started_us)
            done = None if started is None else wall_time(started, request.finished_us)
            added += ctx.samples.add_request(
                self.position.id, request, begun, now if done is None else min(done, now)
            )
        if self.inode is not None:
            ctx.samples.move_log(self.position.id, self.inode, self.offset, self.state)
        self._learn(ctx)
        return added

    def _learn(self, ctx: Context) -> None:
        """What the server says it really uses."""
        numbers = {event.kind: event.numbers for event in self.events}
        if SLOTS in numbers or GPU_LAYERS in numbers:
            context = numbers.get(SLOTS, ())  # slots, context of each
            layers = numbers.get(GPU_LAYERS, ())
            ctx.instances.effective(
                self.position.id, context[1] if len(context) > 1 else None, layers[0] if layers else None
            )
        take_notice(ctx, self.position.id, frozenset(numbers), progress=self.progress)
        for event in self.events:
            if event.kind == BUILD:
                _, _, build = event.line.partition(
                    "build_info: " if "build_info: " in event.line else "build: "
                )
                ctx.instances.build(self.position.id, build.strip()[:200])


def read_news(waiting: Iterable[LogPosition]) -> tuple[Reading, ...]:
    """Read on in these logs. One whose state is settled and that has not grown is left alone."""
    return tuple(_read(at) for at in waiting if _pending(at))


def _pending(at: LogPosition) -> bool:
    return has_news(at.path, at.inode, at.offset_bytes) or not LogState.from_json(at.state).settled


def _read(at: LogPosition) -> Reading:
    chunk = read_log(at.path, at.inode, at.offset_bytes, LogState.from_json(at.state), MAX_BYTES)
    return Reading(
        at,
        chunk.inode,
        chunk.offset,
        chunk.state.to_json(),
        chunk.requests,
        chunk.events,
        progress=chunk.progress,
    )


def read_rest(ctx: Context, row: Instance) -> Reading:
    """Read a finished server's log to its end; what was in flight counts as cancelled."""
    at = ctx.instances.log_position(row.id)
    if at is None:
        return Reading(_nowhere(row), None, 0, "{}", (), ())
    inode, offset, state = at.inode, at.offset_bytes, LogState.from_json(at.state)
    requests: list[Request] = []
    events: list[LogEvent] = []
    while True:
        chunk = read_log(at.path, inode, offset, state, MAX_BYTES)
        inode, offset, state = chunk.inode, chunk.offset, chunk.state
        requests += chunk.requests
        events += chunk.events
        if not chunk.more:
            break
    state, settled = settle(state)
    state, cut = close_log(state)
    requests += [*settled, *cut]
    return Reading(at, inode, offset, state.to_json(), tuple(requests), tuple(events))


def _nowhere(row: Instance) -> LogPosition:
    from llamaagent.store.instances import LogPosition

    return LogPosition(row.id, "", None, 0, None, row.launched_ts)
