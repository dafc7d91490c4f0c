"""Who makes way so that another fits: the fewest, the least important, the longest idle. Pure.

Nothing here acts, and nothing here is asked before it is certain that a launch does not fit as things are.
"""

from __future__ import annotations

from itertools import combinations

from llamaagent.base.record import NamedTuple
from llamaagent.domain.admission import Card, Need, Placement, Refusal, place, room
from llamaagent.domain.plan import Arithmetic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_TRIES = 2000  # sets that are tried before the first that does is taken instead of the best


class Share(NamedTuple):
    """What comes back on one card when its holder goes: the larger of what it reserved and what it takes."""

    uuid: str
    memory_mib: int
    exclusive: bool = False


class Running(NamedTuple):
    """One that holds room. since_ts: when it was launched. busy None: it does not tell, which spares it too."""

    name: str
    instance_id: int | None
    priority: int
    shares: tuple[Share, ...]
    since_ts: int = 0
    pinned: bool = False
    when_busy: bool = False
    min_residency_s: int = 0
    busy: bool | None = False
    idle_s: int = 0  # 0 = in use, or not known
    going: bool = False  # it is being stopped, or has just ended: its room comes back by itself
    ends: bool = False  # it will go by itself: a schedule, an operator's --for, idleness
    changing: bool = False  # it is launched anew and keeps its place


class Eviction(NamedTuple):
    """Who goes, and where the one that waits will be placed when they are gone."""

    victims: tuple[Running, ...]
    placement: Placement
    arithmetic: tuple[Arithmetic, ...]


def victims(
    need: Need,
    cards: tuple[Card, ...],
    running: Iterable[Running],
    now: int,
    *,
    headroom_mib: int,
    priority: int | None = None,
) -> Eviction | Refusal:
    """The smallest set whose going makes room: idle before busy, then fewest, lowest priority, longest idle.

    priority: of the one that waits, which evicts lower ones only; None = whoever is not spared for another reason.
    """
    one_by_one = tuple(running)
    may = [one for one in one_by_one if spared(one, priority, now) is None]

    def fits(gone: tuple[Running, ...]) -> bool:
        return isinstance(place(need, relieved(cards, gone), headroom_mib), Placement)

    gone = fewest(may, fits)
    if gone is None:
        found = place(need, cards, headroom_mib)
        return found if isinstance(found, Refusal) else Refusal("gpu-memory", "it fits as it is")
    placement = place(need, relieved(cards, gone), headroom_mib)
    if isinstance(placement, Refusal):
        return placement
    return Eviction(gone, placement, _figures(need, cards, placement, gone, headroom_mib))


def spared(one: Running, priority: int | None, now: int) -> str | None:
    """Why it may not be evicted, in words; None = it may be."""
    if not one.shares:
        return "holds nothing"
    if one.going:
        return "is going"
    if one.changing:
        return "is being launched anew"
    if priority is not None and one.priority >= priority:
        return "has the same priority" if one.priority == priority else "has a higher priority"
    if one.pinned:
        return "is pinned"
    if one.busy is not False and not one.when_busy:
        return "is busy" if one.busy else "does not tell whether it is busy"
    if now - one.since_ts < one.min_residency_s:
        return f"is younger than {one.min_residency_s} s"
    return None


def may_go(one: Running, priority: int) -> bool:
    """Whether it will make room for this priority sooner or later: it goes by itself, or it can be evicted in time."""
    return one.going or one.ends or (one.priority < priority and not one.pinned)


def relieved(cards: tuple[Card, ...], gone: Iterable[Running]) -> tuple[Card, ...]:
    """The cards as they are when these are gone and their memory is back."""
    back: dict[str, list[Share]] = {}
    for one in gone:
        for share in one.shares:
            back.setdefault(share.uuid, []).append(share)
    return tuple(_relieved(card, back.get(card.uuid, [])) for card in cards)


def _relieved(card: Card, back: list[Share]) -> Card:
    if not back:
        return card
    return card._replace(
        free_mib=card.free_mib + sum(share.memory_mib for share in back),
        holders=max(0, card.holders - len(back)),
        held_exclusively=card.held_exclusively and not any(share.exclusive for share in back),
    )


def fewest(
    may: Iterable[Running], fits: Callable[[tuple[Running, ...]], bool], tries: int = _TRIES
) -> tuple[Running, ...] | None:
    """The cheapest set with which `fits` says yes; None when not even all together do.

    Idle ones first: a busy one is in the set only when the idle ones are not enough.
    """
    every = sorted(may, key=lambda one: _cost((one,)))
    idle = tuple(one for one in every if one.busy is False)
    busy = tuple(one for one in every if one.busy is not False)
    if fits(idle):
        return _least(idle, (), fits, tries)
    if not fits((*idle, *busy)):
        return None
    needed = _least(busy, idle, fits, tries)
    return (*_least(idle, needed, fits, tries), *needed)


def _least(
    some: tuple[Running, ...],
    always: tuple[Running, ...],
    fits: Callable[[tuple[Running, ...]], bool],
    tries: int,
) -> tuple[Running, ...]:
    """The cheapest smallest part of `some` that does together with `always`; all of it together is known to do."""
    for count in range(len(some)):
        best: tuple[Running, ...] | None = None
        for chosen in combinations(some, count):
            tries -= 1
            if tries < 0:
                return best or _pruned(some, always, fits)
            if (best is None or _cost(chosen) < _cost(best)) and fits((*always, *chosen)):
                best = chosen
        if best is not None:
            return best
    return some


def _pruned(
    some: tuple[Running, ...], always: tuple[Running, ...], fits: Callable[[tuple[Running, ...]], bool]
) -> tuple[Running, ...]:
    """Without each, from the dearest on, that is not needed: none too many, though perhaps not the fewest."""
    kept = some
    for one in reversed(some):
        rest = tuple(other for other in kept if other is not one)
        if fits((*always, *rest)):
            kept = rest
    return kept


def _cost(chosen: tuple[Running, ...]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
    """Lowest priorities first, then the longest idle, then by name."""
    return (
        tuple(sorted((one.priority for one in chosen), reverse=True)),
        tuple(-idle for idle in sorted(one.idle_s for one in chosen)),
        tuple(sorted(one.name for one in chosen)),
    )


def _figures(
    need: Need, cards: tuple[Card, ...], placement: Placement, gone: tuple[Running, ...], headroom_mib: int
) -> tuple[Arithmetic, ...]:
    """needed, and for each card it will be on: room now + freed by each = room then."""
    figures = [
        Arithmetic("needed_mib", need.memory_mib),
        Arithmetic("headroom_mib", headroom_mib),
        Arithmetic("per_card_mib", placement.memory_mib),
    ]
    shares = dict(zip(placement.uuids, placement.shares, strict=True))
    for card in cards:
        if card.uuid not in shares:
            continue
        now = room(card, headroom_mib)
        if len(set(shares.values())) > 1:
            figures.append(Arithmetic(f"gpu{card.number}_share_mib", shares[card.uuid]))
        figures.append(Arithmetic(f"gpu{card.number}_room_mib", now))
        for one in gone:
            freed = sum(share.memory_mib for share in one.shares if share.uuid == card.uuid)
            if freed:
                figures.append(Arithmetic(f"gpu{card.number}_freed_by_{one.name}_mib", freed))
                now += freed
        figures.append(Arithmetic(f"gpu{card.number}_room_then_mib", now))
    return tuple(figures)
