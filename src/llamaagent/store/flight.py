"""One computation of an answer at a time, whoever asks: a lock for each key, in one file beside the database.

`DB.flight.lock` is never written to: a key is a byte of it, far out, that is locked by an open file description. The
kernel lets go when its holder ends, however that was. Where there are no such locks (they are Linux's), the whole file
is locked, and answers are computed one after the other.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct

from llamaagent.base.errors import CannotCreateError, StoreBusyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.base.clock import Clock

_SHORTEST_S, _LONGEST_S = 0.005, 0.1
_FLOCK = "hhqqi"  # struct flock: type, whence, start, length, pid


@contextlib.contextmanager
def alone(database: str, key: str, clock: Clock, wait_s: float) -> Iterator[None]:
    """Hold the key.

    Raises StoreBusyError when another holds it for longer than wait_s, CannotCreateError when the file cannot be made.
    """
    path = f"{database}.flight.lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise CannotCreateError(f"cannot open lock {path}: {error.strerror}") from error
    try:
        _take(fd, int(key[:15], 16), clock, wait_s)
        yield
    finally:
        os.close(fd)


def _take(fd: int, place: int, clock: Clock, wait_s: float) -> None:
    until, pause = clock.monotonic() + wait_s, _SHORTEST_S
    while not _try(fd, place):
        if clock.monotonic() >= until:
            raise StoreBusyError(
                "another program still computes this answer", hint="a longer --timeout, or no --single-flight"
            )
        clock.sleep(pause)
        pause = min(_LONGEST_S, pause * 1.5)


def _try(fd: int, place: int) -> bool:
    set_lock = getattr(fcntl, "F_OFD_SETLK", None)
    try:
        if set_lock is None:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            fcntl.fcntl(fd, set_lock, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0))
    except (BlockingIOError, PermissionError):  # held, as POSIX says it in two ways
        return False
    return True
