"""Rows as sql/report.sql gives them, field for column in its order. Units are in the names."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple


class Sampling(NamedTuple):
    """How samples were taken. first_ts, last_ts: of all there are; period_s: median spacing, None without one."""

    first_ts: int | None
    last_ts: int | None
    period_s: int | None


class SystemRow(NamedTuple):
    """The newest sample of the machine."""

    ts: int
    cpu_cores: int | None
    cpu_percent: float | None
    load_1min: float | None
    memory_used_mib: int | None
    memory_total_mib: int | None
    swap_used_mib: int | None
    swap_total_mib: int | None
    disk_used_mib: int | None
    disk_total_mib: int | None
    active_instances: int | None


class ProfileRow(NamedTuple):
    """A profile that is declared or live, with the launch that is live or was last."""

    profile: str
    project: str | None
    kind: str | None
    status: str
    wanted: int
    reason: str | None
    detail: str | None
    since_ts: int | None
    retry_ts: int | None
    override: str | None
    override_until_ts: int | None
    override_by: str | None
    declared_state: str | None
    priority: int | None
    source: str | None
    line: int | None
    declared_commit: str | None
    declared_dirty: int | None
    document: str | None
    refused_ts: int | None
    refusal: str | None
    instance_id: int | None
    url: str | None
    pid: int | None
    container_id: str | None
    model_path: str | None
    model_size_bytes: int | None
    build: str | None
    git_commit: str | None
    git_dirty: int | None
    context_size: int | None
    gpu_layers: int | None
    gpus: str | None  # JSON array of uuids
    argv: str | None  # JSON array
    gpu_memory_declared_mib: int | None
    gpu_memory_estimated_mib: int | None
    gpu_memory_measured_mib: int | None
    memory_limit_mib: int | None
    peak_memory_mib: float | None
    launched_ts: int | None
    ready_ts: int | None
    ended_ts: int | None
    exit_code: int | None
    exit_signal: int | None
    restarts: int | None
    launches: int
    crashes: int  # launches that ended by themselves within the page's day
    gave_up_ts: int | None = None


class LaunchRow(NamedTuple):
    """One launch."""

    instance_id: int
    status: str
    reason: str | None
    detail: str | None
    stop_reason: str | None
    launched_ts: int | None
    ready_ts: int | None
    ended_ts: int | None
    exit_code: int | None
    exit_signal: int | None
    url: str | None
    build: str | None
    git_commit: str | None
    git_dirty: int | None
    peak_memory_mib: float | None
    gpu_memory_measured_mib: int | None
    started_by: str | None


class DecisionRow(NamedTuple):
    """One line of the journal; arithmetic is a JSON object."""

    ts: int
    last_ts: int
    times: int
    profile: str
    action: str
    reason: str | None
    detail: str | None
    arithmetic: str | None


class RequestRow(NamedTuple):
    """One finished request."""

    ts: int
    prompt_tokens: int | None
    cached_tokens: int | None
    generated_tokens: int | None
    total_time_ms: float | None
    prompt_tokens_per_second: float | None
    tokens_per_second: float | None
    finish_reason: str | None
    truncated: int


class TotalsRow(NamedTuple):
    """The requests of a profile within the page's day."""

    profile: str
    requests: int
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    cancelled: int


class Distribution(NamedTuple):
    """How one figure of a profile's requests is spread. p50: half of them do not exceed it."""

    profile: str
    figure: int  # 1 generation speed, 2 prompt speed, 3 time in ms, 4 generated tokens
    n: int
    lowest: float
    p5: float
    p50: float
    p95: float
    highest: float


class GpuRow(NamedTuple):
    """One card. holders, reservations: JSON arrays."""

    uuid: str
    idx: int | None
    name: str | None
    driver: str | None
    memory_total_mib: int | None
    status: str
    last_seen_ts: int
    holders: str | None
    reservations: str | None


class TroubleRow(NamedTuple):
    """An error that the agent logged."""

    ts: int
    level: str
    source: str | None
    message: str


class LifeRow(NamedTuple):
    """A launch that was alive within a range. first_ts: the first launch of its profile, whenever that was."""

    profile: str
    instance_id: int
    launched_ts: int
    ready_ts: int | None
    ended_ts: int | None
    status: str
    reason: str | None
    detail: str | None
    first_ts: int


class RevisionRow(NamedTuple):
    """One content that a profile had. document: JSON."""

    first_seen_ts: int
    last_seen_ts: int
    git_commit: str | None
    git_dirty: int | None
    profile_hash: str
    document: str
    applied_ts: int | None
    healthy_ts: int | None
    refused_ts: int | None
    refusal: str | None


class TailRow(NamedTuple):
    """The last lines of a launch."""

    instance_id: int
    taken_ts: int
    lines: str


class HealthRow(NamedTuple):
    """An answer to the health probe, and how often it came in a row."""

    ts: int
    last_ts: int
    count_: int
    status: str
    http_status: int | None
    latency_ms: int | None
    detail: str | None


class ObservationRow(NamedTuple):
    """Memory as it was measured, beside the estimate."""

    build: str
    gpu: str
    estimated_mib: int | None
    peak_mib: int
    oom_mib: int | None
    n: int
    last_ts: int


class HistogramRow(NamedTuple):
    """How many requests of a profile fall into one bin of a figure (1 generation speed, 2 prompt speed)."""

    profile: str
    figure: int
    bin: int
    n: int
    width: float


class ChangeRow(NamedTuple):
    """Something that is not as it was a day ago."""

    ts: int
    kind: str
    profile: str | None
    detail: str | None


class EnergyRow(NamedTuple):
    """What a card took over a range. covered_s: of which so long was measured."""

    uuid: str
    kwh: float
    covered_s: int


class CardRow(NamedTuple):
    """More of a card. throttle, xids: JSON arrays."""

    uuid: str
    vendor: str | None
    pci_bus_id: str | None
    first_seen_ts: int
    failed_reason: str | None
    failed_ts: int | None
    throttle: str | None
    xids: str | None
    xid_source: str | None
    ecc_volatile: int | None
    ecc_aggregate: int | None
    sm_clock_mhz: int | None
    memory_clock_mhz: int | None
    reserved_mib: int | None


class IncidentRow(NamedTuple):
    """An entry of the feed. id: stable."""

    id: str
    ts: int
    kind: str
    profile: str | None
    detail: str | None
