"""The same figures through psutil, for systems without /proc. Imported only there."""

from __future__ import annotations

from llamaagent.collect.process import ProcessUsage
from llamaagent.domain.sample import SystemSample

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_TICKS = 100  # psutil gives seconds; the rows want whole ticks


def portable_system() -> SystemSample:
    """Everything of a system sample but the space of a file system and the differences."""
    import psutil

    times = psutil.cpu_times()
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    idle = times.idle + getattr(times, "iowait", 0.0)
    room, swap = psutil.virtual_memory(), psutil.swap_memory()
    loads = [round(value * 100) for value in psutil.getloadavg()]
    moved, net = psutil.disk_io_counters(), psutil.net_io_counters()
    return SystemSample(
        cpu_cores=psutil.cpu_count() or 1,
        cpu_busy_ticks_total=int((total - idle) * _TICKS),
        cpu_ticks_total=int(total * _TICKS),
        memory_total_mib=room.total >> 20,
        memory_used_mib=(room.total - room.available) >> 20,
        memory_available_mib=room.available >> 20,
        swap_total_mib=swap.total >> 20,
        swap_used_mib=swap.used >> 20,
        load_1min_centi=loads[0],
        load_5min_centi=loads[1],
        load_15min_centi=loads[2],
        disk_read_bytes_total=moved.read_bytes if moved else None,
        disk_write_bytes_total=moved.write_bytes if moved else None,
        network_rx_bytes_total=net.bytes_recv if net else None,
        network_tx_bytes_total=net.bytes_sent if net else None,
    )


def portable_process(pids: Iterable[int]) -> ProcessUsage | None:
    """Summed use of the processes that are still there; None when none is."""
    import psutil

    ticks = rss = threads = processes = 0
    for pid in pids:
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            ticks += int((times.user + times.system) * _TICKS)
            rss += process.memory_info().rss
            threads += process.num_threads()
        except psutil.Error:
            continue
        processes += 1
    if not processes:
        return None
    return ProcessUsage(processes=processes, cpu_ticks_total=ticks, rss_kib=rss >> 10, threads=threads)
