"""Locks that do not come free: who really holds them, and what hinders him. A lock is never judged by age alone.

The kernel lets go of a lock when its last holder ends, so what is held is held by somebody alive: a pass that was
suspended, one that waits for a device, or a child that inherited the lock from an agent that is gone.
"""

from __future__ import annotations

import os
import re

from llamaagent.collect.files import read_file
from llamaagent.doctor.finding import ERROR, WARNING, Finding
from llamaagent.launch.identity import read_small, read_stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.base.paths import HostPaths
    from llamaagent.doctor.finding import Case

NAMES = ("pass", "agent", "notify", "report")
_LONG_S = 120  # a pass takes ten seconds, and a report is not made under the lock


def locks(case: Case) -> Iterator[Finding]:
    """Every lock beside the database."""
    loop = holder_of(f"{case.database}.agent.lock", case.host)
    for name in NAMES:
        path = f"{case.database}.{name}.lock"
        pid = holder_of(path, case.host)
        stat = None if pid is None else read_stat(pid, case.host)
        if pid is None or stat is None:
            continue
        age_s = case.clock.boottime() - stat.start_ticks / os.sysconf("SC_CLK_TCK")
        finding = judge_lock(
            path,
            _taker(path),
            pid,
            _command(pid, case.host),
            stat.state,
            long=name == "pass" and pid != loop and age_s > _LONG_S,
        )
        if finding is not None:
            yield finding


def judge_lock(
    path: str, taker: int | None, holder: int, command: str, state: str, *, long: bool
) -> Finding | None:
    """One held lock. taker: the pid written in it; state: of the holder (/proc/PID/stat); long: held for minutes."""
    who = f"pid {holder} ({command})"
    if state in {"T", "t"}:
        what = f"held by {who}, which is stopped (Ctrl-Z, or a debugger)"
        return Finding(ERROR, path, what, f"kill -CONT {holder}")
    if state == "D":
        return Finding(
            WARNING,
            path,
            f"held by {who}, which waits for a device or a file server",
            f"ps -o pid,wchan {holder}",
        )
    if taker is not None and taker != holder:
        what = f"taken by pid {taker}, and held by {who}, which inherited it"
        return Finding(WARNING, path, what, f"kill {holder}")
    if long:
        what = f"held by {who}, a pass that has not ended for more than {_LONG_S} s"
        return Finding(WARNING, path, what, f"kill {holder}; the next pass takes over what it began")
    return None


def holder_of(path: str, host: HostPaths) -> int | None:
    """The pid that holds a lock file, None when nobody does or it cannot be seen (from another namespace, say)."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return parse_locks(read_file(f"{host.proc}/locks") or b"", found.st_ino, found.st_dev)


def parse_locks(text: bytes, inode: int, device: int) -> int | None:
    r"""Read /proc/locks (proc_locks(5)): the holder of the flock on this inode. Waiting ones (`->`) hold nothing.

    >>> parse_locks(b"1: FLOCK  ADVISORY  WRITE 4711 08:01:99 0 EOF\\n", 99, os.makedev(8, 1))
    4711
    """
    wanted = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    for line in text.decode("ascii", "replace").splitlines():
        fields = line.split()
        if len(fields) >= 6 and fields[1] == "FLOCK" and fields[5] == wanted and int(fields[4]) > 0:
            return int(fields[4])
    return None


def _taker(path: str) -> int | None:
    """The pid that the lock's text names."""
    text = (read_file(path) or b"")[:64].decode("ascii", "replace")
    found = re.match(r"pid (\d+)", text)
    return int(found[1]) if found else None


def _command(pid: int, host: HostPaths) -> str:
    try:
        words = read_small(f"{host.proc}/{pid}/cmdline").split(b"\0")
    except OSError:
        return "?"
    return b" ".join(words[:6]).decode("utf-8", "replace").strip()[:100]
