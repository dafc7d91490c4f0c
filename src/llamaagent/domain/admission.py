"""Which card gets a launch, and the arithmetic of it. Pure.

Free is what the driver says is free, less what is reserved and not used yet, less the headroom.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain.plan import Arithmetic


class Card(NamedTuple):
    """One card as it is now. reserved_unused_mib: promised to others, not yet taken by them."""

    uuid: str
    number: int  # as nvidia-smi counts them
    total_mib: int
    free_mib: int
    reserved_unused_mib: int = 0
    held_exclusively: bool = False
    holders: int = 0  # live reservations and foreign processes


class Need(NamedTuple):
    """What a launch asks for. gpus: "auto", "all", "none", a count, or uuids/indexes. memory: over all its cards."""

    gpus: str | int | tuple[str, ...]
    memory_mib: int
    exclusive: bool = False


class Placement(NamedTuple):
    """Where it goes; () = on the CPU. memory_mib is the share of each card."""

    uuids: tuple[str, ...]
    memory_mib: int
    arithmetic: tuple[Arithmetic, ...] = ()


class Refusal(NamedTuple):
    """Why it does not go anywhere now."""

    reason: str  # gpu-memory | gpu-missing
    detail: str
    arithmetic: tuple[Arithmetic, ...] = ()


def room(card: Card, headroom_mib: int) -> int:
    """MiB that may be promised on a card."""
    return card.free_mib - card.reserved_unused_mib - headroom_mib


def place(need: Need, cards: tuple[Card, ...], headroom_mib: int) -> Placement | Refusal:
    """The fewest cards that fit, the tightest fit first; by name or count where the profile says so."""
    if need.gpus == "none" or (need.gpus == "auto" and not cards):
        return Placement((), 0)
    usable = [c for c in cards if not c.held_exclusively and not (need.exclusive and c.holders)]
    if isinstance(need.gpus, tuple):
        return _named(need, need.gpus, cards, usable, headroom_mib)
    if not cards:
        return Refusal("gpu-missing", f"wants gpus: {need.gpus}, and no card is visible")
    counts = range(1, len(cards) + 1) if need.gpus == "auto" else (_count(need, cards),)
    for count in counts:
        share = -(-need.memory_mib // count)
        fitting = sorted(
            (c for c in usable if room(c, headroom_mib) >= share), key=lambda c: (c.free_mib, c.number)
        )
        if len(fitting) >= count:
            chosen = tuple(sorted(fitting[:count], key=lambda c: c.number))
            return Placement(
                tuple(c.uuid for c in chosen), share, _figures(need, chosen, headroom_mib, share)
            )
    return _full(need, cards, headroom_mib)


def _count(need: Need, cards: tuple[Card, ...]) -> int:
    return len(cards) if need.gpus == "all" else int(str(need.gpus))


def _named(
    need: Need, names: tuple[str, ...], cards: tuple[Card, ...], usable: list[Card], headroom_mib: int
) -> Placement | Refusal:
    by_name = {c.uuid: c for c in cards} | {str(c.number): c for c in cards}
    missing = [name for name in names if name not in by_name]
    if missing:
        return Refusal("gpu-missing", f"card {', '.join(missing)} is not visible")
    chosen = tuple(by_name[name] for name in names)
    share = -(-need.memory_mib // len(chosen))
    if all(c in usable and room(c, headroom_mib) >= share for c in chosen):
        return Placement(tuple(c.uuid for c in chosen), share, _figures(need, chosen, headroom_mib, share))
    return _full(need, chosen, headroom_mib)


def _full(need: Need, cards: tuple[Card, ...], headroom_mib: int) -> Refusal:
    best = max((room(c, headroom_mib) for c in cards), default=0)
    detail = (
        f"needs {need.memory_mib} MiB of GPU memory; the most that one card can give is {max(0, best)} MiB"
    )
    return Refusal("gpu-memory", detail, _figures(need, cards, headroom_mib, None))


def _figures(
    need: Need, cards: tuple[Card, ...], headroom_mib: int, share: int | None
) -> tuple[Arithmetic, ...]:
    figures = [Arithmetic("needed_mib", need.memory_mib), Arithmetic("headroom_mib", headroom_mib)]
    if share is not None:
        figures.append(Arithmetic("per_card_mib", share))
    for c in cards:
        figures.append(Arithmetic(f"gpu{c.number}_free_mib", c.free_mib))
        figures.append(Arithmetic(f"gpu{c.number}_reserved_unused_mib", c.reserved_unused_mib))
        figures.append(Arithmetic(f"gpu{c.number}_room_mib", room(c, headroom_mib)))
    return tuple(figures)
