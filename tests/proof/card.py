"""One graphics card that nobody has: with it reservations can be watched on any machine."""

from __future__ import annotations

from llamaagent.collect.gpu import GpuReading
from llamaagent.domain.sample import GpuSample

CARD = "GPU-00000000-1111-2222-3333-444444444444"


def read_card() -> GpuReading:
    """What the driver would say of it: 64 GiB, all free."""
    sample = GpuSample(CARD, 0, "Test Card", memory_total_mib=65536, memory_used_mib=0, memory_free_mib=65536)
    return GpuReading(available=True, cards=(sample,))
