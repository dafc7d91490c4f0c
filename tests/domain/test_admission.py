"""Which card a launch gets: never more than there is, the fewest that do, and figures that add up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from llamaagent.domain.admission import Card, Need, Placement, Refusal, place, reserve, room

if TYPE_CHECKING:
    from random import Random

HEADROOM = 512
MODEST = settings(max_examples=200, deadline=None)


def card(index: int, free: int, **keys: object) -> Card:
    made = Card(f"GPU-{index}", index, 24_000, free)
    return made._replace(**keys)  # type: ignore[arg-type]


def chosen(need: Need, *cards: Card) -> tuple[str, ...]:
    found = place(need, cards, HEADROOM)
    assert isinstance(found, Placement), found
    return found.uuids


def refused(need: Need, *cards: Card) -> str:
    found = place(need, cards, HEADROOM)
    assert isinstance(found, Refusal), found
    return found.reason


@some.composite
def cards(draw: some.DrawFn) -> tuple[Card, ...]:
    made = []
    for index in range(draw(some.integers(0, 4))):
        total = draw(some.sampled_from([8_000, 24_000, 80_000]))
        free = draw(some.integers(0, total))
        unused = draw(some.integers(0, total))
        holders = draw(some.integers(0, 2))
        exclusive = draw(some.booleans()) and holders > 0
        made.append(Card(f"GPU-{index}", index, total, free, unused, exclusive, holders))
    return tuple(made)


NEEDS = some.builds(
    Need,
    gpus=some.sampled_from(["auto", "none", "all", 1, 2, 3, ("0",), ("GPU-1", "0"), ("9",)]),
    memory_mib=some.integers(0, 100_000),
    exclusive=some.booleans(),
    split=some.sampled_from([(), (3.0, 1.0), (1.0, 1.0, 2.0), (0.0, 1.0), (0.0,)]),
    devices=some.sampled_from([None, None, (), (0,), (1, 0), (3,), (0, 1, 2)]),
    single=some.sampled_from([False, False, True]),
    missing=some.sampled_from([(), (), (), ("GPU-9",)]),
)


def allowed(need: Need, have: tuple[Card, ...]) -> set[str]:
    """The cards that its rules leave it."""
    if need.gpus == "none" or need.devices == ():
        return set()
    if isinstance(need.gpus, tuple):
        by_name = {one.uuid: one for one in have} | {str(one.number): one for one in have}
        listed = [by_name[name].uuid for name in need.gpus if name in by_name]
        at = range(len(listed)) if need.devices is None else need.devices
        return {listed[n] for n in at if n < len(listed)}
    return {one.uuid for one in have if need.devices is None or one.number in need.devices}


@pytest.mark.case("peers 5.29")
@MODEST
@given(NEEDS, cards(), some.integers(0, 2_000))
def test_no_card_is_ever_promised_more_than_it_has_room_for(
    need: Need, have: tuple[Card, ...], headroom: int
) -> None:
    found = place(need, have, headroom)
    if isinstance(found, Refusal):
        assert found.reason in {"gpu-memory", "gpu-missing"}
        assert found.detail
        return
    by_uuid = {one.uuid: one for one in have}
    assert len(found.uuids) == len(set(found.uuids)) == len(found.shares)
    assert set(found.uuids) <= allowed(need, have)
    for uuid, share in zip(found.uuids, found.shares, strict=True):
        one = by_uuid[uuid]
        assert one.free_mib - one.reserved_unused_mib - share >= headroom
        assert not one.held_exclusively
        assert not (need.exclusive and one.holders)
    if found.uuids:
        assert need.memory_mib <= sum(found.shares) < need.memory_mib + len(found.shares)
        assert found.memory_mib == max(found.shares)
        assert not (need.single and len(found.uuids) != 1)
        assert isinstance(need.gpus, str | tuple) or need.single or len(found.uuids) == need.gpus
    elif have:
        assert need.gpus == "none" or need.devices == (), "on the CPU in silence"
    else:
        assert need.gpus in {"auto", "none"} or need.devices == ()
        assert not need.missing or need.gpus == "none" or need.devices == ()


@MODEST
@given(some.lists(NEEDS, max_size=8), cards(), some.integers(0, 2_000), some.randoms())
def test_one_after_the_other_they_never_get_more_than_there_is_and_give_all_back(
    needs: list[Need], have: tuple[Card, ...], headroom: int, random: Random
) -> None:
    """Each placement becomes a reservation; whatever order they end in, the start is reached again."""
    before = {one.uuid: one for one in have}
    live: list[tuple[Placement, bool]] = []
    for need in needs:
        now = before_and(have, live)
        found = place(need, now, headroom)
        if isinstance(found, Placement):
            assert not any(one.held_exclusively for one in now if one.uuid in found.uuids)
            live.append((found, need.exclusive))
        if live and random.random() < 0.3:
            live.pop(random.randrange(len(live)))
        for one in before_and(have, live):
            promised = one.reserved_unused_mib - before[one.uuid].reserved_unused_mib
            assert promised == 0 or promised <= room(before[one.uuid], headroom)
    random.shuffle(live)
    while live:
        live.pop()
    assert before_and(have, live) == have


def before_and(have: tuple[Card, ...], live: list[tuple[Placement, bool]]) -> tuple[Card, ...]:
    """The cards with these reservations on them."""
    for placement, exclusive in live:
        have = reserve(have, placement, exclusive=exclusive)
    return have


@MODEST
@given(some.integers(0, 100_000), cards(), some.integers(0, 2_000))
def test_auto_takes_the_fewest_cards_that_do(memory: int, have: tuple[Card, ...], headroom: int) -> None:
    found = place(Need("auto", memory), have, headroom)
    fewest = None
    for count in range(1, len(have) + 1):
        share = -(-memory // count)
        if sum(not one.held_exclusively and room(one, headroom) >= share for one in have) >= count:
            fewest = count
            break
    if not have:
        assert found == Placement((), 0)
    elif fewest is None:
        assert isinstance(found, Refusal)
    else:
        assert isinstance(found, Placement)
        assert len(found.uuids) == fewest


@MODEST
@given(NEEDS, cards(), some.integers(0, 2_000))
def test_the_arithmetic_adds_up(need: Need, have: tuple[Card, ...], headroom: int) -> None:
    found = place(need, have, headroom)
    figures = {figure.name: figure.value for figure in found.arithmetic}
    by_index = {one.number: one for one in have}
    if figures:
        assert (figures["needed_mib"], figures["headroom_mib"]) == (need.memory_mib, headroom)
    for name, value in figures.items():
        if name.startswith("gpu") and name.endswith("_room_mib"):
            index = name.removeprefix("gpu").removesuffix("_room_mib")
            free, unused = figures[f"gpu{index}_free_mib"], figures[f"gpu{index}_reserved_unused_mib"]
            assert value == int(str(free)) - int(str(unused)) - headroom
            assert free == by_index[int(index)].free_mib
    if isinstance(found, Placement) and found.uuids:
        assert figures["per_card_mib"] == found.memory_mib


def test_without_a_card_it_runs_on_the_cpu_and_none_means_none() -> None:
    assert chosen(Need("auto", 9_000)) == ()
    assert chosen(Need("none", 9_000), card(0, 24_000)) == ()
    assert refused(Need(1, 10)) == "gpu-missing"
    assert refused(Need("all", 10)) == "gpu-missing"


def test_the_tightest_fit_is_taken_first() -> None:
    assert chosen(Need("auto", 5_000), card(0, 24_000), card(1, 6_000), card(2, 10_000)) == ("GPU-1",)
    assert chosen(Need("auto", 5_000), card(0, 9_000), card(1, 9_000)) == ("GPU-0",)


def test_what_is_promised_and_not_used_yet_counts_as_taken() -> None:
    promised = card(0, 24_000, reserved_unused_mib=20_000)
    assert refused(Need("auto", 5_000), promised) == "gpu-memory"
    assert chosen(Need("auto", 5_000), promised, card(1, 23_000)) == ("GPU-1",)


def test_two_cards_share_what_none_can_give_alone() -> None:
    found = place(Need("auto", 30_001), (card(0, 20_000), card(1, 20_000)), HEADROOM)
    assert isinstance(found, Placement)
    assert (found.uuids, found.memory_mib) == (("GPU-0", "GPU-1"), 15_001)


@pytest.mark.case("peers 5.27")
def test_named_cards_by_index_or_uuid_and_nothing_else() -> None:
    both = (card(0, 20_000), card(1, 20_000))
    assert chosen(Need(("1",), 100), *both) == ("GPU-1",)
    assert chosen(Need(("GPU-0", "1"), 100), *both) == ("GPU-0", "GPU-1")
    assert refused(Need(("2",), 100), *both) == "gpu-missing"
    assert refused(Need(("1",), 30_000), *both) == "gpu-memory"


@pytest.mark.parametrize("gpus", ["auto", 1, ("0",)])
def test_exclusive_goes_both_ways(gpus: object) -> None:
    shared, held = card(0, 20_000, holders=1), card(0, 20_000, holders=1, held_exclusively=True)
    assert chosen(Need(gpus, 100), shared) == ("GPU-0",)  # type: ignore[arg-type]
    assert refused(Need(gpus, 100, exclusive=True), shared) == "gpu-memory"  # type: ignore[arg-type]
    assert refused(Need(gpus, 100), held) == "gpu-memory"  # type: ignore[arg-type]


def test_the_refusal_says_how_much_is_needed_and_how_much_there_is() -> None:
    found = place(Need("auto", 9_000), (card(0, 4_000), card(1, 6_000)), HEADROOM)
    assert isinstance(found, Refusal)
    assert "9000 MiB" in found.detail
    assert f"{6_000 - HEADROOM} MiB" in found.detail


def test_shares_follow_the_ratio_and_the_largest_finds_its_card() -> None:
    found = place(Need("auto", 8_000, split=(3.0, 1.0)), (card(0, 3_000), card(1, 7_000)), HEADROOM)
    assert isinstance(found, Placement)
    assert (found.uuids, found.shares) == (("GPU-1", "GPU-0"), (6_000, 2_000))
    assert refused(Need("auto", 8_000, split=(1.0, 1.0)), card(0, 3_000), card(1, 7_000)) == "gpu-memory"
    named = place(Need(("0", "1"), 8_000, split=(1.0, 3.0)), (card(0, 3_000), card(1, 7_000)), HEADROOM)
    assert isinstance(named, Placement)
    assert (named.uuids, named.shares) == (("GPU-0", "GPU-1"), (2_000, 6_000))


def test_devices_restrict_and_forbid() -> None:
    both = (card(0, 9_000), card(1, 20_000))
    assert chosen(Need("auto", 5_000, devices=(1,)), *both) == ("GPU-1",)
    assert chosen(Need("auto", 5_000, devices=()), *both) == ()
    assert chosen(Need(("1", "0"), 5_000, devices=(0,)), *both) == ("GPU-1",)
    assert refused(Need("auto", 5_000, devices=(2,)), *both) == "gpu-missing"
    assert refused(Need(2, 5_000, devices=(1,)), *both) == "gpu-missing"


def test_one_that_does_not_split_takes_one_card_or_none() -> None:
    assert refused(Need("auto", 30_000, single=True), card(0, 20_000), card(1, 20_000)) == "gpu-memory"
    assert chosen(Need("all", 5_000, single=True), card(0, 20_000), card(1, 9_000)) == ("GPU-1",)


def test_a_card_that_is_gone_is_not_replaced_by_the_cpu_or_by_fewer() -> None:
    assert refused(Need("auto", 100, missing=("GPU-7",))) == "gpu-missing"
    assert refused(Need("all", 100, missing=("GPU-7",)), card(0, 20_000)) == "gpu-missing"
    assert chosen(Need("auto", 100, missing=("GPU-7",)), card(0, 20_000)) == ("GPU-0",)
    assert chosen(Need("none", 100, missing=("GPU-7",))) == ()


@MODEST
@given(
    some.sampled_from(["auto", 1, ("0",)]),
    cards(),
    some.lists(some.integers(1, 60_000), min_size=4, max_size=4),
)
def test_where_cards_differ_in_what_it_takes_each_is_asked_for_its_own(
    gpus: str | int | tuple[str, ...], have: tuple[Card, ...], takes: list[int]
) -> None:
    by_card = tuple((one.uuid, mib) for one, mib in zip(have, takes, strict=False))
    need = Need(gpus, max(takes), by_card=by_card)
    found = place(need, have, HEADROOM)
    fitting = [
        one.uuid
        for one, mib in zip(have, takes, strict=False)
        if not one.held_exclusively and room(one, HEADROOM) >= mib and (gpus != ("0",) or one.number == 0)
    ]
    if isinstance(found, Refusal):
        assert fitting == []
        if have and found.reason == "gpu-memory":
            told = {figure.name: figure.value for figure in found.arithmetic}
            shown = [
                int(name[3:-11]) for name in told if name.startswith("gpu") and name.endswith("_needed_mib")
            ]
            assert [told[f"gpu{number}_needed_mib"] for number in shown] == [
                takes[number] for number in shown
            ]
            assert shown
        return
    if len(found.uuids) == 1:
        assert found.uuids[0] in fitting
        assert found.shares == (dict(by_card)[found.uuids[0]],)
        assert {figure.name: figure.value for figure in found.arithmetic}["needed_mib"] == found.shares[0]
    elif found.uuids:
        assert fitting == []
        assert sum(found.shares) >= max(takes)
