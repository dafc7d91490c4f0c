"""What projects use beside what they may: as `quota` reckons it, from views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.base.record import NamedTuple
from llamaagent.domain.cardtime import Power, Span, card_seconds, energy
from llamaagent.domain.quota import RESOURCES, Limit, Use, amount_text, limit_text, used, users_text
from llamaagent.report.figures import format_count

if TYPE_CHECKING:
    from llamaagent.report.reading import Reader

_WEEK_S = 7 * 86400
_LIMIT_FIELDS = 8  # the columns of read_limits that a Limit has


class ProjectUse(NamedTuple):
    """One resource of one project. share: of the limit, 1 = all of it; None without one."""

    project: str
    resource: str
    used: str
    limit: str
    share: float | None
    by: str
    origin: str
    note: str


def read_usage(reader: Reader) -> tuple[ProjectUse, ...]:
    """Each limit with its use, and what runs, holds cards or answers without one; windows end now."""
    limits = {
        (row[0], row[1]): Limit(*row[:_LIMIT_FIELDS]) for row in reader.db.execute(reader.sql["read_limits"])
    }
    plain = {row[0]: row[1:] for row in reader.db.execute(reader.sql["read_project_use"])}
    names = sorted({project for project, _ in limits} | set(plain))
    found = []
    for name in names:
        if reader.scope.project in {None, name}:
            found += _of_project(reader, name, plain.get(name, (0, 0.0, 0.0, 0)), limits)
    return tuple(found)


def _of_project(
    reader: Reader, name: str, plain: tuple[float, ...], limits: dict[tuple[str, str], Limit]
) -> list[ProjectUse]:
    count, cores, gib, cards = plain
    now_used = {
        "instances": count,
        "cpus": round(cores * 1000),
        "memory": round(gib * 1024),
        "gpus": cards,
    }
    found = []
    for resource in RESOURCES:
        limit = limits.get((name, resource))
        window_s = limit.window_s if limit and limit.window_s else _WEEK_S
        note = "" if limit and limit.window_s else " in 7 days"
        if resource in now_used:
            by, amount, note = "", int(now_used[resource]), ""
        elif resource == "max_priority" or (resource == "energy" and limit is None):
            continue  # the first counts nothing; the second would read every sample of a week for a mere remark
        else:
            uses = _windowed(reader, name, resource, window_s)
            by, amount = users_text(resource, uses, _amount), used(uses)
        if limit is None and not amount:
            continue
        found.append(_say(name, resource, amount, limit, by, note))
    return found


def _say(name: str, resource: str, amount: int, limit: Limit | None, by: str, note: str) -> ProjectUse:
    share = amount / limit.amount if limit and limit.amount else None
    told = ""
    if limit is not None and limit.origin == "override":
        told = f"set by {limit.username or '?'}" + (f": {limit.reason}" if limit.reason else "")
    return ProjectUse(
        name,
        resource,
        _amount(resource, amount) + note,
        limit_text(limit) if limit else "none",
        share,
        by,
        limit.origin if limit else "",
        told,
    )


def _amount(resource: str, amount: int) -> str:
    return format_count(amount) if resource == "tokens" else amount_text(resource, amount)


def _windowed(reader: Reader, project: str, resource: str, window_s: int) -> tuple[Use, ...]:
    since = reader.now - window_s
    amounts: dict[str, int]
    if resource == "tokens":
        rows = reader.db.execute(reader.sql["read_project_tokens"], {"from_ts": since})
        amounts = {profile: tokens for name, profile, tokens in rows if name == project}
    else:
        bound = {"from_ts": since, "to_ts": reader.now}
        spans = tuple(Span(*row) for row in reader.db.execute(reader.sql["read_card_time"], bound))
        if resource == "gpu_hours":
            amounts = card_seconds(span for span in spans if span.project == project)
        else:
            power = reader.db.execute(reader.sql["read_card_power"], {"from_ts": since})
            amounts = energy(project, (Power(*row) for row in power), spans).by_holder
    return tuple(Use(who, amount) for who, amount in sorted(amounts.items()))
