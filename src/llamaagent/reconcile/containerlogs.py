"""The logs of containers, copied from their engines to where the logs of processes are.

From there everything reads them alike: requests, last words, `logs`. A line is copied once: how far it went is stored
after the lines are in the file, and what stands in the file beyond that is cut off before copying goes on. Nobody has
read that much by then, because the reader follows in the same pass.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque

from llamaagent.base.writing import write_all
from llamaagent.engine.client import EngineError
from llamaagent.engine.lines import LONGEST_LINE, split_lines, where_news_begin
from llamaagent.store.containers import ContainerStore, LogCursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llamaagent.domain.instance import Instance
    from llamaagent.engine.lines import Line
    from llamaagent.reconcile.context import Context

_NS = 1_000_000_000
_MOST_BYTES = 64 << 20  # of one pass; the rest is the next one's
_MARKS = 16  # of the last lines copied, to find them again
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_log(ctx: Context, row: Instance, *, over: bool) -> None:
    """Append what is new. An engine that does not answer, or a full disk, leaves it to a later pass.

    over: nothing writes there any more, so that a line without an end is a line.
    """
    if row.log_path is None or row.container_id is None:
        return
    store = ContainerStore(ctx.db)
    before = store.log_cursor(row.id)
    if ctx.clock.now() < before.ns // _NS:
        before = before._replace(unordered=True)
    with contextlib.suppress(EngineError, OSError):
        fd = os.open(row.log_path, _FLAGS, 0o600)
        try:
            size = min(
                before.size_bytes, os.fstat(fd).st_size
            )  # it may have been cut, where no holes can be made
            os.ftruncate(fd, size)
            os.lseek(fd, size, os.SEEK_SET)
            after = _append(fd, _fresh(ctx, row, before, over=over), before._replace(size_bytes=size))
        finally:
            os.close(fd)
        if after != before:
            store.keep_log_cursor(row.id, after)


def _fresh(ctx: Context, row: Instance, before: LogCursor, *, over: bool) -> Iterator[Line]:
    """The lines after the last one copied; the engine is asked by the second and tells some of them again."""
    engine = ctx.engines().at(row.engine or "")
    since = 0 if before.unordered else before.ns // _NS
    told: list[Line] | None = []  # what may have been copied; None once that is behind us
    for line in split_lines(engine.logs(row.container_id or "", since=since)):
        if not over and not line.text.endswith(b"\n") and len(line.text) < LONGEST_LINE:
            break  # it is still being written
        if told is None:
            yield line
        elif before.unordered or line.ns == before.ns:
            told.append(line)
        elif line.ns > before.ns:
            yield from _news(told, before)
            yield line
            told = None
    yield from _news(told or (), before)


def _news(told: Sequence[Line], before: LogCursor) -> Sequence[Line]:
    return told[where_news_begin([line.mark() for line in told], before.lines, before.marks) :]


def _append(fd: int, lines: Iterator[Line], cursor: LogCursor) -> LogCursor:
    first, held = cursor.size_bytes, bytearray()
    size, ns, count = first, cursor.ns, cursor.lines
    marks = deque(cursor.marks, _MARKS)
    for line in lines:
        held += line.text
        size += len(line.text)
        ns, count = line.ns, count + 1 if line.ns == ns else 1
        marks.append(line.mark())
        if size - first >= _MOST_BYTES:
            break
        if len(held) > 1 << 20:
            write_all(fd, held)
            held.clear()
    write_all(fd, held)
    return LogCursor(ns, count, size, tuple(marks), cursor.unordered)
