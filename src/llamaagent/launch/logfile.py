"""Giving disk space of a server's log back while the server holds the file, and removing old logs.

The server has the file open for appending, so renaming it would change nothing. A hole punched below what has
been read frees its blocks and moves no offset. Where the file system makes no holes, the file is cut to nothing
and the server, which appends, goes on at its start; what the file held last is kept beside it.
"""

from __future__ import annotations

import contextlib
import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

KEPT_LOGS = 10  # of ended launches of one profile
_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # linux/falloc.h
_CANNOT = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_ALIGN = 4096
_COPY = 1 << 20
_NEW = ".new"


def punch(path: str, upto: int) -> bool:
    """Free the blocks below `upto`, a byte offset; the file's size and every offset stay.

    False: this file system, or this system, makes no holes. Raises OSError for all else.
    """
    length = upto // _ALIGN * _ALIGN
    if length <= 0:
        return True
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        code = _fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, length)
    finally:
        os.close(fd)
    if code and code not in _CANNOT:
        raise OSError(code, os.strerror(code), path)
    return not code


def _fallocate(fd: int, mode: int, length: int) -> int:
    """fallocate(2) from the file's start, which Python does not have; gives errno, 0 when it was done."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    call = getattr(library, "fallocate64", None) or getattr(library, "fallocate", None)
    if call is None:
        return errno.ENOSYS
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    call.restype = ctypes.c_int
    while call(fd, mode, 0, length):
        code = ctypes.get_errno()
        if code != errno.EINTR:
            return code
    return 0


def keep_end(path: str, beside: str, upto: int, keep: int) -> None:
    """Copy the last `keep` bytes below `upto` to the file `beside`, mode 0600, in place of what it held.

    A copy that cannot be made (the disk is full) is left out: the file beside is gone then.
    """
    fresh = beside + _NEW
    try:
        _copy(path, fresh, _line_begin(path, max(0, upto - keep)), upto, os.O_CREAT | os.O_TRUNC)
        os.replace(fresh, beside)
    except OSError:
        for left in (fresh, beside):
            with contextlib.suppress(OSError):
                os.unlink(left)


def _line_begin(path: str, offset: int) -> int:
    """The first line's begin from an offset on; the offset itself in a line without an end in sight."""
    if offset == 0:
        return 0
    head = mark_before(path, offset + _ALIGN, _ALIGN)
    return offset + head.find(b"\n") + 1


def keep_more(path: str, beside: str, begin: int, upto: int) -> None:
    """Add what the log has grown by meanwhile, if there is a copy."""
    with contextlib.suppress(OSError):
        _copy(path, beside, begin, upto, os.O_APPEND)


def _copy(path: str, target: str, begin: int, upto: int, flags: int) -> None:
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        out = os.open(target, flags | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            while begin < upto and (data := os.pread(source, min(_COPY, upto - begin), begin)):
                begin += os.write(out, data)
        finally:
            os.close(out)
    finally:
        os.close(source)


def mark_before(path: str, offset: int, length: int = 256) -> bytes:
    """The bytes before an offset, by which a file that was cut and has grown again is told from one that was not."""
    begin = max(0, offset - length)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return os.pread(fd, offset - begin, begin)
    finally:
        os.close(fd)


def cut(path: str, size: int) -> bool:
    """Cut a log to nothing, if it is still `size` bytes long; False when it has grown. Raises OSError.

    What is written between the look and the cut is lost: some microseconds.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if os.fstat(fd).st_size != size:
            return False
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)
    return True


def remove_old(folder: str, most_bytes: int, spare: Collection[str] = ()) -> tuple[str, ...]:
    """Remove the oldest logs of a profile's folder beyond KEPT_LOGS, or beyond most_bytes on disk together.

    The newest stays whatever its size, and so do the files in `spare`. Gives what was removed.
    """
    found: dict[str, tuple[float, int]] = {}
    for name in _names(folder):
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            seen = os.lstat(path)
            log = path[: path.rindex(".log") + 4]
            newest, size = found.get(log, (0.0, 0))
            found[log] = (max(newest, seen.st_mtime), size + seen.st_blocks * 512)
    removed: list[str] = []
    total = 0
    for place, (log, (_, size)) in enumerate(sorted(found.items(), key=lambda one: one[1][0], reverse=True)):
        total += size
        if place == 0 or log in spare or (place < KEPT_LOGS and total <= most_bytes):
            continue
        total -= size
        for path in (log, f"{log}.1", f"{log}.1{_NEW}"):
            with contextlib.suppress(OSError):
                os.unlink(path)
                removed.append(path)
    return tuple(removed)


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if ".log" in name]
    except OSError:
        return []
