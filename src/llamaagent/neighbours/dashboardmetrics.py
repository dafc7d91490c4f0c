"""Measurements of the llama dashboards, one row a moment for the machine and all cards together, to samples here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.neighbours import cells

if TYPE_CHECKING:
    from llamaagent.neighbours.bringing import Bringing, Row

    Value = str | int | float | bytes | None

UUID = "imported:llama-dashboard"
_LONGEST_GAP_S = 600
_GPU = ("gpu_usage", "gpu_temperature", "gpu_memory_used", "gpu_memory_total", "gpu_power_usage")
# Column, what it is called when it is named to the person, where its total would stand.
_SHARES = (
    ("memory_usage", "memory", "memory_mib"),
    ("disk_usage", "disk", "disk_mib"),
    ("swap_usage", "swap", "swap_mib"),
)


def bring_metrics(bringing: Bringing, table: str) -> None:
    """`metrics` or `metrics_history`; percentages of memory, disk and swap only where somebody said of what."""
    before: int | None = None
    for row in bringing.rows(table):
        ts = bringing.when(table, row.get("timestamp"))
        if ts is None:
            continue
        if not bringing.store.is_new(
            "dashboard", table, row.get("id"), row.get("timestamp"), row.get("cpu_usage")
        ):
            bringing.tally.put(table, "system_samples", new=False)
            before = ts
            continue
        gap = None if before is None or not 0 < ts - before <= _LONGEST_GAP_S else ts - before
        before = ts
        sample = _system(bringing, table, row, ts, gap)
        keep = bringing.keep.system_s
        if not bringing.store.sample("insert_system_sample", sample, keep_s=keep):
            bringing.tally.drop(table, "there is a measurement of that second already")
            continue
        bringing.tally.put(table, "system_samples", new=True)
        if any(cells.real(row.get(column)) for column in _GPU):  # all 0 is what it writes without a card
            _gpu(bringing, row, ts, gap)


def _system(bringing: Bringing, table: str, row: Row, ts: int, gap: int | None) -> dict[str, Value]:
    sample: dict[str, Value] = dict.fromkeys(EMPTY)
    sample |= {"ts": ts, "interval_s": gap, "cpu_permille": cells.count(row.get("cpu_usage"), 10)}
    sample["active_instances"] = cells.count(row.get("active_models"))
    sample["uptime_s"] = cells.count(row.get("uptime"))
    per_minute = cells.real(row.get("requests_per_minute"))
    if per_minute is not None and gap is not None:
        sample["requests"] = cells.count(per_minute * gap / 60)
    for column, word, total_name in _SHARES:
        share, total = cells.real(row.get(column)), getattr(bringing.totals, total_name)
        if share is None:
            continue
        if total is None:
            bringing.tally.lose(table, column, f"a percentage; --{word} SIZE says what it is of")
            continue
        sample[f"{word}_total_mib"] = total
        sample[f"{word}_used_mib"] = cells.count(share * total / 100)
    return sample


def _gpu(bringing: Bringing, row: Row, ts: int, gap: int | None) -> None:
    total = cells.count(row.get("gpu_memory_total")) or None
    gpu_id = imported_card(bringing, UUID, 0, "all cards of the llama dashboard", ts, total)
    sample: dict[str, Value] = {
        "ts": ts,
        "gpu_id": gpu_id,
        "interval_s": gap,
        "utilization_percent": cells.count(row.get("gpu_usage")),
        "memory_total_mib": total,
        "memory_used_mib": cells.count(row.get("gpu_memory_used")),
        "temperature_celsius": cells.count(row.get("gpu_temperature")) or None,
        "power_mw": cells.count(row.get("gpu_power_usage"), 1000) or None,
    }
    bringing.store.sample("insert_gpu_sample", sample, keep_s=bringing.keep.system_s)


def imported_card(
    bringing: Bringing, uuid: str, index: int, name: str, ts: int, total_mib: int | None = None
) -> int:
    """The id of a card that only the other program knew."""
    given = {"uuid": uuid, "idx": index, "name": name, "memory_total_mib": total_mib, "ts": ts}
    bringing.store.put("insert_gpu", given)
    found = bringing.store.find("select_gpu", {"uuid": uuid})
    assert found is not None  # noqa: S101 - it was written above
    return found


EMPTY = (
    *(
        "interval_s",
        "cpu_cores",
        "cpu_permille",
        "memory_total_mib",
        "memory_used_mib",
        "memory_available_mib",
    ),
    *("swap_total_mib", "swap_used_mib", "load_1min_centi", "load_5min_centi", "load_15min_centi"),
    *("disk_total_mib", "disk_used_mib", "active_instances", "uptime_s", "requests"),
)
