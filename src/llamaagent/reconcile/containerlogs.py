"""The logs of containers, copied from their engines to where the logs of processes are.

From there everything reads them alike: requests, last words, `logs`. A line is copied once: how far it went is stored
after the lines are in the file, and what stands in the file beyond that is cut off before copying goes on. Nobody has
read that much by then, because the reader follows in the same pass.
"""

from __future__ import annotations

import contextlib
import os

from llamaagent.base.writing import write_all
from llamaagent.engine.client import EngineError
from llamaagent.engine.lines import split_lines
from llamaagent.store.containers import ContainerStore, LogCursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.domain.instance import Instance
    from llamaagent.engine.lines import Line
    from llamaagent.reconcile.context import Context

_NS = 1_000_000_000
_MOST_BYTES = 64 << 20  # of one pass; the rest is the next one's
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_log(ctx: Context, row: Instance) -> None:
    """Append what is new. An engine that does not answer, or a full disk, leaves it to a later pass."""
    if row.log_path is None or row.container_id is None:
        return
    store = ContainerStore(ctx.db)
    before = store.log_cursor(row.id)
    with contextlib.suppress(EngineError, OSError):
        fd = os.open(row.log_path, _FLAGS, 0o600)
        try:
            os.ftruncate(fd, before.size_bytes)
            os.lseek(fd, before.size_bytes, os.SEEK_SET)
            after = _append(fd, _fresh(ctx, row, before), before)
        finally:
            os.close(fd)
        if after != before:
            store.keep_log_cursor(row.id, after)


def _fresh(ctx: Context, row: Instance, before: LogCursor) -> Iterator[Line]:
    """The lines after the last one copied; the engine is asked by the second and tells some of them again."""
    engine = ctx.engines().at(row.engine or "")
    again = before.lines
    for line in split_lines(engine.logs(row.container_id or "", since=before.ns // _NS)):
        if line.ns < before.ns:
            continue
        if line.ns == before.ns and again:
            again -= 1
            continue
        yield line


def _append(fd: int, lines: Iterator[Line], cursor: LogCursor) -> LogCursor:
    first, held = cursor.size_bytes, bytearray()
    size = first
    for line in lines:
        held += line.text
        size += len(line.text)
        cursor = LogCursor(line.ns, cursor.lines + 1 if line.ns == cursor.ns else 1, size)
        if size - first >= _MOST_BYTES:
            break
        if len(held) > 1 << 20:
            write_all(fd, held)
            held.clear()
    write_all(fd, held)
    return cursor
