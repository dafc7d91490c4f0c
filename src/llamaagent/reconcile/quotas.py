"""Quotas at the moment of a launch: limits in force, use of each, and a placement that stays within them."""

from __future__ import annotations

from itertools import combinations, islice

from llamaagent.domain.cardtime import card_seconds, energy
from llamaagent.domain.priority import effective_priority
from llamaagent.domain.quota import (
    ON_CARDS,
    WINDOWED,
    Excess,
    Limit,
    Use,
    declared_limits,
    exceeded,
    figures,
    in_force,
    sentence,
)
from llamaagent.reconcile.cardroom import cards
from llamaagent.reconcile.gates import HeldError
from llamaagent.store.quotas import QuotaStore
from llamaagent.store.samples import LIMITS_KEY, limits_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.admission import Placement
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.settings import Settings
    from llamaagent.reconcile.context import Context

    Place = Callable[[tuple[str, ...] | None], Placement]

_TRIES = 50  # sets of cards, where the first choice is one too many for the project


def all_declared(settings: Settings) -> tuple[Limit, ...]:
    """The limits of the settings, of every project."""
    return tuple(limit for project in settings.projects for limit in declared_limits(project))


def keep_settings(ctx: Context) -> None:
    """Store the limits of the settings when they are others than those that are stored."""
    text, now = limits_text(ctx.settings.projects), ctx.clock.now()
    if ctx.samples.metadata(LIMITS_KEY) == text:
        return
    with ctx.db:
        QuotaStore(ctx.db).keep_settings(all_declared(ctx.settings), now)
        if text is None:
            ctx.samples.delete_metadata(LIMITS_KEY)
        else:
            ctx.samples.set_metadata(LIMITS_KEY, text, now)


def limits(ctx: Context, project: str) -> tuple[Limit, ...]:
    """The limits in force of one project: what the settings say now, and what operators set."""
    declared = [limit for limit in all_declared(ctx.settings) if limit.project == project]
    return in_force(declared, QuotaStore(ctx.db).overrides(project), ctx.clock.now())


def priority_of(ctx: Context, profile: Profile) -> int:
    """The profile's own priority, at most what its project may have: by the settings, or by an operator's word."""
    cap = next((one.amount for one in limits(ctx, profile.project) if one.resource == "max_priority"), None)
    return effective_priority(profile, cap)


def usage(
    store: QuotaStore, project: str, windows: Mapping[str, int], now: int, leaving: int | None = None
) -> tuple[dict[str, tuple[Use, ...]], int]:
    """What a project uses, by resource and who, and for how many seconds the power of its cards is not known.

    windows: seconds of each windowed resource that is to be reckoned; the others are left out.
    """
    running = store.running(project, leaving)
    found = {
        "instances": tuple(Use(one.profile, 1) for one in running),
        "cpus": tuple(Use(one.profile, one.cpu_milli) for one in running),
        "memory": tuple(Use(one.profile, one.memory_mib) for one in running),
        "gpus": _cards(store, project, leaving),
    }
    unmeasured = 0
    if "gpu_hours" in windows:
        spans = store.card_time(project, now - windows["gpu_hours"], now)
        found["gpu_hours"] = _uses(card_seconds(spans))
    if "tokens" in windows:
        found["tokens"] = _uses(store.tokens(project, now - windows["tokens"]))
    if "energy" in windows:
        since = now - windows["energy"]
        drawn = energy(project, store.power(since), store.card_time(None, since, now))
        found["energy"], unmeasured = _uses(drawn.by_holder), drawn.unmeasured_s
    return found, unmeasured


def _uses(amounts: Mapping[str, int]) -> tuple[Use, ...]:
    return tuple(Use(who, amount) for who, amount in sorted(amounts.items()))


def _cards(store: QuotaStore, project: str, leaving: int | None) -> tuple[Use, ...]:
    """Each card once, named with those who hold it."""
    holders: dict[str, list[str]] = {}
    for card in store.cards(project, leaving):
        name = f"GPU {card.number}" if card.number is not None else card.uuid
        holders.setdefault(name, []).append(card.who)
    return tuple(Use(f"{name} ({', '.join(who)})", 1) for name, who in holders.items())


def windows_of(limits: Iterable[Limit]) -> dict[str, int]:
    """The windows of those limits that have one."""
    return {limit.resource: limit.window_s for limit in limits if limit.window_s is not None}


def within_quota(
    ctx: Context,
    profile: Profile,
    gpus: GpuReading,
    place: Callable[[Profile], Placement],
    leaving: int | None = None,
) -> Placement:
    """Place it, within the limits of its project where there are any. place: the profile, maybe on cards we name."""
    found = limits(ctx, profile.project)
    if not found:
        return place(profile)

    def on(names: tuple[str, ...] | None) -> Placement:
        asked = profile.resources if names is None else profile.resources._replace(gpus=names)
        return place(profile._replace(resources=asked))

    return place_within(ctx, profile, found, gpus, on, leaving)


def place_within(
    ctx: Context,
    profile: Profile,
    limits: tuple[Limit, ...],
    gpus: GpuReading,
    place: Place,
    leaving: int | None = None,
) -> Placement:
    """Place a launch where the project's limits allow it. Raises HeldError, `quota` with its arithmetic.

    Where the project may take no further card, it is placed on those that it holds already.
    """
    ask_project(ctx, profile, limits, gpus, leaving)
    asked = profile.resources.gpus
    count = asked if isinstance(asked, int) else None if asked == "auto" else 0
    return place_on_cards(ctx, profile.project, limits, gpus, place, count, leaving)


def ask_project(
    ctx: Context, profile: Profile, limits: tuple[Limit, ...], gpus: GpuReading, leaving: int | None = None
) -> None:
    """Refuse what its project may not have at all, whichever cards it would get. Raises HeldError."""
    if limits:
        asks = _asks(profile, on_cards=bool(gpus.cards) and profile.resources.gpus != "none")
        windows = windows_of(limits)
        uses, _ = usage(QuotaStore(ctx.db), profile.project, windows, ctx.clock.now(), leaving)
        refuse(exceeded(limits, uses, asks))


def place_on_cards(
    ctx: Context,
    project: str,
    limits: tuple[Limit, ...],
    gpus: GpuReading,
    place: Place,
    count: int | None,
    leaving: int | None = None,
) -> Placement:
    """Place on as many new cards as the project may still take. Raises HeldError.

    place: on these cards, None = wherever it fits. count: how many it must be, None = as few as do, 0 = they are named.
    """
    store = QuotaStore(ctx.db)
    found = place(None)
    excess = _too_many(store, project, limits, found, leaving)
    if not excess:
        return found
    held = {card.uuid for card in store.cards(project, leaving)}
    left = max(0, (excess[0].limit.amount or 0) - len(held))
    seen = sorted(cards(ctx, gpus, leaving=leaving), key=lambda card: (card.free_mib, card.number))
    for names in _choices([card.uuid for card in seen], held, left, count):
        try:
            return place(names)
        except HeldError:
            continue
    refuse(excess)
    return found


def _choices(uuids: list[str], held: set[str], left: int, count: int | None) -> Iterator[tuple[str, ...]]:
    """Sets of cards with no more than `left` that the project does not hold, the smallest first."""
    sizes = range(1, len(uuids) + 1) if count is None else (count,) if count else ()
    allowed = (
        names for size in sizes for names in combinations(uuids, size) if len(set(names) - held) <= left
    )
    return islice(allowed, _TRIES)


def refuse_beside(
    ctx: Context, profile: Profile, placed: Placement, planned: Iterable[tuple[Profile, Placement]]
) -> None:
    """For a plan: refuse what does not fit beside the launches that the pass makes before it. Raises HeldError."""
    mine = [(one, where) for one, where in planned if one.project == profile.project]
    found = limits(ctx, profile.project) if mine else ()
    if not found:
        return
    store = QuotaStore(ctx.db)
    uses, _ = usage(store, profile.project, {}, ctx.clock.now())
    held = {card.uuid for card in store.cards(profile.project)}
    for one, where in mine:
        for resource, amount in _asks(one, on_cards=False).items():
            uses[resource] = (*uses.get(resource, ()), Use(one.name, amount))
        uses["gpus"] += tuple(Use(f"{uuid} ({one.name})", 1) for uuid in sorted({*where.uuids} - held))
        held |= {*where.uuids}
    asks = {name: amount for name, amount in _asks(profile, on_cards=False).items() if name not in WINDOWED}
    refuse(exceeded(found, uses, asks | {"gpus": len({*placed.uuids} - held)}))


def _too_many(
    store: QuotaStore, project: str, limits: tuple[Limit, ...], found: Placement, leaving: int | None
) -> tuple[Excess, ...]:
    held = {card.uuid for card in store.cards(project, leaving)}
    new = len(set(found.uuids) - held)
    return exceeded(limits, {"gpus": _cards(store, project, leaving)}, {"gpus": new})


def refuse(excess: tuple[Excess, ...]) -> None:
    """Raise HeldError for limits that stand in the way, if any does."""
    if excess:
        told = tuple(figure for one in excess for figure in figures(one))
        seen = {figure.name: figure for figure in told}  # the project once
        raise HeldError("quota", "; ".join(sentence(one) for one in excess), tuple(seen.values()))


def _asks(profile: Profile, *, on_cards: bool) -> dict[str, int]:
    """What one launch adds, by resource; of the windowed ones only that it wants some."""
    cpus = profile.resources.cpus
    asks = {
        "instances": 1,
        "cpus": 0 if cpus is None else round(1000 * cpus),
        "memory": profile.resources.memory_mib or 0,
    }
    wanted = WINDOWED if on_cards else WINDOWED - ON_CARDS
    return asks | dict.fromkeys(wanted, 0)
