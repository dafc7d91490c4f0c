"""Room of both kinds at once: what the cards can give, and what may still be promised of the machine. Pure."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain.admission import Card, Placement, reserve, room
from llamaagent.domain.eviction import relieved
from llamaagent.domain.hostroom import UNRECKONED, Claim, Machine, changed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.domain.eviction import Running


class Space(NamedTuple):
    """The cards and the machine at one moment, real or foreseen."""

    cards: tuple[Card, ...]
    machine: Machine = UNRECKONED

    def without(self, gone: Iterable[Running]) -> Space:
        """When these are gone, and what they had is back."""
        gone = tuple(gone)
        return Space(relieved(self.cards, gone), changed(self.machine, [one.frees for one in gone], 1))

    def given(self, placement: Placement, claim: Claim, *, exclusive: bool) -> Space:
        """After this has been promised to somebody."""
        return Space(
            reserve(self.cards, placement, exclusive=exclusive) if placement.uuids else self.cards,
            changed(self.machine, (claim,), -1),
        )

    def lesser(self, other: Space) -> Space:
        """Each card, and the machine, with the room that it has both ways."""
        cards = tuple(
            a._replace(
                free_mib=a.free_mib - max(0, room(a, 0) - room(b, 0)),
                holders=max(a.holders, b.holders),
                held_exclusively=a.held_exclusively or b.held_exclusively,
            )
            for a, b in zip(self.cards, other.cards, strict=True)
        )
        return Space(cards, Machine(*(_less(a, b) for a, b in zip(self.machine, other.machine, strict=True))))


def _less(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)
