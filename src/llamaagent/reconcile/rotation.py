"""Keeping a server's log below `logs.max_size` on disk, while the server writes it.

Only what the database has is ever given back: the offset is committed first, and the file touched after. A pass
that is killed in between leaves a log that the next pass reads on from where it was read to.
"""

from __future__ import annotations

import json

from llamaagent.base.record import NamedTuple
from llamaagent.collect.files import CUT, bytes_on_disk, too_large
from llamaagent.launch import logfile
from llamaagent.reconcile.logs import read_news
from llamaagent.store.logs import CutIntent, LogStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.reconcile.context import Context
    from llamaagent.store.instances import LogPosition

_TROUBLE = "log_trouble"
_TRIES = 20  # to find a moment in which the log that is cut has been read to its end


class _Freed(NamedTuple):
    """What became of one log. trouble: why it is still too large; news: what is to be told of it."""

    trouble: str | None = None
    news: str | None = None


def keep_small(ctx: Context, large: Sequence[LogPosition], ts: int) -> None:
    """Give back what was read of these logs, which take too much. ts: of this pass's sample, which is stored.

    The caller holds no transaction.
    """
    troubles: dict[str, str] = {}
    for at in large:
        try:
            done = _shrink(ctx, at, ts)
        except OSError as error:
            done = _Freed(f"its space cannot be given back: {error.strerror}")
        if done.news is not None:
            _tell(ctx, at, done.news)
        if done.trouble is not None:
            troubles[str(at.id)] = done.trouble
    stored = ctx.samples.metadata(_TROUBLE)
    before: dict[str, str] = json.loads(stored) if stored else {}
    if troubles != before:
        with ctx.db:
            ctx.samples.set_metadata(_TROUBLE, json.dumps(troubles), ctx.clock.now())
    for at in large:
        text = troubles.get(str(at.id))
        if text is not None and before.get(str(at.id)) != text:
            _tell(ctx, at, text)


def _tell(ctx: Context, at: LogPosition, text: str) -> None:
    row = ctx.instances.one(at.id)
    name = row.profile if row is not None else str(at.id)
    with ctx.db:
        ctx.samples.log("warning", name, f"log {at.path}: {text}", ctx.clock.now(), "log", instance_id=at.id)


def _shrink(ctx: Context, at: LogPosition, ts: int) -> _Freed:
    cap = ctx.settings.log_max_size_bytes
    size = _size(at.path)
    upto = min(at.offset_bytes, max(0, size - cap // 2))
    ctx.checkpoint("before-punch")
    if not logfile.punch(at.path, upto):
        return _cut(ctx, at, cap, ts)
    ctx.checkpoint("after-punch")
    logs = LogStore(ctx.db)
    if upto > logs.freed(at.id):
        with ctx.db:
            logs.set_freed(at.id, upto)
    if too_large(at.path, cap):
        return _Freed("it grows faster than it is read, and what was not read is kept")
    return _Freed()


def cap_ended(ctx: Context, path: str, offset_bytes: int) -> None:
    """Bring the log of a server that has ended below the cap; what was read is stored already."""
    import contextlib

    cap = ctx.settings.log_max_size_bytes
    if not too_large(path, cap):
        return
    with contextlib.suppress(OSError):
        logfile.punch(path, min(offset_bytes, max(0, _size(path) - cap // 2)))


def _size(path: str) -> int:
    import os

    return os.stat(path).st_size


def _cut(ctx: Context, at: LogPosition, cap: int, ts: int) -> _Freed:
    """Copy and truncate, in a moment in which everything has been read."""
    logs = LogStore(ctx.db)
    kept = at.offset_bytes
    logfile.keep_end(at.path, at.path + CUT, kept, cap // 2)
    for _ in range(_TRIES):
        readings = read_news([at], upto=1 << 62)
        upto = readings[0].offset if readings else at.offset_bytes
        mark = logfile.mark_before(at.path, upto)
        with ctx.db:
            ctx.samples.count_requests(sum(reading.store(ctx) for reading in readings), ts)
            logs.intend(CutIntent(at.id, upto, mark), ts)
        at = ctx.instances.log_position(at.id) or at
        logfile.keep_more(at.path, at.path + CUT, kept, upto)
        kept = upto
        ctx.checkpoint("before-cut")
        if logfile.cut(at.path, upto):
            ctx.checkpoint("after-cut")
            return _after_the_cut(ctx, at, logs)
    with ctx.db:
        logs.forget_intent()
    return _Freed("the file system cannot punch holes, and the log grows too fast to be cut without loss")


def _after_the_cut(ctx: Context, at: LogPosition, logs: LogStore) -> _Freed:
    before = logs.freed(at.id)
    with ctx.db:
        ctx.samples.move_log(at.id, at.inode or 0, 0, at.state or "{}")
        logs.set_freed(at.id, before + at.offset_bytes)
        logs.forget_intent()
    if before:
        return _Freed()
    kept = bytes_on_disk(at.path + CUT)
    where = f"; its last {kept} bytes are in {at.path}{CUT}" if kept else ""
    return _Freed(news=f"cut to nothing, since its file system cannot punch holes (copytruncate){where}")


def settle_cut(ctx: Context) -> None:
    """Finish what an agent that was killed left half done: find out whether the log was cut."""
    logs = LogStore(ctx.db)
    intent = logs.intent()
    if intent is None:
        return
    at = ctx.instances.log_position(intent.id)
    with ctx.db:
        if at is not None and at.offset_bytes == intent.offset_bytes and _was_cut(at, intent):
            ctx.samples.move_log(at.id, at.inode or 0, 0, at.state or "{}")
            logs.set_freed(at.id, logs.freed(at.id) + at.offset_bytes)
        logs.forget_intent()


def _was_cut(at: LogPosition, intent: CutIntent) -> bool:
    try:
        return _size(at.path) < intent.offset_bytes or (
            logfile.mark_before(at.path, intent.offset_bytes) != intent.mark
        )
    except OSError:
        return False
