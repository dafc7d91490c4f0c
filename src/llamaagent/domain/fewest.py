"""The cheapest smallest set whose going makes room: a search that tries few of the many sets. Pure.

Before a size is searched, and before each branch of it, one hopeful question is asked: if on each card the largest that
may still be chosen went, whoever has them, would that do? Where not even that does, none of those sets is tried.
"""

from __future__ import annotations

from llamaagent.domain.hostroom import Claim, lacks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeVar

    from llamaagent.domain.eviction import Question, Running, Share

    T = TypeVar("T")
    Cost = tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]

TRIES = 100  # questions that are asked before a set that does is taken instead of the best


def fewest(may: Iterable[Running], asked: Question, tries: int = TRIES) -> tuple[Running, ...] | None:
    """The cheapest set without which the answer is yes; None when it is no even without all of them.

    Idle ones first: a busy one is in the set only when the idle ones are not enough.
    """
    every = sorted(may, key=lambda one: _cost((one,)))
    idle = tuple(one for one in every if one.busy is False)
    busy = tuple(one for one in every if one.busy is not False)
    without_idle = asked.without(idle)
    if without_idle.yes():
        return _least(idle, asked, tries)
    if not busy or not without_idle.without(busy).yes():
        return None
    needed = _least(busy, without_idle, tries)
    return (*_least(idle, asked.without(needed), tries), *needed)


def _least(some: tuple[Running, ...], asked: Question, tries: int) -> tuple[Running, ...]:
    """The cheapest smallest part of `some` that does; all of it together is known to do."""
    if not some or asked.yes():
        return ()
    better = _better(some, claims=any(asked.claim))
    on_cards = lacks(asked.machine, asked.claim) is None  # else those on different cards may help together
    base = _Search(some, tries)
    least = base.least_hopeful(asked)
    for count in range(least, len(some)):
        kept = tuple(one for one, others in zip(some, better, strict=True) if others < count)
        search = _Search(kept, base.tries)
        # One less was hopeless: all of them on one card, or each card would get no more than that.
        one_card = on_cards and count == least > 1
        for pool in search.by_card(asked, count) if one_card else (search,):
            pool.take_up(search)
            pool.walk(asked, (), 0, count)
            search.take_up(pool)
        base.take_up(search)
        if base.best is not None:
            return base.best
        if base.tries <= 0:
            return _pruned(some, asked)
    return some


def _better(some: tuple[Running, ...], *, claims: bool) -> list[int]:
    """Of each, how many are cheaper and give back as much on the same cards: if so many are free to go, it never does.

    claims: what comes back of the machine counts too. some: the cheapest first.
    """
    found = []
    alike: dict[tuple[str, ...], list[tuple[int | bool, ...]]] = {}
    for one in some:
        gives: tuple[int | bool, ...] = tuple(n for share in one.shares for n in share[1:])
        gives += one.frees if claims else ()
        before = alike.setdefault(tuple(share.uuid for share in one.shares), [])
        found.append(sum(all(a >= b for a, b in zip(other, gives, strict=True)) for other in before))
        before.append(gives)
    return found


class _Search:
    """Sets of one size, the cheapest first; `best` is the cheapest that did so far."""

    def __init__(self, some: tuple[Running, ...], tries: int) -> None:
        self.some = some
        self.tries = tries
        self.best: tuple[Running, ...] | None = None
        self.shares: dict[str, list[tuple[int, Share]]] = {}
        for at, one in enumerate(some):
            for share in one.shares:
                self.shares.setdefault(share.uuid, []).append((at, share))
        for shares in self.shares.values():
            shares.sort(key=lambda one: (not one[1].exclusive, -one[1].memory_mib))
        memory = [(at, one.frees.memory_mib) for at, one in enumerate(some)]
        cpus = [(at, one.frees.cpu_milli) for at, one in enumerate(some)]
        self.memory = sorted(memory, key=lambda one: -one[1])
        self.cpus = sorted(cpus, key=lambda one: -one[1])

    def by_card(self, asked: Question, count: int) -> Iterator[_Search]:
        """A search among those on each card where so many could do."""
        for on_card in self.shares.values():
            shares = tuple(_first(on_card, 0, count))
            together = self.some[0]._replace(shares=shares, frees=self._frees(0, count))
            if len(shares) == count and self._yes(asked.without((together,))):
                yield _Search(tuple(self.some[at] for at in sorted(at for at, _ in on_card)), 0)

    def take_up(self, other: _Search) -> None:
        """Go on where another search ended."""
        self.best, self.tries = other.best, other.tries

    def least_hopeful(self, asked: Question) -> int:
        """The smallest size for which there is hope; all of them together are known to do."""
        low, high = 1, 1
        while high < len(self.some) and not self.hopeful(asked, 0, high):
            low, high = high + 1, min(2 * high, len(self.some))
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.hopeful(asked, 0, middle) else (middle + 1, high)
        return low

    def hopeful(self, asked: Question, since: int, count: int, besides: frozenset[str] = frozenset()) -> bool:
        """Whether `count` more of those from `since` on could do, if they were the best on every card at once.

        besides: cards on which nobody more goes.
        """
        shares = tuple(
            share
            for uuid, on_card in self.shares.items()
            if uuid not in besides
            for share in _first(on_card, since, count)
        )
        together = self.some[0]._replace(shares=shares, frees=self._frees(since, count))
        return self._yes(asked.without((together,)))

    def walk(self, asked: Question, chosen: tuple[Running, ...], since: int, count: int) -> None:
        """Try every set of `chosen` and `count` more from `since` on that could be cheaper than the best.

        asked: what is left of the question without those that are chosen already.
        """
        reached: dict[str, bool] = {}
        touched = frozenset(share.uuid for one in chosen for share in one.shares)
        elsewhere = self.shares.keys() - touched
        if count == 1 and chosen and elsewhere and not self.hopeful(asked, since, 1, touched):
            reached = dict.fromkeys(elsewhere, False)  # only another one of the same card helps
        for at in range(since, len(self.some) - count + 1):
            if self.tries <= 0 or (
                self.best is not None and _cost((*chosen, *self.some[at : at + count])) >= _cost(self.best)
            ):
                return
            one = self.some[at]
            if count > 1:
                left = asked.without((one,))
                if self.hopeful(left, at + 1, count - 1):
                    self.walk(left, (*chosen, one), at + 1, count - 1)
            elif self._reached(asked, since, at, reached) and self._yes(asked.without((one,))):
                self.best = (*chosen, one)
                return  # whoever comes later here is dearer

    def _reached(self, asked: Question, since: int, at: int, reached: dict[str, bool]) -> bool:
        """Whether the largest from `since` on would do on the card of this one; asked once a card."""
        one = self.some[at]
        if len(one.shares) != 1:
            return True
        uuid = one.shares[0].uuid
        if uuid not in reached:
            shares = tuple(_first(self.shares[uuid], since, 1))
            best = one._replace(shares=shares, frees=self._frees(since, 1))
            reached[uuid] = self._yes(asked.without((best,)))
        return reached[uuid]

    def _yes(self, asked: Question) -> bool:
        self.tries -= 1
        return asked.yes()

    def _frees(self, since: int, count: int) -> Claim:
        return Claim(sum(_first(self.memory, since, count)), sum(_first(self.cpus, since, count)))


def _first(entries: Sequence[tuple[int, T]], since: int, count: int) -> list[T]:
    """The first so many of those whose place is `since` or later."""
    if since == 0:
        return [value for _, value in entries[:count]]
    found: list[T] = []
    for at, value in entries:
        if at >= since:
            found.append(value)
            if len(found) == count:
                break
    return found


def _pruned(some: tuple[Running, ...], asked: Question) -> tuple[Running, ...]:
    """The cheapest that do, without each that is not needed: none too many, though perhaps not the fewest."""
    low, high = 1, len(some)
    while low < high:  # so many of the cheapest do
        middle = (low + high) // 2
        low, high = (low, middle) if asked.without(some[:middle]).yes() else (middle + 1, high)
    kept = some[:low]
    for one in reversed(kept):
        rest = tuple(other for other in kept if other is not one)
        if asked.without(rest).yes():
            kept = rest
    return kept


def _cost(chosen: tuple[Running, ...]) -> Cost:
    """Lowest priorities first, then the longest idle, then by name."""
    return (
        tuple(sorted((one.priority for one in chosen), reverse=True)),
        tuple(-idle for idle in sorted(one.idle_s for one in chosen)),
        tuple(sorted(one.name for one in chosen)),
    )
