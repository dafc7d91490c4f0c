"""Who makes way so that another fits: the fewest, the least important, the longest idle. Pure.

Nothing here acts, and nothing here is asked before it is certain that a launch does not fit as things are.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain.admission import Card, Need, Placement, Refusal, fits, place, room
from llamaagent.domain.fewest import fewest
from llamaagent.domain.hostroom import NOTHING, UNRECKONED, Claim, Machine, changed, lacks
from llamaagent.domain.plan import Arithmetic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


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
    frees: Claim = Claim()  # what comes back of the machine when it goes


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
    machine: Machine = UNRECKONED,
    claim: Claim = NOTHING,
    told: bool = True,
) -> Eviction | Refusal:
    """The smallest set whose going makes room: idle before busy, then fewest, lowest priority, longest idle.

    priority: of the one that waits, which evicts lower ones only; None = whoever is not spared for another reason.
    machine, claim: room there is besides the cards, and what is wanted of it. told: a refusal with its figures.
    """
    may = [one for one in running if spared(one, priority, now) is None]
    gone = fewest(may, Question(need, cards, headroom_mib, machine, claim))
    if gone is None:
        found = place(need, cards, headroom_mib, told=told)
        if isinstance(found, Refusal):
            return found
        return Refusal(lacks(machine, claim) or "gpu-memory", "not even without all that may go")
    placement = place(need, relieved(cards, gone), headroom_mib)
    if isinstance(placement, Refusal):
        return placement
    figures = (
        _figures(need, cards, placement, gone, headroom_mib) if need.memory_mib or not any(claim) else ()
    )
    return Eviction(gone, placement, (*figures, *_of_machine(machine, claim, gone)))


class Question(NamedTuple):
    """Whether there is room for it, on these cards and of the machine."""

    need: Need
    cards: tuple[Card, ...]
    headroom_mib: int
    machine: Machine = UNRECKONED
    claim: Claim = NOTHING

    def without(self, gone: tuple[Running, ...]) -> Question:
        """The same once these are gone."""
        machine = changed(self.machine, [one.frees for one in gone], 1) if any(self.claim) else self.machine
        return Question(self.need, relieved(self.cards, gone), self.headroom_mib, machine, self.claim)

    def yes(self) -> bool:
        """The answer."""
        return fits(self.need, self.cards, self.headroom_mib) and lacks(self.machine, self.claim) is None


def spared(one: Running, priority: int | None, now: int) -> str | None:
    """Why it may not be evicted, in words; None = it may be."""
    if not one.shares and not any(one.frees):
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
    return tuple([_relieved(card, back[card.uuid]) if card.uuid in back else card for card in cards])


def _relieved(card: Card, back: list[Share]) -> Card:
    memory, exclusive = 0, False
    for share in back:
        memory += share.memory_mib
        exclusive = exclusive or share.exclusive
    return Card(
        card.uuid,
        card.number,
        card.total_mib,
        card.free_mib + memory,
        card.reserved_unused_mib,
        card.held_exclusively and not exclusive,
        max(0, card.holders - len(back)),
    )


def _figures(
    need: Need, cards: tuple[Card, ...], placement: Placement, gone: tuple[Running, ...], headroom_mib: int
) -> tuple[Arithmetic, ...]:
    """needed, and for each card it will be on: room now + freed by each = room then."""
    figures = [
        Arithmetic("needed_mib", sum(placement.shares) if need.by_card else need.memory_mib),
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


def _of_machine(machine: Machine, claim: Claim, gone: tuple[Running, ...]) -> tuple[Arithmetic, ...]:
    """Of memory and cores, where they are claimed: room now + freed by each = room then."""
    figures = []
    for name, unit, at in (("memory", "mib", 0), ("cpu", "milli", 1)):
        now = machine[at]
        if not claim[at] or now is None:
            continue
        figures += [Arithmetic(f"{name}_needed_{unit}", claim[at]), Arithmetic(f"{name}_room_{unit}", now)]
        for one in gone:
            if one.frees[at]:
                figures.append(Arithmetic(f"{name}_freed_by_{one.name}_{unit}", one.frees[at]))
                now += one.frees[at]
        figures.append(Arithmetic(f"{name}_room_then_{unit}", now))
    return tuple(figures)
