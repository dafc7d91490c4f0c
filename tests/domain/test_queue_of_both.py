"""The line with the machine in it, and with changes of what runs: nothing is promised twice, the fewest make way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some
from test_queue import FEW, HEADROOM, MODEST, NOW, card, holds, wants

from llamaagent.domain import plan as act
from llamaagent.domain.admission import Card, Need, room
from llamaagent.domain.eviction import Eviction, Running, Share, relieved, spared, victims
from llamaagent.domain.fewest import fewest
from llamaagent.domain.hostroom import Claim, Machine
from llamaagent.domain.queue import Turn, Waiting, in_order, line_up

Scene = tuple[list[Waiting], tuple[Card, ...], list[Running], Machine]
CLAIMS = some.builds(Claim, some.integers(0, 4000), some.integers(0, 4000))


@some.composite
def scenes(draw: some.DrawFn) -> Scene:
    cards = tuple(card(number, draw(some.integers(0, 4000))) for number in range(draw(some.integers(0, 3))))
    running, waiting = [], []
    for index in range(draw(some.integers(0, 6))):
        one = holds(
            f"r{index}", draw(some.integers(1, 3000)), draw(some.integers(0, 3)), draw(some.integers(0, 2))
        )
        on_card = draw(some.booleans()) and one.shares[0].uuid in {c.uuid for c in cards}
        changing = draw(some.integers(0, 3)) == 0
        one = one._replace(
            instance_id=index,
            shares=one.shares if on_card else (),
            frees=draw(CLAIMS),
            changing=changing,
            going=not changing and draw(some.integers(0, 3)) == 0,
            busy=draw(some.integers(0, 3)) == 0,
            ends=draw(some.booleans()),
        )
        running.append(one)
        if changing:
            made = wants(
                one.name, 0, one.priority, need=Need("auto", draw(some.integers(1, 4000))), claim=draw(CLAIMS)
            )
            waiting.append(made._replace(leaves=one, keeps_place=draw(some.booleans())))
    for index in range(draw(some.integers(1, 5))):
        need = Need(
            draw(some.sampled_from(["auto", "none", 1])) if cards else "none", draw(some.integers(1, 6000))
        )
        waiting.append(
            wants(
                f"w{index}",
                0,
                draw(some.integers(0, 3)),
                draw(some.integers(0, 99)),
                need=need,
                claim=draw(CLAIMS),
            )
        )
    machine = Machine(draw(some.none() | some.integers(0, 8000)), draw(some.none() | some.integers(0, 8000)))
    return waiting, cards, running, machine


def decided(scene: Scene) -> tuple[Turn, ...]:
    waiting, cards, running, machine = scene
    return line_up(waiting, cards, running, NOW, HEADROOM, machine)


@pytest.mark.case("peers 5.29")
@MODEST
@given(scenes())
def test_neither_cards_nor_machine_are_given_or_promised_beyond_what_they_have(scene: Scene) -> None:
    waiting, cards, running, machine = scene
    turns = decided(scene)
    by_name = {one.name: one for one in waiting}
    gone = [v for turn in turns if turn.eviction is not None for v in turn.eviction.victims]
    assert len({v.name for v in gone}) == len(gone)
    assert not any(v.changing for v in gone), "what is launched anew keeps its place"
    back = [*gone, *(one for one in running if one.going)]
    starts = [turn for turn in turns if turn.kind == act.START]
    waits = [turn for turn in turns if turn.kind == act.WAIT]

    def left(turns: list[Turn]) -> list[Running]:
        return [old for turn in turns if (old := by_name[turn.name].leaves) is not None]

    for at in (0, 1):
        now = machine[at]
        if now is None:
            continue
        for some_turns, freed in (
            (starts, left(starts)),
            ([*starts, *waits], [*left([*starts, *waits]), *back]),
        ):
            asked = sum(by_name[turn.name].claim[at] for turn in some_turns)
            claims = any(by_name[turn.name].claim[at] for turn in some_turns)
            assert not claims or asked <= now + sum(one.frees[at] for one in freed)
    for one in cards:
        given_now = sum(_on(turn, one) for turn in starts)
        freed_now = sum(
            share.memory_mib for r in left(starts) for share in r.shares if share.uuid == one.uuid
        )
        assert not given_now or given_now <= room(one, HEADROOM) + freed_now
        given_then = given_now + sum(_on(turn, one) for turn in waits)
        everybody = [*left([*starts, *waits]), *back]
        freed_then = sum(share.memory_mib for r in everybody for share in r.shares if share.uuid == one.uuid)
        assert not given_then or given_then <= room(one, HEADROOM) + freed_then


def _on(turn: Turn, one: Card) -> int:
    place = turn.placement
    return 0 if place is None else dict(zip(place.uuids, place.shares, strict=True)).get(one.uuid, 0)


@MODEST
@given(scenes())
def test_the_first_in_the_line_is_served_as_if_it_were_alone(scene: Scene) -> None:
    waiting, cards, running, machine = scene
    first = in_order(waiting)[0]
    (alone,) = decided(([first], cards, running, machine))
    assert decided(scene)[0] == alone


def cpu(name: str, milli: int, priority: int = 0, since: int = 0, **keys: object) -> Waiting:
    return wants(name, 0, priority, since, need=Need("none", 0), claim=Claim(0, milli), **keys)


def runs(name: str, milli: int, priority: int = 0, **keys: object) -> Running:
    return holds(name, 0, priority, shares=(), frees=Claim(0, milli), **keys)


def kinds(waiting: list[Waiting], room_milli: int, *running: Running) -> dict[str, str]:
    return {turn.name: turn.kind for turn in decided((waiting, (), list(running), Machine(None, room_milli)))}


def test_a_small_one_goes_ahead_only_where_the_machine_has_room_for_both() -> None:
    big, small = cpu("big", 3000, since=60), cpu("small", 500)
    assert kinds([big, small], 1000, runs("ends", 2500, ends=True)) == {"big": act.HOLD, "small": act.START}
    assert kinds([big, small], 1000, runs("ends", 2400, ends=True))["small"] == act.HOLD
    assert kinds([big, small], 1000, runs("stays", 2400))["small"] == act.START  # nobody is delayed
    assert kinds([big, small], 1000, runs("low", 2400, -1, busy=True))["small"] == act.HOLD


def test_whoever_frees_what_lacks_goes_and_nobody_else() -> None:
    first = cpu("first", 2000, 5)
    turns = decided(
        ([first], (), [runs("little", 100), runs("enough", 1500), runs("more", 1600)], Machine(None, 500))
    )
    assert turns[0].eviction is not None
    assert [one.name for one in turns[0].eviction.victims] == ["enough"]
    figures = {figure.name: figure.value for figure in turns[0].eviction.arithmetic}
    assert figures["cpu_room_milli"] == 500
    assert figures["cpu_freed_by_enough_milli"] == 1500
    assert figures["cpu_room_then_milli"] == 2000


def test_room_on_a_card_and_in_the_machine_are_made_by_the_same_one_where_one_does() -> None:
    one = wants("one", 800, 5, claim=Claim(0, 2000))
    both = holds("both", 900, 3, frees=Claim(0, 2000))
    found = decided(
        ([one], (card(0, 100),), [holds("card", 900), runs("cores", 2000), both], Machine(None, 0))
    )
    assert found[0].eviction is not None
    assert [victim.name for victim in found[0].eviction.victims] == ["both"]
    without = decided(([one], (card(0, 100),), [holds("card", 900), runs("cores", 2000)], Machine(None, 0)))
    assert without[0].eviction is not None
    assert sorted(victim.name for victim in without[0].eviction.victims) == ["card", "cores"]


def test_a_change_that_grows_stands_in_the_line_and_may_count_on_what_it_has() -> None:
    old = holds("old", 500, changing=True)
    change = wants("old", 900, leaves=old)
    cards = (card(0, 600),)
    assert [t.kind for t in line_up([change], cards, [old], NOW, HEADROOM)] == [act.START]
    ends = holds("ends", 900, ends=True)
    first = wants("first", 1300, since=60)
    behind = {t.name: t for t in line_up([change, first], cards, [old, ends], NOW, HEADROOM)}["old"]
    assert (behind.kind, behind.behind) == (act.HOLD, first)
    ahead = line_up([change._replace(priority=1), first], cards, [old, ends], NOW, HEADROOM)
    assert {t.name: t.kind for t in ahead}["old"] == act.START
    same_second = line_up(
        [change._replace(name="a"), first._replace(since_ts=NOW)], cards, [old, ends], NOW, HEADROOM
    )
    assert [turn.name for turn in same_second] == ["first", "a"]  # not by name: this one has nothing yet
    larger = wants("old", 1600, 1, leaves=old)
    made = {t.name: t for t in line_up([larger], cards, [old, holds("low", 900)], NOW, HEADROOM)}["old"]
    assert made.kind == act.WAIT
    assert made.eviction is not None
    assert [victim.name for victim in made.eviction.victims] == ["low"]


def every(running: list[Running], need: Need, cards: tuple[Card, ...]) -> tuple[Running, ...] | None:
    """The cheapest smallest set of idle ones, found by trying them all."""
    from itertools import combinations

    from llamaagent.domain.admission import fits
    from llamaagent.domain.fewest import _cost

    for count in range(len(running) + 1):
        sets = [s for s in combinations(running, count) if fits(need, relieved(cards, s), HEADROOM)]
        if sets:
            return min(sets, key=_cost)
    return None


@FEW
@given(scenes(), some.builds(Need, some.sampled_from(["auto", 1, 2]), some.integers(1, 9000)))
def test_the_quick_search_finds_what_trying_every_set_finds(scene: Scene, need: Need) -> None:
    _, cards, running, _ = scene
    idle = [
        one._replace(busy=False, idle_s=7 * n % 5, changing=False, going=False)
        for n, one in enumerate(running)
    ]
    found = victims(need, cards, idle, NOW, headroom_mib=HEADROOM)
    may = [one for one in idle if spared(one, None, NOW) is None]
    best = every(may, need, cards)
    if best is None:
        assert not isinstance(found, Eviction)
    else:
        assert isinstance(found, Eviction)
        assert {one.name for one in found.victims} == {one.name for one in best}


def test_nobody_is_asked_twice_where_nobody_is_needed() -> None:
    from llamaagent.domain.eviction import Question

    asked = Question(Need("auto", 100), (card(0, 1000),), HEADROOM)
    assert fewest([holds("a", 10)], asked) == ()
    assert fewest([], Question(Need("auto", 100), (card(0, 100),), HEADROOM)) is None
    assert (
        fewest([holds("a", 10, shares=(Share("GPU-0", 200),))], asked._replace(cards=(card(0, 100),)))
        is not None
    )


def test_the_statement_that_keeps_a_place_in_the_line_knows_every_reason_to_wait_for_room() -> None:
    import re

    from llamaagent.sql import statements

    text = statements("instances")["update_held"]
    lists = re.findall(r"IN \(('gpu-memory'[^)]*)\)", text)
    assert len(lists) == 2
    for words in lists:
        assert {word.strip(" '") for word in words.split(",")} == act.ROOM
