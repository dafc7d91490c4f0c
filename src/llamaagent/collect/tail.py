"""The last lines of a server's log, read from its end: holes are passed over, and no line is too long.

A log whose start was given back to the file system begins with a hole. One that was cut, where the file system
makes no holes, begins anew, and the end of what it held before lies beside it.
"""

from __future__ import annotations

import os

from llamaagent.collect.files import CUT

_BLOCK = 65536
MOST = 16 << 20  # bytes that are looked at, however few lines they hold


def open_log(path: str) -> int:
    """A descriptor for reading; links are not followed. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)


def next_data(fd: int, offset: int, size: int) -> int:
    """The first byte from `offset` on that is not in a hole; `size` when there is none."""
    if offset >= size:
        return size
    try:
        return min(size, os.lseek(fd, offset, os.SEEK_DATA))
    except OSError as error:
        import errno

        return size if error.errno == errno.ENXIO else offset  # a file system that knows no holes


def last_lines(path: str, lines: int, most: int = MOST) -> tuple[list[bytes], int]:
    """The last lines, each with its line end, and the offset behind them.

    most: bytes that are looked at; of a longer line only its end is given. Raises OSError.
    """
    fd = open_log(path)
    try:
        size = os.fstat(fd).st_size
        data, whole = _read_back(fd, size, lines, most)
    finally:
        os.close(fd)
    if whole and data.count(b"\n") < lines and len(data) < most:
        data = _before_the_cut(path, lines, most - len(data)) + data
    return (data.splitlines(keepends=True)[-lines:] if lines else []), size


def _before_the_cut(path: str, lines: int, most: int) -> bytes:
    try:
        fd = open_log(path + CUT)
    except OSError:
        return b""
    try:
        return _read_back(fd, os.fstat(fd).st_size, lines, most)[0]
    finally:
        os.close(fd)


def _read_back(fd: int, size: int, lines: int, most: int) -> tuple[bytes, bool]:
    """At least so many lines from the end, where there are, and whether the file begins with them."""
    begin, start, found = next_data(fd, 0, size), size, 0
    blocks: list[bytes] = []
    while start > begin and found <= lines and size - start < most:
        step = max(begin, start - _BLOCK)
        block = os.pread(fd, start - step, step)
        found += block.count(b"\n")
        blocks.append(block)
        start = step
    data = b"".join(reversed(blocks)).replace(b"\0", b"")
    if start > 0:  # it begins within a line
        _, _, rest = data.partition(b"\n")
        data = rest or data
    return data, start == 0
