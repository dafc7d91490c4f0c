"""One sample of the machine. Rates are differences from the previous row; nothing here ever waits."""

from __future__ import annotations

import os

from llamaagent.base.errors import ParseError
from llamaagent.collect import cpu, disk, load, memory, network
from llamaagent.domain.sample import SystemSample

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from llamaagent.base.paths import HostPaths

    T = TypeVar("T")

# No machine moves a terabit a second: a larger step is a counter that was reset or went astray.
_BYTES_PER_SECOND_LIMIT = 125_000_000_000


def collect_system(
    paths: HostPaths, models_directory: str | None, previous: SystemSample | None, *, same_boot: bool
) -> SystemSample:
    """Measure the machine.

    models_directory: its file system is the one whose space is reported; None leaves the space unknown.
    previous: the last row, whenever it was taken; with same_boot False its counters mean nothing here.
    Whatever cannot be read or understood is None; nothing is raised. Without /proc psutil is asked.
    """
    sample = _counters(paths)
    space = disk.measure_space(models_directory) if models_directory else None
    if space is not None:
        sample = sample._replace(disk_total_mib=space.total_mib, disk_used_mib=space.used_mib)
    return with_differences(sample, previous) if previous is not None and same_boot else sample


def with_differences(sample: SystemSample, previous: SystemSample) -> SystemSample:
    """Fill in what happened since `previous`; a step backwards or an impossible one stays None. Pure."""
    ticks = _step(sample.cpu_ticks_total, previous.cpu_ticks_total)
    busy = _step(sample.cpu_busy_ticks_total, previous.cpu_busy_ticks_total)
    permille = None
    limit = None
    if ticks:
        # Every core ticks at the same pace, so the ticks also tell how much time has passed.
        seconds = ticks / (sample.cpu_cores * os.sysconf("SC_CLK_TCK"))
        limit = int(_BYTES_PER_SECOND_LIMIT * (seconds + 1))
        if busy is not None and busy <= ticks:
            permille = round(1000 * busy / ticks)
    return sample._replace(
        cpu_permille=permille,
        disk_read_bytes=_step(sample.disk_read_bytes_total, previous.disk_read_bytes_total, limit),
        disk_write_bytes=_step(sample.disk_write_bytes_total, previous.disk_write_bytes_total, limit),
        network_rx_bytes=_step(sample.network_rx_bytes_total, previous.network_rx_bytes_total, limit),
        network_tx_bytes=_step(sample.network_tx_bytes_total, previous.network_tx_bytes_total, limit),
    )


def _counters(paths: HostPaths) -> SystemSample:
    ticks = _parsed(cpu.read_stat(paths), cpu.parse_stat)
    if ticks is None and paths.proc == "/proc" and not os.path.exists("/proc/stat"):
        from llamaagent.collect.portable import portable_system

        return portable_system()
    room = _parsed(memory.read_meminfo(paths), memory.parse_meminfo) or memory.Memory()
    average = _parsed(load.read_loadavg(paths), load.parse_loadavg)
    disks = disk.list_disks(paths)
    moved = disks and _parsed(disk.read_diskstats(paths), lambda text: disk.parse_diskstats(text, disks))
    interfaces = _parsed(network.read_net_dev(paths), network.parse_net_dev)
    net = network.sum_real(paths, interfaces) if interfaces else None
    return SystemSample(
        cpu_cores=ticks.cores if ticks else os.cpu_count() or 1,
        cpu_busy_ticks_total=ticks.busy_total if ticks else None,
        cpu_ticks_total=ticks.total if ticks else None,
        memory_total_mib=room.total_mib,
        memory_used_mib=room.used_mib,
        memory_available_mib=room.available_mib,
        swap_total_mib=room.swap_total_mib,
        swap_used_mib=room.swap_used_mib,
        load_1min_centi=average.one_centi if average else None,
        load_5min_centi=average.five_centi if average else None,
        load_15min_centi=average.fifteen_centi if average else None,
        disk_read_bytes_total=moved.read_bytes_total if moved else None,
        disk_write_bytes_total=moved.write_bytes_total if moved else None,
        network_rx_bytes_total=net.rx_bytes_total if net else None,
        network_tx_bytes_total=net.tx_bytes_total if net else None,
    )


def _parsed(text: bytes | None, parse: Callable[[bytes], T]) -> T | None:
    """One source that changed its shape must not take the others with it."""
    if not text:
        return None
    try:
        return parse(text)
    except ParseError:
        return None


def _step(now: int | None, before: int | None, limit: int | None = None) -> int | None:
    if now is None or before is None or now < before:
        return None
    step = now - before
    return None if limit is not None and step > limit else step
