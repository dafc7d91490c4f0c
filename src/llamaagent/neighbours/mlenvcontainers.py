"""MLEnv's containers to launches that have ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from llamaagent.neighbours import cells
from llamaagent.neighbours.carried import profile_name
from llamaagent.neighbours.dashboardmetrics import imported_card

if TYPE_CHECKING:
    from llamaagent.neighbours.bringing import Bringing, Row

    Value = str | int | float | bytes | None

TABLE = "container_instances"
_ENDED = {"error": "error", "deleted": "deleted"}  # whatever else it was, it is stopped


def bring_containers(bringing: Bringing, users: dict[object, int]) -> dict[str, int]:
    """Their container ids -> our launches, those that were here already included."""
    known: dict[str, int] = {}
    taken = bringing.store.names()
    given: dict[str, str] = {}
    last_seen = _last_seen(bringing)
    for row in bringing.rows(TABLE):
        container = cells.text(row.get("container_id"))
        if container is None or container in known:
            bringing.tally.drop(TABLE, "it has no id" if container is None else "its id stands there twice")
            continue
        found = bringing.store.find("select_container", {"container_id": container})
        if found is None:
            created = bringing.when(TABLE, row.get("created_at"))
            if created is None:
                continue
            name = cells.text(row.get("container_name")) or container
            profile = given.setdefault(name, _free(profile_name(name), taken))
            instance = _instance(bringing, row, created, last_seen.get(container))
            instance |= {"profile": profile, "container_id": container, "container_name": name}
            instance["user_id"] = users.get(row.get("user_id"))
            bringing.store.put("insert_instance", instance)
            known[container] = bringing.store.last_id()
            if cells.text(row.get("status")) == "running":
                bringing.tally.note(
                    "container_instances: what ran there reads stopped; nothing is taken over alive"
                )
        else:
            known[container] = found
        bringing.tally.put(TABLE, "instances", new=found is None)
    return known


def _free(name: str, taken: set[str]) -> str:
    """A name that no profile of this site has: its newest launch must not be one from elsewhere."""
    return f"{name}-imported" if name in taken else name


def _last_seen(bringing: Bringing) -> dict[str, int]:
    """When each container was measured last; read once beforehand, since an end may not be noted."""
    found: dict[str, int] = {}
    for row in bringing.source.rows("resource_metrics"):
        ts = cells.moment(row.get("timestamp"))
        if ts is not None and ts <= bringing.store.now:
            found[str(row.get("container_id"))] = max(ts, found.get(str(row.get("container_id")), 0))
    return found


def _instance(bringing: Bringing, row: Row, created: int, seen: int | None) -> dict[str, Value]:
    now = bringing.store.now
    started, stopped = cells.moment(row.get("started_at")), cells.moment(row.get("stopped_at"))
    status = cells.text(row.get("status")) or "stopped"
    ended = min(now, max(created, stopped or seen or started or created))
    instance: dict[str, Value] = {
        "project": cells.text(row.get("project_path")) or "default",
        "status": _ENDED.get(status, "stopped"),
        "detail": f"imported from MLEnv, where it was {bringing.clean(status)}",
        "image": cells.text(row.get("image_name")),
        "port_mappings": _object(row.get("port_mappings")),
        "gpus": _cards(bringing, row, created),
        "cpu_limit_milli": cells.count(row.get("cpu_limit"), 1000),
        "memory_limit_mib": cells.count(row.get("memory_limit_gb"), 1024),
        "created_ts": created,
        "launched_ts": started,
        "last_seen_ts": seen or ended,
        "ended_ts": ended,
    }
    return instance | _averages(row)


def _averages(row: Row) -> dict[str, Value]:
    """Averages stand here as a sum and a number; theirs count as one."""
    cpu, memory = (
        cells.count(row.get("cpu_usage_avg"), 10),
        cells.count(row.get("memory_usage_avg_gb"), 1048576),
    )
    gpu = cells.count(row.get("gpu_utilization_avg"))
    both = cpu is not None and memory is not None
    return {
        "sample_n": int(both),
        "cpu_permille_sum": cpu if both else 0,
        "rss_kib_sum": memory if both else 0,
        "gpu_utilization_n": int(gpu is not None),
        "gpu_utilization_sum": gpu or 0,
    }


def _object(value: object) -> str | None:
    found = cells.parsed(value)
    return json.dumps(found, ensure_ascii=False) if isinstance(found, dict) else None


def _cards(bringing: Bringing, row: Row, ts: int) -> str | None:
    """Their card numbers as cards of another machine."""
    found = cells.parsed(row.get("gpu_devices"))
    if not isinstance(found, list):
        return None
    indexes = [index for item in found if (index := cells.count(item)) is not None]
    for index in indexes:
        mlenv_card(bringing, index, ts)
    return json.dumps([uuid(index) for index in indexes])


def uuid(index: int) -> str:
    """What we call a card of which only the number is known."""
    return f"imported:mlenv:{index}"


def mlenv_card(bringing: Bringing, index: int, ts: int, total_mib: int | None = None) -> int:
    """The id of one of its cards."""
    return imported_card(bringing, uuid(index), index, f"card {index} of MLEnv", ts, total_mib)
