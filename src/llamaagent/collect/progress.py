"""How far a loading server has come: bytes read and written, and what is resident. Source: proc_pid_io(5).

No single one of them tells: weights that are mapped are never read, those in the page cache cost no disk, a download
is only written, and a card takes what the host lets go. Their sum stands still only when the server does.
"""

from __future__ import annotations

import os

from llamaagent.collect.files import read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.base.paths import HostPaths

_COUNTED = frozenset({b"rchar", b"wchar", b"read_bytes"})
_PAGE = os.sysconf("SC_PAGESIZE")


def read_progress(paths: HostPaths, pids: Iterable[int]) -> int | None:
    """Bytes over all these processes; None when nothing of them can be read (they are gone)."""
    found = [part for pid in pids for part in (_io(paths, pid), _resident(paths, pid)) if part is not None]
    return sum(found) if found else None


def parse_io_counts(text: bytes) -> int:
    r"""What /proc/PID/io counts as read and written, by calls and from the disk.

    >>> parse_io_counts(b"rchar: 10\nwchar: 2\nsyscr: 9\nread_bytes: 4096\n")
    4108
    """
    total = 0
    for line in text.split(b"\n"):
        name, _, value = line.partition(b": ")
        if name in _COUNTED and value.strip().isdigit():
            total += int(value)
    return total


def _io(paths: HostPaths, pid: int) -> int | None:
    text = read_file(f"{paths.proc}/{pid}/io")
    return None if text is None else parse_io_counts(text)


def _resident(paths: HostPaths, pid: int) -> int | None:
    words = (read_file(f"{paths.proc}/{pid}/statm") or b"").split()
    return int(words[1]) * _PAGE if len(words) > 1 and words[1].isdigit() else None
