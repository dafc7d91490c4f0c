"""The families of metrics: names, what they mean, and which column of which statement holds them.

Base units, no timestamps: what is read is what the last pass saw. A counter only ever grows, or begins anew where its
source does (a reboot).
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.store.read import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from llamaagent.store.types import Connection

    Rows = Iterable[Mapping[str, object]]

GAUGE, COUNTER = "gauge", "counter"
_PREFIX = "llamaagent_"
STATUSES = ("created", "loading", "running", "unhealthy", "stopping", "stopped", "error", "deleted")
_CARD = ("uuid", "index", "name")
_PROFILE = ("profile", "project", "kind")


class Sample(NamedTuple):
    """One line: labels as (name, value), and the value."""

    labels: tuple[tuple[str, str], ...]
    value: int | float


class Family(NamedTuple):
    """One metric with all its series. name: a counter's ends with _total."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


class _Group(NamedTuple):
    """Columns of one statement. labels: its columns that are labels; each metric: column and what it means."""

    statement: str
    labels: tuple[str, ...]
    metrics: tuple[tuple[str, str], ...]


_GROUPS = (
    _Group(
        "list_passes",
        (),
        (("last_pass_timestamp_seconds", "When the agent last looked at everything, in Unix time."),),
    ),
    _Group(
        "list_instances",
        _PROFILE,
        (
            ("instance_up", "1 when the profile's server is healthy."),
            ("instance_wanted", "1 when it is meant to run now."),
            ("instance_failures", "Launches in a row that ended by themselves."),
            ("instance_start_timestamp_seconds", "When the living server was launched, in Unix time."),
            ("instance_memory_bytes", "Resident memory of the server."),
            ("instance_gpu_memory_bytes", "Memory that the server holds on its cards."),
            ("instance_cpu_cores", "Cores that the server kept busy since the pass before."),
            ("instance_requests_processing", "Requests in progress."),
            ("instance_requests_deferred", "Requests that wait for a slot."),
        ),
    ),
    _Group(
        "list_totals",
        ("profile",),
        (
            ("launches_total", "Launches of the profile, over all time."),
            ("requests_total", "Finished requests, over all time."),
            ("prompt_tokens_total", "Tokens of prompts, cached ones included, over all time."),
            ("cached_tokens_total", "Tokens of prompts that were in the server's cache, over all time."),
            ("generated_tokens_total", "Tokens generated, over all time."),
        ),
    ),
    _Group(
        "list_gpus",
        _CARD,
        (
            ("gpu_present", "1 while the driver reports the card."),
            ("gpu_utilization_ratio", "Share of the time in which the card was busy."),
            ("gpu_memory_total_bytes", "Memory of the card."),
            ("gpu_memory_used_bytes", "Memory in use on the card, by anybody."),
            ("gpu_memory_reserved_bytes", "Memory reserved for instances and leases."),
            ("gpu_temperature_celsius", "Temperature of the card."),
            ("gpu_power_watts", "Power that the card draws."),
        ),
    ),
    _Group(
        "list_system",
        (),
        (
            ("system_cpu_cores", "Cores of the machine."),
            ("system_cpu_utilization_ratio", "Share of all cores that was busy since the pass before."),
            ("system_memory_total_bytes", "Memory of the machine."),
            ("system_memory_used_bytes", "Memory in use."),
            ("system_memory_available_bytes", "Memory that programs can still have."),
            ("system_swap_total_bytes", "Swap space."),
            ("system_swap_used_bytes", "Swap space in use."),
            ("system_load1", "Load of the last minute."),
            ("system_disk_total_bytes", "Size of the models' file system."),
            ("system_disk_used_bytes", "What is used of the models' file system."),
        ),
    ),
    _Group(
        "list_system_counters",
        (),
        (
            ("system_disk_read_bytes_total", "Bytes read from disks since the boot."),
            ("system_disk_written_bytes_total", "Bytes written to disks since the boot."),
            ("system_network_receive_bytes_total", "Bytes received since the boot."),
            ("system_network_transmit_bytes_total", "Bytes sent since the boot."),
        ),
    ),
)


def families(db: Connection, version: str) -> tuple[Family, ...]:
    """Every family with a series, in one snapshot of the database. version: of the program."""
    with db:
        found = tuple(_all(db, version))
    return tuple(family for family in found if family.samples)


def _all(db: Connection, version: str) -> Iterator[Family]:
    (program,) = select(db, "list_program", area="metrics").rows
    labels = (("version", version), ("schema_version", str(program["schema_version"])))
    yield Family(f"{_PREFIX}build_info", GAUGE, "Which llamaagent this is; always 1.", (Sample(labels, 1),))
    for group in _GROUPS:
        rows = select(db, group.statement, area="metrics").rows
        for column, about in group.metrics:
            kind = COUNTER if column.endswith("_total") else GAUGE
            found = tuple(_samples(rows, group.labels, column))
            yield Family(f"{_PREFIX}{column}", kind, about, found)
        if group.statement == "list_instances":
            yield _statuses(rows)


def _samples(rows: Rows, labels: tuple[str, ...], column: str) -> Iterator[Sample]:
    for row in rows:
        value = row[column]
        if isinstance(value, (int, float)):
            yield Sample(tuple((label, str(row[label])) for label in labels), value)


def _statuses(rows: Rows) -> Family:
    """One series for each status, 1 for the one that it has: so that none vanishes when it changes."""
    samples = tuple(
        Sample((("profile", str(row["profile"])), ("status", status)), int(row["status"] == status))
        for row in rows
        for status in STATUSES
    )
    return Family(f"{_PREFIX}instance_status", GAUGE, "1 for the status that the instance has.", samples)
