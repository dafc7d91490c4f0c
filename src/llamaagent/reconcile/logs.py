"""Servers' logs into `generations`: read on from the stored offset, stored in the transaction that adds the rows."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.collect.files import has_news, too_large
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
_LARGE_S = 4.0  # of a pass may go into reading more, so that a log's space can be given back


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

    def read_on(self, upto: int) -> Reading | None:
        """What follows this reading, at most so many bytes; None at the log's end."""
        if not has_news(self.position.path, self.inode, self.offset):
            return None
        return _read(
            self.position._replace(inode=self.inode, offset_bytes=self.offset, state=self.state), upto
        )

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


def read_waiting(ctx: Context, waiting: Iterable[LogPosition]) -> tuple[Reading, ...]:
    """Read on in the logs of a pass. More than MAX_BYTES only of one that is too large on disk, while there is time."""
    cap, until = ctx.settings.log_max_size_bytes, ctx.clock.monotonic() + _LARGE_S
    made: list[Reading] = []
    for at in waiting:
        readings = read_news([at])
        while readings and too_large(at.path, cap) and ctx.clock.monotonic() < until:
            more = readings[-1].read_on(MAX_BYTES)
            if more is None:
                break
            readings = (*readings, more)
        made += readings
    return tuple(made)


def read_news(waiting: Iterable[LogPosition], upto: int = MAX_BYTES) -> tuple[Reading, ...]:
    """Read on in these logs, in each at most so many bytes. One that is settled and has not grown is left alone."""
    return tuple(_read(at, upto) for at in waiting if _pending(at))


def _pending(at: LogPosition) -> bool:
    return has_news(at.path, at.inode, at.offset_bytes) or not LogState.from_json(at.state).settled


def _read(at: LogPosition, upto: int) -> Reading:
    inode, offset, state = at.inode, at.offset_bytes, LogState.from_json(at.state)
    requests: list[Request] = []
    events: list[LogEvent] = []
    left, progress = upto, False
    while True:
        chunk = read_log(at.path, inode, offset, state, min(left, MAX_BYTES))
        left -= max(0, chunk.offset - offset)
        inode, offset, state = chunk.inode, chunk.offset, chunk.state
        requests += chunk.requests
        events += chunk.events
        progress = progress or chunk.progress
        if not chunk.more or left <= 0:
            found = Reading(at, inode, offset, state.to_json(), tuple(requests), tuple(events))
            return found._replace(progress=progress)


def read_rest(ctx: Context, row: Instance) -> Reading:
    """Read a finished server's log to its end; what was in flight counts as cancelled."""
    at = ctx.instances.log_position(row.id)
    if at is None:
        return Reading(_nowhere(row), None, 0, "{}", (), ())
    rest = _read(at, 1 << 62)
    state, settled = settle(LogState.from_json(rest.state))
    state, cut = close_log(state)
    return rest._replace(state=state.to_json(), requests=(*rest.requests, *settled, *cut))


def _nowhere(row: Instance) -> LogPosition:
    from llamaagent.store.instances import LogPosition

    return LogPosition(row.id, "", None, 0, None, row.launched_ts)
