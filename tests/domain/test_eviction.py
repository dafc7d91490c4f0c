"""Who makes way: nobody who is spared, nobody too many, the least important first, and figures that add up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from llamaagent.domain.admission import Card, Need, Placement, Refusal, place, room
from llamaagent.domain.eviction import Eviction, Running, Share, relieved, spared, victims
from llamaagent.domain.priority import effective_priority
from llamaagent.domain.profile import ModelRef, Profile

NOW = 1_800_000_000
HEADROOM = 100
MODEST = settings(max_examples=200, deadline=None)


def card(number: int, free: int, **keys: object) -> Card:
    return Card(f"GPU-{number}", number, 24_000, free)._replace(**keys)  # type: ignore[arg-type]


def on(number: int, mib: int, *, exclusive: bool = False) -> tuple[Share, ...]:
    return (Share(f"GPU-{number}", mib, exclusive),)


def one(name: str, shares: tuple[Share, ...], priority: int = 0, **keys: object) -> Running:
    made = Running(name, 1, priority, shares, since_ts=NOW - 3600, min_residency_s=300, idle_s=100)
    return made._replace(**keys)  # type: ignore[arg-type]


def gone(need: int, cards: tuple[Card, ...], *running: Running, priority: int = 10) -> list[str] | str:
    found = victims(Need("auto", need), cards, running, NOW, headroom_mib=HEADROOM, priority=priority)
    return found.reason if isinstance(found, Refusal) else [victim.name for victim in found.victims]


def test_the_one_whose_memory_does_goes_and_no_other() -> None:
    cards = (card(0, 200), card(1, 300))
    assert gone(1000, cards, one("small", on(0, 300)), one("large", on(1, 2000))) == ["large"]


def test_one_large_one_rather_than_two_small_ones_and_two_when_it_takes_two() -> None:
    two = (one("a", on(0, 500)), one("b", on(0, 500)))
    assert gone(1000, (card(0, 200),), *two, one("c", on(0, 1000))) == ["c"]
    assert gone(1000, (card(0, 200),), *two) == ["a", "b"]


def test_the_least_important_first_then_the_longest_idle() -> None:
    cards = (card(0, 200),)
    assert gone(500, cards, one("a", on(0, 500), 5), one("b", on(0, 500), 4)) == ["b"]
    assert gone(500, cards, one("a", on(0, 500), idle_s=7), one("b", on(0, 500), idle_s=8)) == ["b"]
    assert gone(500, cards, one("a", on(0, 500), -1, idle_s=7), one("b", on(0, 500), idle_s=8)) == ["a"]


@pytest.mark.case("peers 5.18")
def test_idle_before_busy_and_a_busy_one_only_where_it_allows_that() -> None:
    cards = (card(0, 200),)
    busy = one("busy", on(0, 900), -5, busy=True, when_busy=True)
    assert gone(800, cards, busy, one("a", on(0, 500)), one("b", on(0, 500))) == ["a", "b"]
    assert gone(1200, cards, busy, one("a", on(0, 500))) == ["a", "busy"]
    assert gone(800, cards, busy._replace(when_busy=False)) == "gpu-memory"


@pytest.mark.parametrize(
    ("spare", "why"),
    [
        ({"pinned": True}, "is pinned"),
        ({"busy": True}, "is busy"),
        ({"since_ts": NOW - 299}, "is younger than 300 s"),
        ({"since_ts": NOW + 5000}, "is younger than 300 s"),
        ({"priority": 10}, "has the same priority"),
        ({"priority": 11}, "has a higher priority"),
        ({"changing": True}, "is being launched anew"),
    ],
)
def test_who_is_spared(spare: dict[str, object], why: str) -> None:
    kept = one("kept", on(0, 900))._replace(**spare)  # type: ignore[arg-type]
    assert spared(kept, 10, NOW) == why
    assert gone(800, (card(0, 200),), kept) == "gpu-memory"
    assert gone(800, (card(0, 200),), one("goes", on(0, 900))) == ["goes"]


def test_without_a_priority_only_the_other_rules_spare() -> None:
    running = (one("high", on(0, 900), 99), one("pinned", on(0, 900), pinned=True))
    found = victims(Need("auto", 800), (card(0, 0),), running, NOW, headroom_mib=HEADROOM)
    assert isinstance(found, Eviction)
    assert [victim.name for victim in found.victims] == ["high"]


def test_named_cards_and_exclusive_ones() -> None:
    cards = (card(0, 200), card(1, 900, holders=1), card(2, 900, holders=1, held_exclusively=True))
    running = (one("a", on(0, 900)), one("b", on(1, 100)), one("c", on(2, 100, exclusive=True)))

    def names(need: Need) -> list[str]:
        found = victims(need, cards, running, NOW, headroom_mib=HEADROOM, priority=1)
        assert isinstance(found, Eviction)
        return [victim.name for victim in found.victims]

    assert names(Need(("0",), 800)) == ["a"]
    assert names(Need(("1",), 500, exclusive=True)) == ["b"]
    assert names(Need(("2",), 500)) == ["c"]


def test_with_many_small_ones_it_is_still_quick_and_none_goes_in_vain() -> None:
    running = tuple(one(f"s{index:02}", on(0, 100), index % 7) for index in range(40))
    found = victims(Need("auto", 2000), (card(0, 0),), running, NOW, headroom_mib=HEADROOM, priority=10)
    assert isinstance(found, Eviction)
    assert len(found.victims) == 21
    assert max(victim.priority for victim in found.victims) == 3


@some.composite
def worlds(draw: some.DrawFn) -> tuple[tuple[Card, ...], tuple[Running, ...]]:
    cards = tuple(card(number, draw(some.integers(0, 3000))) for number in range(draw(some.integers(1, 3))))
    running = []
    for index in range(draw(some.integers(0, 6))):
        where = draw(some.sets(some.integers(0, len(cards) - 1), min_size=1))
        running.append(
            one(
                f"r{index}",
                tuple(Share(f"GPU-{n}", draw(some.integers(1, 3000))) for n in sorted(where)),
                draw(some.integers(0, 3)),
                pinned=draw(some.booleans()) and draw(some.booleans()),
                busy=draw(some.booleans()) and draw(some.booleans()),
                when_busy=draw(some.booleans()),
                since_ts=NOW - draw(some.sampled_from([10, 400, 4000])),
                idle_s=draw(some.integers(0, 1000)),
            )
        )
    return cards, tuple(running)


NEEDS = some.builds(
    lambda gpus, mib, alone, split: Need(gpus, mib, alone, split=split),
    some.sampled_from(["auto", "all", 1, 2, ("0",)]),
    some.integers(1, 9000),
    some.booleans(),
    some.sampled_from([(), (), (3.0, 1.0)]),
)


@MODEST
@given(worlds(), NEEDS, some.none() | some.integers(0, 4))
def test_nobody_spared_goes_and_none_too_many(
    world: tuple[tuple[Card, ...], tuple[Running, ...]], need: Need, priority: int | None
) -> None:
    cards, running = world
    found = victims(need, cards, running, NOW, headroom_mib=HEADROOM, priority=priority)
    if isinstance(found, Refusal):
        allowed = [r for r in running if spared(r, priority, NOW) is None]
        after = place(need, relieved(cards, allowed), HEADROOM)
        assert isinstance(after, Refusal), "everybody who may go would have been enough"
        return
    after = relieved(cards, found.victims)
    assert isinstance(place(need, after, HEADROOM), Placement)
    for victim in found.victims:
        assert spared(victim, priority, NOW) is None
        others = [other for other in found.victims if other is not victim]
        assert isinstance(place(need, relieved(cards, others), HEADROOM), Refusal), f"{victim.name} in vain"


@MODEST
@given(worlds(), NEEDS)
def test_the_arithmetic_of_an_eviction_adds_up(
    world: tuple[tuple[Card, ...], tuple[Running, ...]], need: Need
) -> None:
    cards, running = world
    found = victims(need, cards, running, NOW, headroom_mib=HEADROOM)
    if isinstance(found, Refusal):
        return
    figures = {figure.name: figure.value for figure in found.arithmetic}
    assert figures["needed_mib"] == need.memory_mib
    for one_card in cards:
        if one_card.uuid not in found.placement.uuids:
            continue
        prefix = f"gpu{one_card.number}_"
        freed = sum(int(str(v)) for k, v in figures.items() if k.startswith(f"{prefix}freed_by_"))
        assert figures[f"{prefix}room_mib"] == room(one_card, HEADROOM)
        assert figures[f"{prefix}room_then_mib"] == room(one_card, HEADROOM) + freed
        share = figures.get(f"{prefix}share_mib", figures["per_card_mib"])
        assert room(one_card, HEADROOM) + freed >= int(str(share))


def test_a_project_caps_the_priority_of_its_profiles() -> None:
    def priority(own: int, cap: int | None) -> int:
        return effective_priority(Profile("a", "/a.yaml", 1, ModelRef(), priority=own), cap)

    assert [priority(5, 10), priority(50, 10), priority(50, None), priority(-5, 10)] == [5, 10, 50, -5]
