"""In which order those that wait for room on the cards get it, and who may go ahead of whom. Pure.

The order: what is launched anew keeps its place; then priority; then who has waited longest. One further behind may
start when that delays nobody in front of it. Two things in front of it count: room that is being made for somebody,
which is promised, and the prospects of the first that has neither room nor a promise. It has prospects when it would
fit once everything has gone that goes by itself or that it may evict in time. Without prospects it could not start
anyway, and nothing delays it.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain import plan as act
from llamaagent.domain.admission import Card, Need, Placement, Refusal, place, reserve, room
from llamaagent.domain.eviction import Eviction, Running, may_go, relieved, victims
from llamaagent.domain.usable import refused_together

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Waiting(NamedTuple):
    """One that wants room. since_ts: since when it waits. keeps_place: it was stopped only to be launched anew."""

    name: str
    need: Need
    priority: int = 0
    since_ts: int = 0
    keeps_place: bool = False
    among: frozenset[str] | None = None  # the only cards that may be given to it; None = all


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
    return sorted(waiting, key=lambda one: (not one.keeps_place, -one.priority, one.since_ts, one.name))


def line_up(
    waiting: Iterable[Waiting],
    cards: tuple[Card, ...],
    running: Iterable[Running],
    now: int,
    headroom_mib: int,
) -> tuple[Turn, ...]:
    """Decide for everyone that waits, in the order in which they are served. cards: as they are now."""
    line = _Line(cards, tuple(running), now, headroom_mib)
    return tuple(line.serve(one) for one in in_order(waiting))


class _Line:
    """The cards while one after the other is served.

    now: what is free, less what was given away. then: the same when those that go are gone, less what is promised.
    """

    def __init__(
        self, cards: tuple[Card, ...], running: tuple[Running, ...], now_ts: int, headroom_mib: int
    ) -> None:
        self.now = cards
        self.going = [one for one in running if one.going]
        self.staying = [one for one in running if not one.going]
        self.then = relieved(cards, self.going)
        self.now_ts = now_ts
        self.headroom_mib = headroom_mib
        self.promised: list[tuple[Waiting, Placement]] = []
        self.first: Waiting | None = None  # of those that have no more than prospects
        self.prospect: tuple[Card, ...] = ()

    def serve(self, one: Waiting) -> Turn:
        free = _placed(one, self.now, self.headroom_mib)
        found = self._find(one, _lesser(self.now, self.then))
        if found is not None:
            self._take(one, found, start=True)
            return Turn(one.name, act.START, found)
        return self._promise(one) or self._hold(one, free)

    def _promise(self, one: Waiting) -> Turn | None:
        """Room that comes by itself, else room that can be made."""
        found = self._find(one, self.then)
        if found is not None:
            names = tuple(r.name for r in self.going if any(s.uuid in found.uuids for s in r.shares))
            if names:
                self._take(one, found, start=False)
                return Turn(one.name, act.WAIT, found, going=names)
        made = victims(
            one.need,
            among(one, self.then),
            self.staying,
            self.now_ts,
            headroom_mib=self.headroom_mib,
            priority=one.priority,
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
        self.then = relieved(self.then, made.victims)
        self._take(one, made.placement, start=False)
        return Turn(one.name, act.WAIT, made.placement, made)

    def _hold(self, one: Waiting, free: Placement | Refusal) -> Turn:
        if isinstance(free, Placement):
            return Turn(one.name, act.HOLD, behind=self._before(free))
        if self.first is None and free.reason == "gpu-memory":
            leaving = [other for other in self.staying if may_go(other, one.priority)]
            prospect = relieved(self.then, leaving)
            if isinstance(_placed(one, prospect, self.headroom_mib), Placement):
                # What came after it counts as staying, or one short-lived one after the other would keep it waiting.
                before = [other for other in leaving if other.since_ts <= one.since_ts]
                self.first, self.prospect = one, relieved(self.then, before)
        return Turn(one.name, act.HOLD, refusal=free)

    def _find(self, one: Waiting, cards: tuple[Card, ...]) -> Placement | None:
        """A place on these cards that spoils nothing for the first in the line."""
        usable = cards
        while True:
            found = _placed(one, usable, self.headroom_mib)
            if isinstance(found, Refusal):
                return None
            if not self._spoils(one, found):
                return found
            if one.need.gpus == "all" or isinstance(one.need.gpus, tuple):
                return None  # no other cards to try
            usable = tuple(c._replace(held_exclusively=True) if c.uuid in found.uuids else c for c in usable)

    def _spoils(self, one: Waiting, found: Placement) -> bool:
        if self.first is None or not found.uuids or not _may_use(self.first, self.now, found):
            return False
        left = reserve(self.prospect, found, exclusive=one.need.exclusive)
        return isinstance(_placed(self.first, left, self.headroom_mib), Refusal)

    def _take(self, one: Waiting, found: Placement, *, start: bool) -> None:
        alone = one.need.exclusive
        if start:
            self.now = reserve(self.now, found, exclusive=alone)
        else:
            self.promised.append((one, found))
        self.then = reserve(self.then, found, exclusive=alone)
        self.prospect = reserve(self.prospect, found, exclusive=alone)

    def _before(self, free: Placement) -> Waiting | None:
        """Whose room it is that would be free."""
        for other, place_of in self.promised:
            if set(place_of.uuids) & set(free.uuids):
                return other
        return self.first or (self.promised[0][0] if self.promised else None)


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


def _placed(one: Waiting, cards: tuple[Card, ...], headroom_mib: int) -> Placement | Refusal:
    found = place(one.need, among(one, cards), headroom_mib)
    return (refused_together(found.uuids) or found) if isinstance(found, Placement) else found


def _lesser(one: tuple[Card, ...], other: tuple[Card, ...]) -> tuple[Card, ...]:
    """Each card with the room that it has both ways."""
    return tuple(
        a._replace(
            free_mib=a.free_mib - max(0, room(a, 0) - room(b, 0)),
            holders=max(a.holders, b.holders),
            held_exclusively=a.held_exclusively or b.held_exclusively,
        )
        for a, b in zip(one, other, strict=True)
    )
