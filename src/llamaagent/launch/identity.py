"""Knowing a process again: boot id, pid and start tick together name one process for ever.

A pid alone is handed out again, and `kill(pid, 0)` says yes to a zombie and to a stranger. Everything here
reads `/proc` by plain system calls; psutil is asked only where there is no `/proc`. Source: proc_pid_stat(5).
"""

from __future__ import annotations

import os

from llamaagent.base.errors import ParseError
from llamaagent.base.paths import HostPaths
from llamaagent.base.record import NamedTuple
from llamaagent.domain.instance import Identity

LINUX = HostPaths()
_GONE_STATES = frozenset("ZXx")  # a zombie holds nothing but its pid
_FIRST_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO of the kernel
_UNKNOWN_BOOT = "unknown"  # a kernel without boot ids: pid and start tick still have to match


class ProcStat(NamedTuple):
    """What we need of /proc/PID/stat. start_ticks: clock ticks between boot and the start of the process."""

    pid: int
    comm: str
    state: str  # one letter; Z = zombie, X = dead, D = waiting for a device
    ppid: int
    pgrp: int
    session: int
    start_ticks: int

    @property
    def gone(self) -> bool:
        """Nothing runs there any more."""
        return self.state in _GONE_STATES


def read_small(path: str, limit: int = 65536) -> bytes:
    """Whole content of a kernel file in as few calls as possible. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(fd, limit)
        if len(data) < 4096:  # kernel files hand out at least a page unless they end
            return data
        parts = [data]
        while data := os.read(fd, limit):
            parts.append(data)
        return b"".join(parts)
    finally:
        os.close(fd)


def boot_id(host: HostPaths = LINUX) -> str:
    """Name of this boot: a random UUID from the kernel, the boot time where there is no /proc.

    In a container the pid namespace is named beside it, because the same pid is another process outside.
    """
    try:
        boot = read_small(f"{host.proc}/sys/kernel/random/boot_id").decode("ascii", "replace").strip()
        return boot + _namespace(host)
    except OSError:
        if os.path.exists(f"{host.proc}/self"):
            return _UNKNOWN_BOOT
    import psutil

    return f"boot-time-{int(psutil.boot_time())}"


def _namespace(host: HostPaths) -> str:
    try:
        inode = os.stat(f"{host.proc}/self/ns/pid").st_ino
    except OSError:
        return ""
    return "" if inode == _FIRST_NAMESPACE else f"+pid:{inode}"


def other_namespace(stored: str | None, now: str) -> bool:
    """Whether a stored boot id is of this boot, and of another pid namespace: its pids say nothing here."""
    return stored is not None and stored != now and stored.partition("+")[0] == now.partition("+")[0]


def parse_stat(data: bytes) -> ProcStat:
    """Read one /proc/PID/stat line.

    The name stands in parentheses and may itself hold spaces, parentheses and line ends, so the fields are
    counted from its last `)`. Raises ParseError.
    """
    opening, closing = data.find(b"("), data.rfind(b")")
    fields = data[closing + 2 :].split()
    try:
        return ProcStat(
            pid=int(data[:opening]),
            comm=data[opening + 1 : closing].decode("utf-8", "replace"),
            state=fields[0].decode("ascii"),
            ppid=int(fields[1]),
            pgrp=int(fields[2]),
            session=int(fields[3]),
            start_ticks=int(fields[19]),
        )
    except (IndexError, ValueError) as error:
        raise ParseError(f"not a line of /proc/PID/stat: {data[:120]!r}") from error


def read_stat(pid: int, host: HostPaths = LINUX) -> ProcStat | None:
    """The process now, zombies included; None when there is none of that pid."""
    try:
        return parse_stat(read_small(f"{host.proc}/{pid}/stat"))
    except OSError:
        return None if os.path.exists(f"{host.proc}/self") or host != LINUX else _stat_by_psutil(pid)


def identify(pid: int, host: HostPaths = LINUX, *, boot: str | None = None) -> Identity | None:
    """Name the live process of this pid; None when it is gone, a zombie or dead.

    boot: what `boot_id` says, for callers that ask for many processes.
    """
    found = read_stat(pid, host)
    if found is None or found.gone:
        return None
    return Identity(boot_id(host) if boot is None else boot, pid, found.start_ticks)


def alive(identity: Identity | None, host: HostPaths = LINUX, *, boot: str | None = None) -> bool:
    """Whether this very process still runs. None, another boot, another start tick, a zombie: no."""
    return identity is not None and identify(identity.pid, host, boot=boot) == identity


def pids(host: HostPaths = LINUX) -> list[int]:
    """Every pid that /proc shows now, zombies included, in no order."""
    try:
        return [int(name) for name in os.listdir(host.proc) if name.isdigit()]
    except OSError:
        import psutil

        return psutil.pids()


def _stat_by_psutil(pid: int) -> ProcStat | None:
    """The same on a system without /proc; the start "tick" is a microsecond there."""
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            state = "Z" if process.status() == psutil.STATUS_ZOMBIE else "S"
            ticks = int(process.create_time() * 1_000_000)
            name, parent = process.name(), process.ppid()
        return ProcStat(pid, name, state, parent, os.getpgid(pid), os.getsid(pid), ticks)
    except (psutil.Error, OSError):
        return None
