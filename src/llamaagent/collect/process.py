"""What a group of processes uses, from /proc/PID. Source: proc_pid_stat(5), proc_pid_io(5).

Resident memory comes from field 24 of `stat`, the very counter that `statm` prints, so no second file is
read for it; `smaps_rollup` would walk the page tables (milliseconds a gigabyte) and needs ptrace rights.
Pages that several members map are therefore counted once for each of them, mapped weights included.
"""

from __future__ import annotations

import os

from llamaagent.base.errors import ParseError
from llamaagent.base.record import NamedTuple
from llamaagent.collect.files import list_folder, read_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.base.paths import HostPaths

ZOMBIE_STATES = frozenset("ZX")
_PAGE_KIB = os.sysconf("SC_PAGESIZE") // 1024


class ProcessStat(NamedTuple):
    """One process."""

    state: str  # one letter, R S D Z T ...
    parent: int
    group: int
    threads: int
    cpu_ticks_total: int
    start_ticks: int  # since boot
    rss_kib: int


class ProcessUsage(NamedTuple):
    """Several processes summed. I/O is what reached the disk; None when a member's may not be read."""

    processes: int
    cpu_ticks_total: int
    rss_kib: int
    threads: int
    read_bytes_total: int | None = None
    write_bytes_total: int | None = None
    network_rx_bytes_total: int | None = None  # of a container that has a network of its own
    network_tx_bytes_total: int | None = None


def parse_stat(text: bytes) -> ProcessStat:
    """Read /proc/PID/stat. The name may hold spaces and brackets, so fields are counted from the last one.

    Raises ParseError when fields are missing or not numeric.
    """
    fields = text[text.rfind(b")") + 2 :].split()
    try:
        return ProcessStat(
            state=fields[0].decode(),
            parent=int(fields[1]),
            group=int(fields[2]),
            threads=int(fields[17]),
            cpu_ticks_total=int(fields[11]) + int(fields[12]),
            start_ticks=int(fields[19]),
            rss_kib=int(fields[21]) * _PAGE_KIB,
        )
    except (IndexError, ValueError) as error:
        raise ParseError(f"/proc/PID/stat: {text[:120]!r}") from error


def parse_io(text: bytes) -> tuple[int, int] | None:
    """(read_bytes, write_bytes) of /proc/PID/io, None when a line is missing."""
    found: dict[bytes, int] = {}
    for line in text.split(b"\n"):
        name, _, value = line.partition(b": ")
        if name in {b"read_bytes", b"write_bytes"} and value.strip().isdigit():
            found[name] = int(value)
    return (found[b"read_bytes"], found[b"write_bytes"]) if len(found) == 2 else None


def read_process(paths: HostPaths, pid: int) -> ProcessStat | None:
    """State of one process, None when it is gone."""
    text = read_file(f"{paths.proc}/{pid}/stat", 4096)
    return parse_stat(text) if text else None


def collect_process(paths: HostPaths, pids: Iterable[int]) -> ProcessUsage | None:
    """Sum up a server and the members of its group (see `list_descendants`).

    Processes that are gone or zombies are left out; None when none is left. That the pids are the right
    processes is the caller's business: identity is decided elsewhere.
    """
    pids = tuple(pids)
    processes = ticks = rss = threads = read = written = 0
    io_known = True
    for pid in pids:
        stat = read_process(paths, pid)
        if stat is None or stat.state in ZOMBIE_STATES:
            continue
        processes += 1
        ticks += stat.cpu_ticks_total
        rss += stat.rss_kib
        threads += stat.threads
        moved = parse_io(read_file(f"{paths.proc}/{pid}/io", 4096) or b"")
        if moved is None:
            io_known = False
        else:
            read += moved[0]
            written += moved[1]
    if not processes:
        if paths.proc == "/proc" and not os.path.exists("/proc/stat"):
            from llamaagent.collect.portable import portable_process

            return portable_process(pids)
        return None
    return ProcessUsage(
        processes, ticks, rss, threads, read if io_known else None, written if io_known else None
    )


def collect_anonymous_kib(paths: HostPaths, pids: Iterable[int]) -> int:
    """What only these processes keep from the machine, and give back when they end: resident, and not of a file.

    From /proc/PID/statm, whose third figure counts pages of files and of shared memory.
    """
    pages = 0
    for pid in pids:
        words = (read_file(f"{paths.proc}/{pid}/statm") or b"").split()
        if len(words) > 2 and words[1].isdigit() and words[2].isdigit():
            pages += max(0, int(words[1]) - int(words[2]))
    return pages * _PAGE_KIB


def list_descendants(paths: HostPaths, pid: int) -> tuple[int, ...]:
    """The process and everything below it, itself first.

    Follows /proc/PID/task/TID/children of every thread (a router forks from worker threads) instead of
    going through all of /proc. A process that left its parent is not found. Where the kernel has no such
    files the answer is the process alone.
    """
    found = [pid]
    seen = {pid}
    for member in found:
        folder = f"{paths.proc}/{member}/task"
        for thread in list_folder(folder) or ():
            for word in (read_file(f"{folder}/{thread}/children") or b"").split():
                child = int(word)
                if child not in seen:
                    seen.add(child)
                    found.append(child)
    return tuple(found)
