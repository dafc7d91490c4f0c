"""What a container uses, from the control group of its first process: all of its processes, those that ended too.

The kernel's own counters are read, which the engine's statistics are made of, so ten containers cost milliseconds;
the engine itself takes a second for each. Memory in use is what docker stats shows: without the page cache that can go
at once. Sources: the kernel's cgroup-v1 and cgroup-v2 documents; docker's calculateMemUsageUnixNoCache.
"""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple
from llamaagent.collect.files import read_file
from llamaagent.collect.process import ProcessUsage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.base.paths import HostPaths

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_NS, _US = 1_000_000_000, 1_000_000
_PARTS = ("memory", "cpuacct", "pids", "blkio")


class Groups(NamedTuple):
    """Folders of a process's control group, by controller; one for all where the kernel has one hierarchy."""

    unified: str | None
    memory: str | None = None
    cpuacct: str | None = None
    pids: str | None = None
    blkio: str | None = None


def parse_groups(text: bytes, root: str) -> Groups:
    """Read /proc/PID/cgroup. root: where the hierarchies are mounted, mostly /sys/fs/cgroup."""
    unified: str | None = None
    found: dict[str, str] = {}
    for line in text.decode("utf-8", "surrogateescape").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if not names:
            unified = f"{root}{path.rstrip('/')}"
        for name in names.split(","):
            if name in _PARTS:
                found[name] = f"{root}/{names}{path.rstrip('/')}"
                if not os.path.isdir(found[name]):
                    found[name] = f"{root}/{name}{path.rstrip('/')}"
    return Groups(unified, **found)


def collect_container(paths: HostPaths, pid: int) -> ProcessUsage | None:
    """All that is in the control group of this process; None when it is gone, or its group cannot be read.

    The network is counted where it has one of its own. The group must not be our own: then it is no container's.
    """
    text = read_file(f"{paths.proc}/{pid}/cgroup", 65536)
    if not text or text == read_file(f"{paths.proc}/self/cgroup", 65536):
        return None
    groups = parse_groups(text, f"{paths.sys}/fs/cgroup")
    found = _first(groups) if groups.memory is not None else _second(groups.unified or "")
    if found is None:
        return None
    received, sent = _network(paths, pid)
    return found._replace(network_rx_bytes_total=received, network_tx_bytes_total=sent)


def _first(groups: Groups) -> ProcessUsage | None:
    """Version 1: a hierarchy for each controller."""
    used = _number(f"{groups.memory}/memory.usage_in_bytes")
    cpu_ns = _number(f"{groups.cpuacct}/cpuacct.usage")
    if used is None or cpu_ns is None:
        return None
    idle = _field(read_file(f"{groups.memory}/memory.stat", 65536), b"total_inactive_file") or 0
    read, written = _throttled(
        read_file(f"{groups.blkio}/blkio.throttle.io_service_bytes_recursive", 1 << 20)
    )
    count = _number(f"{groups.pids}/pids.current") or 0
    return _usage(count, cpu_ns * _TICKS_A_SECOND // _NS, used, idle, read, written)


def _second(folder: str) -> ProcessUsage | None:
    """Version 2: one hierarchy."""
    used = _number(f"{folder}/memory.current")
    cpu_us = _field(read_file(f"{folder}/cpu.stat", 65536), b"usage_usec")
    if used is None or cpu_us is None:
        return None
    idle = _field(read_file(f"{folder}/memory.stat", 65536), b"inactive_file") or 0
    read, written = parse_io_stat(read_file(f"{folder}/io.stat", 1 << 20) or b"")
    count = _number(f"{folder}/pids.current") or 0
    return _usage(count, cpu_us * _TICKS_A_SECOND // _US, used, idle, read, written)


def _usage(
    count: int, ticks: int, used_bytes: int, idle_bytes: int, read: int | None, written: int | None
) -> ProcessUsage:
    memory = used_bytes - idle_bytes if idle_bytes < used_bytes else used_bytes
    return ProcessUsage(count, ticks, memory // 1024, count, read, written)


def parse_io_stat(text: bytes) -> tuple[int, int]:
    """(read, written) bytes over all devices of io.stat."""
    words = [word.partition(b"=")[::2] for line in text.splitlines() for word in line.split()[1:]]
    sums = {
        name: sum(int(v) for key, v in words if key == name and v.isdigit())
        for name in (b"rbytes", b"wbytes")
    }
    return sums[b"rbytes"], sums[b"wbytes"]


def _throttled(text: bytes | None) -> tuple[int | None, int | None]:
    """(read, written) bytes over all devices of version 1's `8:0 Read 4096` lines."""
    if text is None:
        return None, None
    sums = {b"Read": 0, b"Write": 0}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in sums and words[2].isdigit():
            sums[words[1]] += int(words[2])
    return sums[b"Read"], sums[b"Write"]


def _network(paths: HostPaths, pid: int) -> tuple[int | None, int | None]:
    """(received, sent) over all interfaces but the loopback; None where it shares the network with us."""
    try:
        if os.stat(f"{paths.proc}/{pid}/ns/net").st_ino == os.stat(f"{paths.proc}/self/ns/net").st_ino:
            return None, None
    except OSError:
        return None, None
    received = sent = 0
    for line in (read_file(f"{paths.proc}/{pid}/net/dev", 65536) or b"").splitlines()[2:]:
        name, _, rest = line.partition(b":")
        fields = rest.split()
        if name.strip() != b"lo" and len(fields) > 8:
            received, sent = received + int(fields[0]), sent + int(fields[8])
    return received, sent


def _number(path: str) -> int | None:
    text = (read_file(path, 64) or b"").strip()
    return int(text) if text.isdigit() else None


def _field(text: bytes | None, name: bytes) -> int | None:
    for line in (text or b"").splitlines():
        key, _, value = line.partition(b" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return None
