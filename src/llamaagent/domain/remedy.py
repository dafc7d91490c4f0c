"""What would make fit what does not: a smaller need, or somebody gone; in one line for people. Pure."""

from __future__ import annotations

from llamaagent.domain.admission import Card, Need, fits, room
from llamaagent.domain.eviction import Question, Running, spared
from llamaagent.domain.fewest import fewest
from llamaagent.domain.hostroom import NOTHING, UNRECKONED, Claim, Machine, lacks

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
    machine: Machine = UNRECKONED,
    claim: Claim = NOTHING,
) -> str:
    """Say what is lacking: how much less it would have to need, whose going would do and why they stay."""
    told = []
    on_cards = not fits(need, cards, headroom_mib)
    if on_cards:
        most = largest_mib(need, cards, headroom_mib)
        told += [f"with {most} MiB or less"] if 0 < most < need.memory_mib else []
    short = lacks(machine, claim)
    told += _with_less(machine, claim)
    holders = [one for one in running if one.shares or any(one.frees)]
    gone = fewest(holders, Question(need, cards, headroom_mib, machine, claim), _TRIES)
    if gone:
        named = [f"{one.name} ({spared(one, priority, now) or 'may be evicted'})" for one in gone]
        told.append(f"without {' and '.join(named)}")
    elif gone is None and on_cards:
        told.append(_beyond_ours(need, cards, headroom_mib))
    elif gone is None and short is not None:
        told.append("when other programs than our instances leave it")
    return "; or ".join(told)


def _with_less(machine: Machine, claim: Claim) -> list[str]:
    told = []
    if machine.memory_mib is not None and 0 < machine.memory_mib < claim.memory_mib:
        told.append(f"with {machine.memory_mib} MiB of memory or less")
    if machine.cpu_milli is not None and 0 < machine.cpu_milli < claim.cpu_milli:
        told.append(f"with {machine.cpu_milli / 1000:g} cores or less")
    return told


def _beyond_ours(need: Need, cards: tuple[Card, ...], headroom_mib: int) -> str:
    """Not even without all of our instances."""
    empty = tuple(
        c._replace(free_mib=c.total_mib, reserved_unused_mib=0, holders=0, held_exclusively=False)
        for c in cards
    )
    if fits(need, empty, headroom_mib):
        return "when others than our instances leave the card"
    most = max((room(c, headroom_mib) for c in empty), default=0)
    return f"on a larger card (the most that one here can give is {most} MiB)"


def largest_mib(need: Need, cards: tuple[Card, ...], headroom_mib: int) -> int:
    """The largest need, in MiB over all its cards, that would be placed now; 0 when none would."""
    low, high = 0, max(need.memory_mib, 0)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(need._replace(memory_mib=middle, by_card=()), cards, headroom_mib):
            low = middle
        else:
            high = middle - 1
    return low
