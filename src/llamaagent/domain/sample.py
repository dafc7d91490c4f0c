"""One measurement at one time. Integers in natural small units; None = not measured, never 0 or -1.

`*_total` are counters as the source counts them, kept so that the next pass can take a difference.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple


class SystemSample(NamedTuple):
    """The machine. cpu_permille: 1000 = all cores busy. Sizes: MiB. Counters: since boot."""

    cpu_cores: int
    cpu_busy_ticks_total: int | None = None
    cpu_ticks_total: int | None = None
    cpu_permille: int | None = None
    memory_total_mib: int | None = None
    memory_used_mib: int | None = None
    memory_available_mib: int | None = None
    swap_total_mib: int | None = None
    swap_used_mib: int | None = None
    load_1min_centi: int | None = None  # load x 100
    load_5min_centi: int | None = None
    load_15min_centi: int | None = None
    disk_total_mib: int | None = None  # the file system of the models folder
    disk_used_mib: int | None = None
    disk_read_bytes_total: int | None = None
    disk_write_bytes_total: int | None = None
    network_rx_bytes_total: int | None = None
    network_tx_bytes_total: int | None = None
    disk_read_bytes: int | None = None  # since the last sample
    disk_write_bytes: int | None = None
    network_rx_bytes: int | None = None
    network_tx_bytes: int | None = None


class GpuHolder(NamedTuple):
    """A process that holds memory on a card."""

    uuid: str
    pid: int
    memory_mib: int | None


class GpuSample(NamedTuple):
    """One card. None where the card or the driver does not say."""

    uuid: str
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody asks a sample for
    name: str
    pci_bus_id: str | None = None
    vendor: str = "nvidia"
    driver: str | None = None
    utilization_percent: int | None = None
    memory_utilization_percent: int | None = None
    memory_total_mib: int | None = None
    memory_used_mib: int | None = None
    memory_free_mib: int | None = None
    temperature_celsius: int | None = None
    power_mw: int | None = None
    power_limit_mw: int | None = None
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    throttle_reasons: int | None = None  # NVML's bit mask
    holders: tuple[GpuHolder, ...] = ()
    ecc_volatile: int | None = None  # uncorrected errors since the driver was loaded
    ecc_aggregate: int | None = None  # uncorrected errors of the card's life
    recovery_action: int | None = None  # what the driver asks for, as domain/xid.py names it; 0 = nothing
    parent: str | None = None  # uuid of the card that this MIG device is a part of
    withheld: str | None = None  # why nothing is ever given on it by itself: mig-parent | other-maker
    failed: str | None = None  # why nothing is given on it until it was reset
    position: int | None = None  # its number among the cards of its maker, as that maker's runtime counts


class InstanceSample(NamedTuple):
    """One instance. cpu_permille: 1000 = one core. Tokens and times are the server's own counters."""

    instance_id: int
    cpu_ticks_total: int | None = None
    cpu_permille: int | None = None
    rss_kib: int | None = None
    threads: int | None = None
    read_bytes_total: int | None = None
    write_bytes_total: int | None = None
    read_bytes: int | None = None  # since the last sample
    write_bytes: int | None = None
    prompt_tokens_total: int | None = None
    predicted_tokens_total: int | None = None
    prompt_ms_total: int | None = None
    predicted_ms_total: int | None = None
    decode_total: int | None = None
    prompt_tokens: int | None = None  # since the last sample
    predicted_tokens: int | None = None
    prompt_ms: int | None = None
    predicted_ms: int | None = None
    requests_processing: int | None = None
    requests_deferred: int | None = None
    gpu_memory_mib: int | None = None
    gpu_utilization_percent: int | None = None
    health_ms: int | None = None  # how long the health answer took
    network_rx_bytes_total: int | None = None  # of a container that has a network of its own
    network_tx_bytes_total: int | None = None


class Request(NamedTuple):
    """One finished request, as the server's log printed it. Rates are the printed ones, x 1000 in the table."""

    slot_id: int
    task_id: int
    started_us: int | None  # since the server's start, from the log prefix
    finished_us: int | None
    prompt_tokens: int | None
    cached_tokens: int | None
    generated_tokens: int | None
    prompt_time_ms: float | None
    generation_time_ms: float | None
    total_time_ms: float | None
    prompt_tokens_per_second: float | None
    tokens_per_second: float | None
    draft_tokens: int | None = None
    draft_accepted: int | None = None
    is_child: bool = False
    truncated: bool = False
    finish_reason: str | None = None  # "stop" (finished) | "cancelled"
