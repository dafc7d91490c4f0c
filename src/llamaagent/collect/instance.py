"""One sample of one instance, put together from its processes, its counters and its health answer. Pure."""

from __future__ import annotations

import os

from llamaagent.collect.metrics import ServerCounters, difference
from llamaagent.domain.sample import InstanceSample

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.collect.process import ProcessUsage

_EMPTY = ServerCounters()


def build_instance_sample(
    instance_id: int,
    *,
    usage: ProcessUsage | None,
    counters: ServerCounters | None,
    previous: InstanceSample | None,
    elapsed_s: float | None,
    health_ms: int | None = None,
) -> InstanceSample:
    """Join the readings and take the differences.

    previous: the last row of this very launch (an instance id is one launch, so a restarted server starts
    without one). elapsed_s: seconds between the two readings; None or not positive leaves the CPU share
    unknown, and so does a share that the machine's cores cannot have delivered.
    """
    counted = counters or _EMPTY
    before = previous or InstanceSample(instance_id)
    ticks = usage.cpu_ticks_total if usage else None
    read = usage.read_bytes_total if usage else None
    written = usage.write_bytes_total if usage else None
    return InstanceSample(
        instance_id=instance_id,
        cpu_ticks_total=ticks,
        cpu_permille=cpu_share(difference(ticks, before.cpu_ticks_total), elapsed_s),
        rss_kib=usage.rss_kib if usage else None,
        threads=usage.threads if usage else None,
        read_bytes_total=read,
        write_bytes_total=written,
        read_bytes=difference(read, before.read_bytes_total),
        write_bytes=difference(written, before.write_bytes_total),
        prompt_tokens_total=counted.prompt_tokens_total,
        predicted_tokens_total=counted.predicted_tokens_total,
        prompt_ms_total=counted.prompt_ms_total,
        predicted_ms_total=counted.predicted_ms_total,
        decode_total=counted.decode_total,
        prompt_tokens=difference(counted.prompt_tokens_total, before.prompt_tokens_total),
        predicted_tokens=difference(counted.predicted_tokens_total, before.predicted_tokens_total),
        prompt_ms=difference(counted.prompt_ms_total, before.prompt_ms_total),
        predicted_ms=difference(counted.predicted_ms_total, before.predicted_ms_total),
        requests_processing=counted.requests_processing,
        requests_deferred=counted.requests_deferred,
        health_ms=health_ms,
        network_rx_bytes_total=usage.network_rx_bytes_total if usage else None,
        network_tx_bytes_total=usage.network_tx_bytes_total if usage else None,
    )


def cpu_share(ticks: int | None, elapsed_s: float | None) -> int | None:
    """Thousandths of one core that `ticks` clock ticks in `elapsed_s` seconds are.

    Rows carry whole seconds, so a short spacing can show a little more than the machine has: that is cut
    to its cores. More than twice as much is no measurement and becomes None.
    """
    if ticks is None or elapsed_s is None or elapsed_s <= 0:
        return None
    most = 1000 * (os.cpu_count() or 1)
    share = round(1000 * ticks / (elapsed_s * os.sysconf("SC_CLK_TCK")))
    return None if share > 2 * most else min(share, most)
