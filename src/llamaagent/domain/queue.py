"""In which order those that wait for room get it, on the cards and of the machine, and who may go ahead of whom. Pure.

The order: what is launched anew keeps its place; then priority; then who has waited longest. One further behind may
start when that delays nobody in front of it. Two things in front of it count: room that is being made for somebody,
which is promised, and the prospects of the first that has neither room nor a promise. It has prospects when it would
fit once everything has gone that goes by itself or that it may evict in time. Without prospects it could not start
anyway, and nothing delays it.

What is launched anew for a change, and needs more than it has, stands in this line like everybody else, with what its
old launch will leave as its own.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain import plan as act
from llamaagent.domain.admission import Card, Need, Placement, Refusal, place
from llamaagent.domain.eviction import Eviction, Running, may_go, victims
from llamaagent.domain.hostroom import NOTHING, UNRECKONED, Claim, Machine, lacks
from llamaagent.domain.space import Space
from llamaagent.domain.usable import refused_together

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Waiting(NamedTuple):
    """One that wants room. since_ts: since when it waits. keeps_place: launched anew, needing no more than it has.

    leaves: its old launch, which still has its room and will give it back for this one.
    """

    name: str
    need: Need
    priority: int = 0
    since_ts: int = 0
    keeps_place: bool = False
    among: frozenset[str] | None = None  # the only cards that may be given to it; None = all
    claim: Claim = NOTHING  # of the machine
    leaves: Running | None = None


class Turn(NamedTuple):
    """What is decided for one that waits.

    START: placement. WAIT: the placement it is promised, and those that go for it: eviction, or who goes anyway.
    HOLD: refusal, or the one it waits behind although it would fit now.
    """

    name: str
    kind: str  # START, WAIT or HOLD of domain/plan.py
    placement: Placement | None = None
    eviction: Eviction | None = None
    going: tuple[str, ...] = ()
    refusal: Refusal | None = None
    behind: Waiting | None = None


def in_order(waiting: Iterable[Waiting]) -> list[Waiting]:
    """First comes who is served first."""

    def place_of(one: Waiting) -> tuple[bool, int, int, bool, str]:
        # In the same second whoever has nothing comes before one whose old launch still runs.
        return not one.keeps_place, -one.priority, one.since_ts, one.leaves is not None, one.name

    return sorted(waiting, key=place_of)


def line_up(
    waiting: Iterable[Waiting],
    cards: tuple[Card, ...],
    running: Iterable[Running],
    now: int,
    headroom_mib: int,
    machine: Machine = UNRECKONED,
) -> tuple[Turn, ...]:
    """Decide for everyone that waits, in the order in which they are served. cards, machine: as they are now."""
    line = _Line(Space(cards, machine), tuple(running), now, headroom_mib)
    return tuple(line.serve(one) for one in in_order(waiting))


class _Line:
    """The room while one after the other is served.

    now: what is free, less what was given away. then: the same when those that go are gone, less what is promised.
    """

    def __init__(self, space: Space, running: tuple[Running, ...], now_ts: int, headroom_mib: int) -> None:
        self.now = space
        self.going = [one for one in running if one.going]
        self.staying = [one for one in running if not one.going]
        self.then = space.without(self.going)
        self.now_ts = now_ts
        self.headroom_mib = headroom_mib
        self.promised: list[tuple[Waiting, Placement]] = []
        self.first: Waiting | None = None  # of those that have no more than prospects
        self.prospect = space
        self.gone: frozenset[str] = frozenset()  # those whose room is in the prospect already

    def serve(self, one: Waiting) -> Turn:
        free = _placed(one, _own(self.now, one), self.headroom_mib)
        found = self._find(one, _own(self.now.lesser(self.then), one))
        if found is not None:
            self._take(one, found, start=True)
            return Turn(one.name, act.START, found)
        return self._promise(one) or self._hold(one, free)

    def _promise(self, one: Waiting) -> Turn | None:
        """Room that comes by itself, else room that can be made."""
        then = _own(self.then, one)
        found = self._find(one, then)
        if found is not None:
            short = lacks(_own(self.now, one).machine, one.claim) is not None
            names = tuple(
                r.name
                for r in self.going
                if any(s.uuid in found.uuids for s in r.shares) or (short and any(r.frees))
            )
            if names:
                self._take(one, found, start=False)
                return Turn(one.name, act.WAIT, found, going=names)
        made = victims(
            one.need,
            among(one, then.cards),
            self.staying,
            self.now_ts,
            headroom_mib=self.headroom_mib,
            priority=one.priority,
            machine=then.machine,
            claim=one.claim,
            told=False,
        )
        if (
            isinstance(made, Refusal)
            or not made.victims
            or refused_together(made.placement.uuids) is not None
        ):
            return None
        if self._spoils(one, made.placement):
            return None
        self.staying = [other for other in self.staying if other not in made.victims]
        self.going += made.victims
        self.then = self.then.without(made.victims)
        self._take(one, made.placement, start=False)
        return Turn(one.name, act.WAIT, made.placement, made)

    def _hold(self, one: Waiting, free: Placement | Refusal) -> Turn:
        if isinstance(free, Placement):
            return Turn(one.name, act.HOLD, behind=self._before(one, free))
        if self.first is None and free.reason != "gpu-missing":
            leaving = [
                other for other in self.staying if may_go(other, one.priority) and other.name != one.name
            ]
            prospect = _own(self.then.without(leaving), one)
            if isinstance(_placed(one, prospect, self.headroom_mib), Placement):
                # What came after it counts as staying, or one short-lived one after the other would keep it waiting.
                before = [other for other in leaving if other.since_ts <= one.since_ts]
                self.first, self.prospect = one, _own(self.then.without(before), one)
                self.gone = frozenset(other.name for other in before)
        return Turn(one.name, act.HOLD, refusal=free)

    def _find(self, one: Waiting, space: Space) -> Placement | None:
        """A place there that spoils nothing for the first in the line."""
        usable = space.cards
        while True:
            found = _placed(one, Space(usable, space.machine), self.headroom_mib)
            if isinstance(found, Refusal):
                return None
            if not self._spoils(one, found):
                return _told(one, Space(usable, space.machine), found, self.headroom_mib)
            if not found.uuids or one.need.gpus == "all" or isinstance(one.need.gpus, tuple):
                return None  # no other cards to try
            usable = tuple(c._replace(held_exclusively=True) if c.uuid in found.uuids else c for c in usable)

    def _spoils(self, one: Waiting, found: Placement) -> bool:
        if self.first is None:
            return False
        both = any(a and b for a, b in zip(self.first.claim, one.claim, strict=True))
        if not both and (not found.uuids or not _may_use(self.first, self.now.cards, found)):
            return False
        left = self._after(self.prospect, one, found)
        return isinstance(_placed(self.first, left, self.headroom_mib), Refusal)

    def _take(self, one: Waiting, found: Placement, *, start: bool) -> None:
        if start:
            self.now = self._after(self.now, one, found)
        else:
            self.promised.append((one, found))
        self.then = self._after(self.then, one, found)
        self.prospect = self._after(self.prospect, one, found)

    def _after(self, space: Space, one: Waiting, found: Placement) -> Space:
        """The room once this one has its place and, where it is launched anew, its old launch is gone."""
        if one.leaves is not None and not (space is self.prospect and one.name in self.gone):
            space = space.without((one.leaves,))
        return space.given(found, one.claim, exclusive=one.need.exclusive)

    def _before(self, one: Waiting, free: Placement) -> Waiting | None:
        """Whose room it is that would be free."""
        for other, place_of in self.promised:
            if set(place_of.uuids) & set(free.uuids) or any(
                a and b for a, b in zip(other.claim, one.claim, strict=True)
            ):
                return other
        return self.first or (self.promised[0][0] if self.promised else None)


def _own(space: Space, one: Waiting) -> Space:
    """The room as this one may count on it: with that of its old launch."""
    return space if one.leaves is None else space.without((one.leaves,))


def _may_use(one: Waiting, cards: tuple[Card, ...], found: Placement) -> bool:
    """Whether one of these cards could be one that it is given."""
    named = set(one.need.gpus) if isinstance(one.need.gpus, tuple) else None
    return any(
        card.uuid in found.uuids and (named is None or {card.uuid, str(card.number)} & named)
        for card in among(one, cards)
    )


def among(one: Waiting, cards: tuple[Card, ...]) -> tuple[Card, ...]:
    """Those that may be given to it at all."""
    return cards if one.among is None else tuple(card for card in cards if card.uuid in one.among)


def _placed(one: Waiting, space: Space, headroom_mib: int, *, told: bool = False) -> Placement | Refusal:
    found = place(one.need, among(one, space.cards), headroom_mib, told=told)
    if isinstance(found, Refusal):
        return found
    short = lacks(space.machine, one.claim)
    if short is not None:
        return Refusal(short, f"the machine has too little {short}")
    return refused_together(found.uuids) or found


def _told(one: Waiting, space: Space, found: Placement, headroom_mib: int) -> Placement:
    """The same placement with its figures."""
    told = _placed(one, space, headroom_mib, told=True)
    return told if isinstance(told, Placement) else found
