"""What would make fit what does not: a smaller need, or somebody gone; in one line for people. Pure."""

from __future__ import annotations

from llamaagent.domain.admission import Card, Need, Placement, place, room
from llamaagent.domain.eviction import Running, fewest, relieved, spared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_TRIES = 50  # asked in each pass for each that is held: a good answer will do


def would_fit(
    need: Need,
    cards: tuple[Card, ...],
    running: Iterable[Running],
    now: int,
    *,
    headroom_mib: int,
    priority: int,
) -> str:
    """Say what is lacking: how much less it would have to need, whose going would do and why they stay."""
    told = []
    most = largest_mib(need, cards, headroom_mib)
    if 0 < most < need.memory_mib:
        told.append(f"with {most} MiB or less")
    holders = [one for one in running if one.shares]

    def fits(gone: tuple[Running, ...]) -> bool:
        return isinstance(place(need, relieved(cards, gone), headroom_mib), Placement)

    gone = fewest(holders, fits, _TRIES)
    if gone:
        named = [f"{one.name} ({spared(one, priority, now) or 'may be evicted'})" for one in gone]
        told.append(f"without {' and '.join(named)}")
    elif gone is None:
        empty = tuple(c._replace(free_mib=c.total_mib, reserved_unused_mib=0, holders=0) for c in cards)
        if isinstance(
            place(need, tuple(c._replace(held_exclusively=False) for c in empty), headroom_mib), Placement
        ):
            told.append("when others than our instances leave the card")
        else:
            most = max((room(c, headroom_mib) for c in empty), default=0)
            told.append(f"on a larger card (the most that one here can give is {most} MiB)")
    return "; or ".join(told)


def largest_mib(need: Need, cards: tuple[Card, ...], headroom_mib: int) -> int:
    """The largest need, in MiB over all its cards, that would be placed now; 0 when none would."""
    low, high = 0, max(need.memory_mib, 0)
    while low < high:
        middle = (low + high + 1) // 2
        if isinstance(place(need._replace(memory_mib=middle), cards, headroom_mib), Placement):
            low = middle
        else:
            high = middle - 1
    return low
