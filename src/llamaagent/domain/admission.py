"""Which card gets a launch, and the arithmetic of it. Pure.

Free is what the driver says is free, less what is reserved and not used yet, less the headroom. A launch goes on the
fewest cards that do, the tightest fit first; a profile may name cards, devices, or how they share.
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
    """What a launch asks for. gpus: "auto", "all", "none", a count, or uuids/indexes. memory: over all its cards.

    split: how its cards share the memory, () = evenly. devices: the only cards it may use, by number (by place where
    gpus is a list), None = any. single: everything goes on one card, whatever gpus counts. missing: cards that are
    known here and not visible now; while there are any, "auto" does not fall back to the CPU. by_card: what it takes
    where it is alone on that card, if cards differ in that; memory_mib is then the most of it.
    """

    gpus: str | int | tuple[str, ...]
    memory_mib: int
    exclusive: bool = False
    split: tuple[float, ...] = ()
    devices: tuple[int, ...] | None = None
    single: bool = False
    missing: tuple[str, ...] = ()
    by_card: tuple[tuple[str, int], ...] = ()

    def alone_on(self, uuid: str) -> Need:
        """The same as it is when this one card is all that it gets."""
        return self._replace(memory_mib=dict(self.by_card).get(uuid, self.memory_mib))


class Placement(NamedTuple):
    """Where it goes, in the order in which the server sees the cards; () = on the CPU.

    memory_mib: the largest share of a card; shares: that of each.
    """

    uuids: tuple[str, ...]
    memory_mib: int
    arithmetic: tuple[Arithmetic, ...] = ()
    shares: tuple[int, ...] = ()


class _Chosen(NamedTuple):
    """Cards that do, in the order in which the server sees them, and the share of each."""

    cards: tuple[Card, ...] = ()
    shares: tuple[int, ...] = ()


class _Full(NamedTuple):
    """None of these cards does, or not enough of them."""

    cards: tuple[Card, ...]


class Refusal(NamedTuple):
    """Why it does not go anywhere now."""

    reason: str  # gpu-memory | gpu-missing
    detail: str
    arithmetic: tuple[Arithmetic, ...] = ()


def room(card: Card, headroom_mib: int) -> int:
    """MiB that may be promised on a card."""
    return card.free_mib - card.reserved_unused_mib - headroom_mib


def place(
    need: Need, cards: tuple[Card, ...], headroom_mib: int, *, told: bool = True
) -> Placement | Refusal:
    """The fewest cards that fit, the tightest fit first; by name or count where the profile says so.

    told: with the figures; False for who asks of many cases.
    """
    found = _sought(need, cards, headroom_mib)
    if isinstance(found, Refusal):
        return found
    if isinstance(found, _Full):
        return _full(need, found.cards, headroom_mib) if told else Refusal("gpu-memory", "no room")
    if not told:
        uuids = tuple(card.uuid for card in found.cards)
        return Placement(uuids, max(found.shares, default=0), (), found.shares)
    return _placed(need, found.cards, found.shares, headroom_mib) if found.cards else Placement((), 0)


def fits(need: Need, cards: tuple[Card, ...], headroom_mib: int) -> bool:
    """Whether `place` would place it; without the figures, for who asks of many cases."""
    return isinstance(_sought(need, cards, headroom_mib), _Chosen)


def _sought(need: Need, cards: tuple[Card, ...], headroom_mib: int) -> _Chosen | _Full | Refusal:
    if need.gpus == "none" or need.devices == () or (need.gpus == "auto" and not cards and not need.missing):
        return _Chosen()
    if need.missing and (not cards or need.gpus == "all"):
        which = ", ".join(need.missing)
        detail = f"card {which} was here and is not visible now; it does not run on what is left instead"
        figures = (*_figures(need, cards, headroom_mib, ()), Arithmetic("missing_cards", len(need.missing)))
        return Refusal("gpu-missing", detail, figures)
    if isinstance(need.gpus, tuple):
        return _named(need, need.gpus, cards, headroom_mib)
    if not cards:
        return Refusal("gpu-missing", f"wants gpus: {need.gpus}, and no card is visible")
    allowed = cards if need.devices is None else tuple(c for c in cards if c.number in need.devices)
    count = _count(need, allowed)
    if len(allowed) < max(1, count or 1):
        which = "" if need.devices is None else f" of devices {', '.join(map(str, need.devices))}"
        return Refusal("gpu-missing", f"wants {count or 1} cards{which}, and {len(allowed)} are visible")
    return _chosen(need, allowed, count, headroom_mib)


def reserve(cards: tuple[Card, ...], placement: Placement, *, exclusive: bool = False) -> tuple[Card, ...]:
    """The cards after this placement has become a reservation of which nothing is used yet."""
    shares = dict(zip(placement.uuids, placement.shares, strict=True))
    return tuple(
        card._replace(
            reserved_unused_mib=card.reserved_unused_mib + shares[card.uuid],
            holders=card.holders + 1,
            held_exclusively=card.held_exclusively or exclusive,
        )
        if card.uuid in shares
        else card
        for card in cards
    )


def _usable(need: Need, card: Card) -> bool:
    return not card.held_exclusively and not (need.exclusive and card.holders)


def _count(need: Need, cards: tuple[Card, ...]) -> int | None:
    """How many cards it must be; None = as few as do."""
    if need.single:
        return 1
    if need.gpus == "auto":
        return len(need.split) or None
    return len(cards) if need.gpus == "all" else int(str(need.gpus))


def _shares(need: Need, count: int) -> tuple[int, ...]:
    """MiB of each of so many cards, rounded up."""
    given = (*need.split[:count], *(0.0 for _ in range(count - len(need.split))))
    whole = sum(given)
    if whole <= 0:
        return (-(-need.memory_mib // count),) * count
    return tuple(-int(-need.memory_mib * part // whole) for part in given)


def _chosen(need: Need, cards: tuple[Card, ...], count: int | None, headroom_mib: int) -> _Chosen | _Full:
    """Any of these cards: the largest share takes the tightest card that can give it, then the next."""
    rooms = [
        (c.free_mib - c.reserved_unused_mib - headroom_mib, c.number, c)
        for c in cards
        if not c.held_exclusively and not (need.exclusive and c.holders)
    ]  # as room() and _usable(), in the innermost loop of every question
    rooms.sort()
    if need.by_card and count in {None, 1}:
        for has, _, card in rooms:
            mib = need.alone_on(card.uuid).memory_mib
            if has >= mib:
                return _Chosen((card,), (mib,))
        if count == 1:
            return _Full(cards)
    if count is None:
        count = _fewest(need.memory_mib, [one[0] for one in rooms])
    if count is None or count > len(rooms):
        return _Full(cards)
    shares = _shares(need, count)
    taken: dict[int, Card] = {}
    for place_ in sorted(range(count), key=lambda at: (-shares[at], at)):
        at = next((n for n, one in enumerate(rooms) if one[0] >= shares[place_]), None)
        if at is None:
            return _Full(cards)
        taken[place_] = rooms.pop(at)[2]
    chosen = [taken[at] for at in range(count)]
    if len(set(shares)) == 1:  # then any order does, and people expect their own
        chosen.sort(key=lambda card: card.number)
    return _Chosen(tuple(chosen), shares)


def _fewest(memory_mib: int, rooms: list[int]) -> int | None:
    """How many cards do when they share evenly; rooms ascending. None: not even all of them."""
    for count in range(1, len(rooms) + 1):
        if rooms[-count] >= -(-memory_mib // count):
            return count
    return None


def _named(
    need: Need, names: tuple[str, ...], cards: tuple[Card, ...], headroom_mib: int
) -> _Chosen | _Full | Refusal:
    by_name = {c.uuid: c for c in cards} | {str(c.number): c for c in cards}
    missing = [name for name in names if name not in by_name]
    if missing:
        return Refusal("gpu-missing", f"card {', '.join(missing)} is not visible")
    chosen = tuple(by_name[name] for name in names)
    if need.devices is not None:
        beyond = [at for at in need.devices if at >= len(chosen)]
        if beyond:
            return Refusal(
                "gpu-missing", f"device {beyond[0]} is not among its {len(chosen)} cards (counted from 0)"
            )
        chosen = tuple(chosen[at] for at in need.devices)
    if need.single:
        return _chosen(need, chosen, 1, headroom_mib)
    shares = _shares(need.alone_on(chosen[0].uuid) if len(chosen) == 1 else need, len(chosen))
    does = all(
        _usable(need, c) and room(c, headroom_mib) >= share for c, share in zip(chosen, shares, strict=True)
    )
    return _Chosen(chosen, shares) if does else _Full(chosen)


def _placed(need: Need, chosen: tuple[Card, ...], shares: tuple[int, ...], headroom_mib: int) -> Placement:
    figures = _figures(
        need.alone_on(chosen[0].uuid) if len(chosen) == 1 else need, chosen, headroom_mib, shares
    )
    return Placement(tuple(c.uuid for c in chosen), max(shares), figures, shares)


def _full(need: Need, cards: tuple[Card, ...], headroom_mib: int) -> Refusal:
    usable = [c for c in cards if _usable(need, c)]
    figures = _figures(need, cards, headroom_mib, ())
    if not usable:
        who = "in use, and it wants one for itself" if need.exclusive else "held by somebody for himself"
        return Refusal("gpu-memory", f"needs {need.memory_mib} MiB; every card is {who}", figures)
    best = max(room(c, headroom_mib) for c in usable)
    most = f"the most that one card can give is {max(0, best)} MiB"
    return Refusal("gpu-memory", f"needs {need.memory_mib} MiB of GPU memory; {most}", figures)


def _figures(
    need: Need, cards: tuple[Card, ...], headroom_mib: int, shares: tuple[int, ...]
) -> tuple[Arithmetic, ...]:
    """needed_mib, and of each card: free - reserved_unused - headroom = room, and its share where it has one."""
    figures = [Arithmetic("needed_mib", need.memory_mib), Arithmetic("headroom_mib", headroom_mib)]
    if shares:
        figures.append(Arithmetic("per_card_mib", max(shares)))
    for at, c in enumerate(cards):
        figures.append(Arithmetic(f"gpu{c.number}_free_mib", c.free_mib))
        figures.append(Arithmetic(f"gpu{c.number}_reserved_unused_mib", c.reserved_unused_mib))
        figures.append(Arithmetic(f"gpu{c.number}_room_mib", room(c, headroom_mib)))
        if len(set(shares)) > 1:
            figures.append(Arithmetic(f"gpu{c.number}_share_mib", shares[at]))
        if need.by_card and not shares:
            figures.append(Arithmetic(f"gpu{c.number}_needed_mib", need.alone_on(c.uuid).memory_mib))
        if c.held_exclusively:
            figures.append(Arithmetic(f"gpu{c.number}_exclusive", 1))
    return tuple(figures)
