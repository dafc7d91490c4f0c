"""What MLEnv measured of containers, machine and cards, to samples and roll-ups here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.neighbours import cells
from llamaagent.neighbours.dashboardmetrics import EMPTY
from llamaagent.neighbours.mlenvcontainers import mlenv_card

if TYPE_CHECKING:
    from llamaagent.neighbours.bringing import Bringing, Row

    Value = str | int | float | bytes | None

_MIB = 1024 * 1024
_LONGEST_GAP_S = 600
_COUNTERS = (
    ("disk_read_mb", "read_bytes_total"),
    ("disk_write_mb", "write_bytes_total"),
    ("network_rx_mb", "network_rx_bytes_total"),
    ("network_tx_mb", "network_tx_bytes_total"),
)
_GROWTH = (("read_bytes_total", "read_bytes"), ("write_bytes_total", "write_bytes"))
_TAKEN = "there is a measurement of that second already"


def bring_usage(bringing: Bringing, containers: dict[str, int]) -> None:
    """`resource_metrics`: its counters count on from row to row of one container."""
    table = "resource_metrics"
    before: dict[int, dict[str, Value]] = {}
    for row in bringing.rows(table):
        ts, container = bringing.when(table, row.get("timestamp")), str(row.get("container_id"))
        if ts is None:
            continue
        if container not in containers:
            bringing.tally.drop(table, "its container is not there")
            continue
        instance_id = containers[container]
        sample = _usage(row, ts, instance_id, before.get(instance_id, {}))
        before[instance_id] = sample
        if not bringing.store.is_new("mlenv", table, row.get("id"), row.get("timestamp"), container):
            bringing.tally.put(table, "instance_samples", new=False)
        elif bringing.store.sample("insert_instance_sample", sample, keep_s=bringing.keep.instance_s):
            bringing.tally.put(table, "instance_samples", new=True)
        else:
            bringing.tally.drop(table, _TAKEN)


def _usage(row: Row, ts: int, instance_id: int, before: dict[str, Value]) -> dict[str, Value]:
    cards = _cards(row.get("gpu_metrics"))
    memory = [mib for card in cards if (mib := _card_mib(card, "memory_used")) is not None]
    busy = [percent for card in cards if (percent := cells.count(card.get("utilization"))) is not None]
    sample: dict[str, Value] = {
        "ts": ts,
        "instance_id": instance_id,
        "interval_s": _gap(before.get("ts"), ts),
        "cpu_permille": cells.count(row.get("cpu_percent"), 10),
        "rss_kib": cells.count(row.get("memory_used_gb"), _MIB),
        "gpu_memory_mib": sum(memory) if memory else None,
        "gpu_utilization_percent": round(sum(busy) / len(busy)) if busy else None,
    }
    for column, name in _COUNTERS:
        sample[name] = cells.count(row.get(column), _MIB)
    for total, growth in _GROWTH:
        now, then = sample[total], before.get(total)
        sample[growth] = None
        if isinstance(now, int) and isinstance(then, int):
            sample[growth] = now - then if now >= then else now  # a smaller one began anew
    return sample


def bring_snapshots(bringing: Bringing) -> None:
    """`system_snapshots`: machine and cards."""
    table = "system_snapshots"
    before: int | None = None
    for row in bringing.rows(table):
        ts = bringing.when(table, row.get("timestamp"))
        if ts is None:
            continue
        gap, before = _gap(before, ts), ts
        if not bringing.store.is_new("mlenv", table, row.get("id"), row.get("timestamp")):
            bringing.tally.put(table, "system_samples", new=False)
            continue
        sample: dict[str, Value] = dict.fromkeys(EMPTY)
        sample |= {"ts": ts, "interval_s": gap, "cpu_permille": cells.count(row.get("cpu_percent"), 10)}
        sample["cpu_cores"] = cells.count(row.get("cpu_cores"))
        for word in ("total", "used", "available"):
            sample[f"memory_{word}_mib"] = cells.count(row.get(f"memory_{word}_gb"), 1024)
        for word in ("1min", "5min", "15min"):
            sample[f"load_{word}_centi"] = cells.count(row.get(f"load_{word}"), 100)
        if not bringing.store.sample("insert_system_sample", sample, keep_s=bringing.keep.system_s):
            bringing.tally.drop(table, _TAKEN)
            continue
        bringing.tally.put(table, "system_samples", new=True)
        for card in _cards(row.get("gpu_stats")):
            _card(bringing, card, ts, gap)


def _card(bringing: Bringing, card: dict[str, object], ts: int, gap: int | None) -> None:
    index, total = cells.count(card.get("gpu_id")), _card_mib(card, "memory_total")
    if index is None:
        bringing.tally.lose("system_snapshots", "gpu_stats", "a card without its number")
        return
    sample: dict[str, Value] = {
        "ts": ts,
        "gpu_id": mlenv_card(bringing, index, ts, total),
        "interval_s": gap,
        "utilization_percent": cells.count(card.get("utilization")),
        "memory_total_mib": total,
        "memory_used_mib": _card_mib(card, "memory_used"),
        "temperature_celsius": cells.count(card.get("temperature")),
        "power_mw": cells.count(card.get("power_usage") or card.get("power"), 1000),
    }
    bringing.store.sample("insert_gpu_sample", sample, keep_s=bringing.keep.system_s)


def _card_mib(card: dict[str, object], name: str) -> int | None:
    return cells.count(card.get(name))


def _cards(value: object) -> list[dict[str, object]]:
    found = cells.parsed(value)
    return [card for card in found if isinstance(card, dict)] if isinstance(found, list) else []


def _gap(before: Value, ts: int) -> int | None:
    """Seconds since the row before, where that is near enough to stand for them."""
    return ts - before if isinstance(before, int) and 0 < ts - before <= _LONGEST_GAP_S else None
