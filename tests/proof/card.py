"""One graphics card that only the servers of a site are on: with it reservations can be watched on any machine."""

from __future__ import annotations

from llamaagent.collect.gpu import GpuReading
from llamaagent.domain.sample import GpuHolder, GpuSample
from llamaagent.launch.adopt import find_launched

CARD = "GPU-00000000-1111-2222-3333-444444444444"
TOTAL_MIB = 65536
EACH_MIB = 90  # of the 100 that a profile here declares


def read_card(site_id: str) -> GpuReading:
    """What the driver would say of it: 64 GiB, a little of them in use by each server that lives."""
    pids = [launch.server.pid for launch in find_launched(site_id) if launch.server is not None]
    used = EACH_MIB * len(pids)
    sample = GpuSample(
        CARD,
        0,
        "Test Card",
        memory_total_mib=TOTAL_MIB,
        memory_used_mib=used,
        memory_free_mib=TOTAL_MIB - used,
        holders=tuple(GpuHolder(CARD, pid, EACH_MIB) for pid in pids),
    )
    return GpuReading(available=True, cards=(sample,))
