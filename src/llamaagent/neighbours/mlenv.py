"""MLEnv's database: containers and what they used, the machine, images, quotas, and what else it keeps.

Nothing of it is alive here: a container that ran reads stopped, and no card is reserved for anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.neighbours import cells
from llamaagent.neighbours.mlenvcatalogue import bring_answers, bring_images
from llamaagent.neighbours.mlenvcontainers import bring_containers
from llamaagent.neighbours.mlenvsamples import bring_snapshots, bring_usage

if TYPE_CHECKING:
    from llamaagent.neighbours.bringing import Bringing, Row

_LEAVES = (  # column, resource, how many of our units one of theirs is, what the program put in by itself
    ("max_containers", "instances", 1, 5),
    ("max_cpu_cores", "cpus", 1000, None),
    ("max_memory_gb", "memory", 1024, None),
    ("max_gpus", "gpus", 1, None),
)
_USED = ("current_containers", "current_cpu_cores", "current_memory_gb", "current_gpus")
_HEALTH = {"healthy": "healthy", "unhealthy": "unhealthy"}


def bring_mlenv(bringing: Bringing) -> None:
    """All its tables, in the order in which they need each other."""
    bring_images(bringing)
    users = _users(bringing)
    containers = bring_containers(bringing, users)
    bring_usage(bringing, containers)
    bring_snapshots(bringing)
    for row in bringing.rows("project_quotas"):
        _quota(bringing, row)
    for _ in bringing.rows("gpu_allocations"):
        bringing.tally.drop("gpu_allocations", "nothing is reserved for what does not run here")
    bring_answers(bringing)
    _audit(bringing, users)
    _health(bringing, containers)


def _users(bringing: Bringing) -> dict[object, int]:
    """Their numbers -> ours."""
    found: dict[object, int] = {}
    for row in bringing.rows("users"):
        name = cells.text(row.get("username"))
        if name is None:
            bringing.tally.drop("users", "it has no name")
            continue
        new = bringing.store.put("insert_user", {"username": name, "email": cells.text(row.get("email"))})
        bringing.tally.put("users", "users", new=new)
        user_id = bringing.store.find("select_user", {"username": name})
        if user_id is not None:
            found[row.get("id")] = user_id
    return found


def _quota(bringing: Bringing, row: Row) -> None:
    """Limits that somebody set, as overrides: the settings' `projects` is where they belong in the end."""
    project = cells.text(row.get("project_path"))
    if project is None:
        bringing.tally.drop("project_quotas", "it names no project")
        return
    new, limits = False, []
    for column, resource, times, default in _LEAVES:
        value = cells.real(row.get(column))
        if value is None or value < 0 or value == default:
            continue
        limits.append(f"{resource}: {_amount(resource, value)}")
        given = {"project": project, "resource": resource, "amount": cells.count(value, times)}
        given |= {"reason": "imported from MLEnv", "ts": bringing.store.now}
        new = bringing.store.put("insert_quota", given) or new
    if limits:
        bringing.tally.put("project_quotas", "quotas", new=new)
        shown = ", ".join(limits)
        bringing.tally.note(
            f"project_quotas: to keep them in git, write  projects: {{{project!r}: {{{shown}}}}}"
        )
    else:
        bringing.tally.drop("project_quotas", "nobody set a limit")
    if any(cells.real(row.get(column)) for column in _USED):
        bringing.tally.lose("project_quotas", "current_*", "what runs is counted, never stored")


def _amount(resource: str, value: float) -> str:
    return f"{value:g}GiB" if resource == "memory" else f"{value:g}"


def _audit(bringing: Bringing, users: dict[object, int]) -> None:
    for row in bringing.rows("audit_log"):
        ts = bringing.when("audit_log", row.get("timestamp"))
        if ts is None:
            continue
        if not bringing.store.is_new(
            "mlenv", "audit_log", row.get("id"), ts, row.get("action"), row.get("details")
        ):
            bringing.tally.put("audit_log", "audit_log", new=False)
            continue
        given: dict[str, str | int | None] = {
            name: cells.text(row.get(name)) for name in ("resource_type", "resource_id")
        }
        given |= {
            "action": cells.text(row.get("action")) or "unknown",
            "user_id": users.get(row.get("user_id")),
        }
        given |= {"ts": ts, "details": bringing.clean(cells.as_json(row.get("details")))}
        bringing.tally.put("audit_log", "audit_log", new=bringing.store.put("insert_audit", given))


def _health(bringing: Bringing, containers: dict[str, int]) -> None:
    for row in bringing.rows("health_checks"):
        ts = bringing.when("health_checks", row.get("timestamp"))
        container = cells.text(row.get("container_id")) or ""
        if ts is None:
            continue
        if container not in containers:
            bringing.tally.drop("health_checks", "its container is not there")
        elif not bringing.store.is_new("mlenv", "health_checks", row.get("id"), ts, container):
            bringing.tally.put("health_checks", "health_checks", new=False)
        else:
            status = _HEALTH.get(str(row.get("status")), "unknown")
            last = cells.moment(row.get("last_check")) or ts
            given = {"ts": ts, "last_ts": max(ts, min(last, bringing.store.now)), "status": status}
            given |= {"count": max(1, cells.count(row.get("failure_count")) or 1), "container_id": container}
            given["instance_id"] = containers[container]
            bringing.tally.put(
                "health_checks", "health_checks", new=bringing.store.put("insert_health", given)
            )
