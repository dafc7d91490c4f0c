"""A server's log file, read on from where the last pass stopped. What it says is told by `requests`.

The offset and the state belong into the same transaction as the rows they gave: then a pass that is killed
loses nothing and doubles nothing.
"""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple
from llamaagent.collect.files import has_news
from llamaagent.collect.logevent import LogEvent, classify_exit, shows_progress
from llamaagent.collect.logstate import LogState
from llamaagent.collect.requests import close_log, read_requests, settle, wall_time
from llamaagent.collect.tail import next_data

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.sample import Request

__all__ = [
    "LogChunk", "LogEvent", "LogState", "classify_exit", "close_log", "has_news", "read_from", "read_log",
    "read_requests", "read_tail", "settle", "wall_time",
]  # fmt: skip

_PIECE = 262144


class LogChunk(NamedTuple):
    """What one reading gave, and where the next one begins."""

    inode: int | None
    offset: int
    state: LogState
    requests: tuple[Request, ...] = ()
    events: tuple[LogEvent, ...] = ()
    truncated: bool = False  # the file had been cut or replaced, so it was read from its start
    more: bool = False  # max_bytes were read and the file goes on
    progress: bool = False  # a request got on


def read_log(
    path: str, inode: int | None, offset: int, state: LogState, max_bytes: int = 16 << 20
) -> LogChunk:
    """Read what was added to a log since `offset`, at most max_bytes.

    inode, offset: as the last chunk gave them; None and 0 for the first reading. A file with another inode
    is a new log. One that is shorter than the offset has been cut: it is read from its start, and only the
    line that was not finished is lost. A hole, which is there when the offset is older than what was given
    back since, is passed over, with the line it ends in. A file that is not there gives nothing and changes
    nothing. With nothing new, requests that were held back are closed. Links are not followed.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return LogChunk(inode, offset, state)
    try:
        found = os.fstat(fd)
        truncated = False
        if inode is not None and found.st_ino != inode:
            state, offset, truncated = LogState(), 0, True
        elif found.st_size < offset:
            state, offset, truncated = state._replace(partial=b"", skipping=False), 0, True
        if found.st_size == offset:
            state, requests = settle(state)
            return LogChunk(found.st_ino, offset, state, requests, truncated=truncated)
        begin = next_data(fd, offset, found.st_size)
        if begin > offset:
            state, offset = state._replace(partial=b"", skipping=True), begin
        chunk = _read_pieces(fd, LogChunk(found.st_ino, offset, state), offset + max_bytes)
        return chunk._replace(truncated=truncated, more=chunk.offset < found.st_size)
    finally:
        os.close(fd)


def read_tail(path: str, size: int = 8192) -> bytes:
    """The last bytes of a file, empty when it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return b""
    try:
        return os.pread(fd, size, max(0, os.fstat(fd).st_size - size))
    finally:
        os.close(fd)


def read_from(path: str, inode: int | None, offset: int, size: int) -> bytes:
    """The end of what was added since `offset`, at most `size` bytes; changes nothing. Another file is all new."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return b""
    try:
        found = os.fstat(fd)
        first = offset if found.st_ino == inode and found.st_size >= offset else 0
        return os.pread(fd, size, max(first, found.st_size - size))
    finally:
        os.close(fd)


def _read_pieces(fd: int, chunk: LogChunk, until: int) -> LogChunk:
    offset, state = chunk.offset, chunk.state
    requests: list[Request] = []
    events: list[LogEvent] = []
    progress = False
    while offset < until:
        data = os.pread(fd, min(_PIECE, until - offset), offset)
        if not data:
            break
        offset += len(data)
        progress = progress or shows_progress(state.partial + data)
        state, some, told = read_requests(state, data)
        requests += some
        events += told
    return chunk._replace(
        offset=offset, state=state, requests=tuple(requests), events=tuple(events), progress=progress
    )
