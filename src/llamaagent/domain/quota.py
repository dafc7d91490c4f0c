"""What a project may use, what it uses, and whether one thing more fits. Pure.

Amounts are whole numbers in the units of the table `quotas`: cpus in milli, memory in MiB, gpu_hours in seconds of
one card, energy in watt hours. What is counted now and what is counted over a window are judged differently: a launch
asks for a known share of the first, and of the second only that something is left. max_priority refuses nothing: a
profile's priority counts at most so much.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.base.units import MIB, WINDOW_NAMES, format_count, format_size
from llamaagent.domain.plan import Arithmetic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llamaagent.domain.settings import ProjectLimits

RESOURCES = ("instances", "cpus", "memory", "gpus", "gpu_hours", "tokens", "energy", "max_priority")
WINDOWED = frozenset({"gpu_hours", "tokens", "energy"})
ON_CARDS = frozenset({"gpu_hours", "energy"})  # nothing of these is left: only what takes a card is refused
_WORDS = {
    "instances": "instances",
    "cpus": "CPU cores",
    "memory": "of memory",
    "gpus": "GPUs",
    "gpu_hours": "GPU-hours",
    "tokens": "tokens",
    "energy": "kWh",
}
_UNITS = {"cpus": "_milli", "memory": "_mib", "gpu_hours": "_s", "energy": "_wh"}


class Limit(NamedTuple):
    """One limit in force. amount None = no limit, said expressly. origin: settings | override."""

    project: str
    resource: str
    amount: int | None
    window_s: int | None = None
    origin: str = "settings"
    reason: str | None = None
    username: str | None = None
    until_ts: int | None = None


class Use(NamedTuple):
    """Who uses how much of one resource: a profile, a lease, or (of gpus) a card with those who hold it."""

    who: str
    amount: int


class Excess(NamedTuple):
    """A limit that one thing more would exceed, or that is used up."""

    limit: Limit
    uses: tuple[Use, ...]
    asked: int


def declared_limits(project: ProjectLimits) -> tuple[Limit, ...]:
    """The limits that the settings give to one project."""
    found: list[Limit] = []
    plain = {
        "instances": project.instances,
        "cpus": None if project.cpus is None else round(project.cpus * 1000),
        "memory": project.memory_mib,
        "gpus": project.gpus,
        "max_priority": project.max_priority,
    }
    rates = {
        "gpu_hours": (project.gpu_hours, 3600),
        "tokens": (project.tokens, 1),
        "energy": (project.energy_kwh, 1000),
    }
    for resource in RESOURCES:
        if resource in rates:
            rate, factor = rates[resource]
            if rate is not None:
                found.append(Limit(project.name, resource, round(rate[0] * factor), rate[1]))
        elif plain[resource] is not None:
            found.append(Limit(project.name, resource, plain[resource]))
    return tuple(found)


def strongest(declared: Iterable[Limit], overrides: Iterable[Limit], now: int) -> tuple[Limit, ...]:
    """What was said last of each resource: an override until its time is up, else the settings' word."""
    found = {(limit.project, limit.resource): limit for limit in declared}
    for limit in overrides:
        if limit.until_ts is None or limit.until_ts > now:
            found[limit.project, limit.resource] = limit
    return tuple(sorted(found.values(), key=lambda limit: (limit.project, RESOURCES.index(limit.resource))))


def in_force(declared: Iterable[Limit], overrides: Iterable[Limit], now: int) -> tuple[Limit, ...]:
    """The limits that count."""
    return tuple(limit for limit in strongest(declared, overrides, now) if limit.amount is not None)


def used(uses: Iterable[Use]) -> int:
    """The sum."""
    return sum(use.amount for use in uses)


def exceeded(
    limits: Iterable[Limit], uses: Mapping[str, tuple[Use, ...]], asks: Mapping[str, int]
) -> tuple[Excess, ...]:
    """The limits that stand in the way. asks: by resource; one that is not asked for is not looked at."""
    found: list[Excess] = []
    for limit in limits:
        asked, amount = asks.get(limit.resource), limit.amount
        if asked is None or amount is None:
            continue
        by = uses.get(limit.resource, ())
        spent = limit.resource in WINDOWED and used(by) >= amount
        if spent or (asked > 0 and used(by) + asked > amount):
            found.append(Excess(limit, by, asked))
    return tuple(found)


def sentence(excess: Excess) -> str:
    """What stands in the way, for people."""
    limit = excess.limit
    per = f" per {WINDOW_NAMES.get(limit.window_s, f'{limit.window_s}s')}" if limit.window_s else ""
    text = f"project {limit.project}: {amount_text(limit.resource, used(excess.uses))} of "
    text += f"{amount_text(limit.resource, limit.amount or 0)} {_WORDS[limit.resource]}{per} are used"
    by = users_text(limit.resource, excess.uses)
    text += f" ({by})" if by else ""
    if limit.resource not in WINDOWED:
        text += f", and this asks for {amount_text(limit.resource, excess.asked)} more"
    if limit.origin == "override":
        text += f"; limit set by {limit.username or '?'}"
    return text


def figures(excess: Excess) -> tuple[Arithmetic, ...]:
    """The arithmetic of one refusal: limit, use, what is asked, and who uses it; the uses add up to the use."""
    limit = excess.limit
    name, unit = limit.resource, _UNITS.get(limit.resource, "")
    made = [Arithmetic("project", limit.project), Arithmetic(f"{name}_limit{unit}", limit.amount)]
    made.append(Arithmetic(f"{name}_used{unit}", used(excess.uses)))
    if limit.resource not in WINDOWED:
        made.append(Arithmetic(f"{name}_asked{unit}", excess.asked))
    if limit.window_s is not None:
        made.append(Arithmetic(f"{name}_window_s", limit.window_s))
    by = "; ".join(f"{use.who}: {use.amount}" for use in excess.uses if use.amount)
    return (*made, Arithmetic(f"{name}_used_by{unit}", by or "nobody"))


def users_text(resource: str, uses: Iterable[Use], write: Callable[[str, int], str] | None = None) -> str:
    """Who uses it, the most first: `alpha 60, beta 40`. write: how an amount is written, default as the settings do."""
    ordered = sorted(uses, key=lambda use: (-use.amount, use.who))
    text = write or amount_text
    return ", ".join(f"{use.who} {text(resource, use.amount)}" for use in ordered if use.amount)


def amount_text(resource: str, amount: int) -> str:
    """An amount as people write it: cores, sizes, hours, kWh."""
    if resource == "memory":
        return (
            format_size(amount * MIB) if amount % 1024 == 0 or amount < 10240 else f"{amount / 1024:.1f}GiB"
        )
    scale = {"cpus": 1000, "gpu_hours": 3600, "energy": 1000}.get(resource)
    if scale is not None:
        return f"{amount / scale:.2f}".rstrip("0").rstrip(".")
    return format_count(amount) if resource == "tokens" else str(amount)


def limit_text(limit: Limit) -> str:
    """A limit as the settings write it: `100/week`, `64GiB`."""
    if limit.amount is None:
        return "none"
    text = amount_text(limit.resource, limit.amount)
    return f"{text}/{WINDOW_NAMES.get(limit.window_s, f'{limit.window_s}s')}" if limit.window_s else text
