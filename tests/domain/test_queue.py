"""Who gets room and in which order: nothing is promised twice, the first is not delayed, and evictions end."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from llamaagent.domain import plan as act
from llamaagent.domain.admission import Card, Need, Placement, place, room
from llamaagent.domain.eviction import Running, Share
from llamaagent.domain.hostroom import NOTHING, Claim, Machine
from llamaagent.domain.queue import Turn, Waiting, in_order, line_up

NOW = 1_800_000_000
HEADROOM = 100
MODEST = settings(max_examples=200, deadline=None)
FEW = settings(max_examples=60, deadline=None)


def card(number: int, free: int) -> Card:
    return Card(f"GPU-{number}", number, 10_000, free)


def holds(name: str, mib: int, priority: int = 0, on: int = 0, **keys: object) -> Running:
    made = Running(name, 1, priority, (Share(f"GPU-{on}", mib),), since_ts=NOW - 9999)
    return made._replace(**keys)  # type: ignore[arg-type]


def wants(name: str, mib: int, priority: int = 0, since: int = 0, **keys: object) -> Waiting:
    made = Waiting(name, Need("auto", mib), priority, NOW - since)
    return made._replace(**keys)  # type: ignore[arg-type]


def served(waiting: list[Waiting], cards: tuple[Card, ...], *running: Running) -> dict[str, Turn]:
    return {turn.name: turn for turn in line_up(waiting, cards, running, NOW, HEADROOM)}


def kinds(waiting: list[Waiting], cards: tuple[Card, ...], *running: Running) -> dict[str, str]:
    return {name: turn.kind for name, turn in served(waiting, cards, *running).items()}


def test_the_order_is_place_kept_then_priority_then_waiting_time_then_name() -> None:
    line = [
        wants("young", 1),
        wants("b", 1, since=9),
        wants("a", 1, since=9),
        wants("urgent", 1, 5),
        wants("again", 1, -3, keeps_place=True),
    ]
    assert [one.name for one in in_order(line)] == ["again", "urgent", "a", "b", "young"]


def test_a_small_one_goes_ahead_only_where_that_delays_nobody() -> None:
    cards = (card(0, 1100),)
    big, small = wants("big", 3000, since=60), wants("small", 500)
    ends = holds("ends", 2500, ends=True)
    assert kinds([big, small], cards, ends) == {"big": act.HOLD, "small": act.START}  # 3500 - 500 is enough
    assert kinds([big, small], cards, ends._replace(shares=(Share("GPU-0", 2400),)))["small"] == act.HOLD
    behind = served([big, small], cards, ends._replace(shares=(Share("GPU-0", 2400),)))["small"].behind
    assert behind is not None
    assert behind.name == "big"


def test_without_prospects_the_first_in_the_line_delays_nobody() -> None:
    cards = (card(0, 1100),)
    big, small = wants("big", 3000, since=60), wants("small", 500)
    assert kinds([big, small], cards, holds("stays", 2400))["small"] == act.START
    assert kinds([big, small], cards, holds("low", 2400, -1, pinned=True))["small"] == act.START
    assert kinds([big, small], cards, holds("low", 2400, -1, busy=True))["small"] == act.HOLD


def test_one_that_must_stay_off_a_card_takes_another() -> None:
    cards = (card(0, 700), card(1, 900))
    big = wants("big", 3000, since=60, need=Need(("0",), 3000))
    found = served([big, wants("small", 500)], cards, holds("ends", 2450, ends=True))
    assert found["small"].placement is not None
    assert found["small"].placement.uuids == ("GPU-1",)
    alone = served([wants("small", 500)], cards)
    assert alone["small"].placement is not None
    assert alone["small"].placement.uuids == ("GPU-0",)  # the tighter fit, were it nobody's


def test_two_that_wait_for_the_same_one_do_not_both_count_on_it() -> None:
    cards = (card(0, 100),)
    line = [wants("first", 800, 5, since=9), wants("second", 800, 5)]
    found = served(line, cards, holds("low", 1000), holds("other", 900))
    assert [turn.kind for turn in found.values()] == [act.WAIT, act.WAIT]
    gone = [victim.name for turn in found.values() if turn.eviction for victim in turn.eviction.victims]
    assert sorted(gone) == ["low", "other"]
    assert served(line, cards, holds("low", 1000))["second"].kind == act.HOLD


def test_what_goes_anyway_is_waited_for_and_nobody_else_evicted() -> None:
    found = served([wants("a", 800, 5)], (card(0, 100),), holds("going", 900, going=True), holds("low", 900))
    assert (found["a"].kind, found["a"].eviction, found["a"].going) == (act.WAIT, None, ("going",))


@some.composite
def scenes(draw: some.DrawFn) -> tuple[list[Waiting], tuple[Card, ...], list[Running]]:
    cards = tuple(card(number, draw(some.integers(0, 4000))) for number in range(draw(some.integers(1, 3))))
    running = [
        holds(
            f"r{index}",
            draw(some.integers(1, 3000)),
            draw(some.integers(0, 3)),
            draw(some.integers(0, len(cards) - 1)),
            pinned=draw(some.integers(0, 4)) == 0,
            busy=draw(some.integers(0, 3)) == 0,
            going=draw(some.integers(0, 3)) == 0,
            ends=draw(some.booleans()),
        )
        for index in range(draw(some.integers(0, 5)))
    ]
    gpus = some.sampled_from(["auto", "auto", 1, 2, "all", ("0",), "none"])
    waiting = [
        wants(
            f"w{index}",
            0,
            draw(some.integers(0, 3)),
            draw(some.integers(0, 99)),
            need=Need(draw(gpus), draw(some.integers(1, 6000)), draw(some.integers(0, 5)) == 0),
        )
        for index in range(draw(some.integers(1, 6)))
    ]
    return waiting, cards, running


@pytest.mark.case("peers 5.29")
@MODEST
@given(scenes())
def test_no_card_is_given_or_promised_beyond_what_it_has(
    scene: tuple[list[Waiting], tuple[Card, ...], list[Running]],
) -> None:
    waiting, cards, running = scene
    turns = line_up(waiting, cards, running, NOW, HEADROOM)
    assert sorted(turn.name for turn in turns) == sorted(one.name for one in waiting)
    victims = [v for turn in turns if turn.eviction is not None for v in turn.eviction.victims]
    assert len({v.name for v in victims}) == len(victims), "one is evicted twice"
    back = [*victims, *(one for one in running if one.going)]
    for one in cards:

        def given_on(kind: str, at: Card = one) -> int:
            found = [t.placement for t in turns if t.kind == kind and t.placement is not None]
            return sum(dict(zip(p.uuids, p.shares, strict=True)).get(at.uuid, 0) for p in found)

        started, promised = given_on(act.START), given_on(act.WAIT)
        freed = sum(s.memory_mib for r in back for s in r.shares if s.uuid == one.uuid)
        assert started == 0 or started <= room(one, HEADROOM)
        assert started + promised == 0 or started + promised <= room(one, HEADROOM) + freed


@MODEST
@given(scenes())
def test_the_first_in_the_line_is_served_as_if_it_were_alone(
    scene: tuple[list[Waiting], tuple[Card, ...], list[Running]],
) -> None:
    waiting, cards, running = scene
    first = in_order(waiting)[0]
    (alone,) = line_up([first], cards, running, NOW, HEADROOM)
    assert line_up(waiting, cards, running, NOW, HEADROOM)[0] == alone


class Life(NamedTuple):
    """One that runs in the pretended world, and when it goes by itself."""

    name: str
    need: Need
    priority: int
    share: int
    uuids: tuple[str, ...]
    since: int
    goes_at: int | None
    pinned: bool
    claim: Claim = NOTHING


class World:
    """Cards of 10000 MiB, a machine of 8 cores, and profiles that wait and run; `look` decides and does."""

    def __init__(self, cards: int) -> None:
        self.now = NOW
        self.numbers = range(cards)
        self.lives: dict[str, Life] = {}
        self.waiting: dict[str, Waiting] = {}
        self.lasting: dict[str, int | None] = {}  # how long each runs once it runs
        self.pinned: set[str] = set()
        self.evictions: list[tuple[str, str]] = []

    def cards(self) -> tuple[Card, ...]:
        made = []
        for number in self.numbers:
            uuid = f"GPU-{number}"
            taken = sum(life.share for life in self.lives.values() if uuid in life.uuids)
            count = sum(uuid in life.uuids for life in self.lives.values())
            assert taken + HEADROOM <= 10_000 or taken == 0, "more than there is"
            made.append(Card(uuid, number, 10_000, 10_000, taken, holders=count))
        return tuple(made)

    def machine(self) -> Machine:
        left = 8000 - sum(life.claim.cpu_milli for life in self.lives.values())
        assert left >= 0, "more cores than there are"
        return Machine(None, left)

    def running(self) -> tuple[Running, ...]:
        return tuple(
            Running(
                life.name,
                1,
                life.priority,
                tuple(Share(uuid, life.share) for uuid in life.uuids),
                since_ts=life.since,
                min_residency_s=60,
                pinned=life.pinned,
                ends=life.goes_at is not None,
                frees=life.claim,
            )
            for life in self.lives.values()
        )

    def look(self) -> tuple[Turn, ...]:
        for name in [
            n for n, life in self.lives.items() if life.goes_at is not None and life.goes_at <= self.now
        ]:
            del self.lives[name]
        line, cards, running = self.waiting.values(), self.cards(), self.running()
        turns = line_up(line, cards, running, self.now, HEADROOM, self.machine())
        evicted: list[Life] = []
        for turn in turns:
            if turn.eviction is not None:
                evicted += [self.lives.pop(v.name) for v in turn.eviction.victims]
                self.evictions += [(v.name, turn.name) for v in turn.eviction.victims]
            if turn.kind == act.START and turn.placement is not None:
                self._start(self.waiting.pop(turn.name), turn.placement)
        for life in evicted:
            self.waiting[life.name] = Waiting(life.name, life.need, life.priority, self.now, claim=life.claim)
        return turns

    def _start(self, one: Waiting, where: Placement) -> None:
        lasts = self.lasting.get(one.name)
        goes = None if lasts is None else self.now + lasts
        self.lives[one.name] = Life(
            one.name,
            one.need,
            one.priority,
            where.memory_mib,
            where.uuids,
            self.now,
            goes,
            one.name in self.pinned,
            one.claim,
        )


@some.composite
def crowds(draw: some.DrawFn) -> World:
    world = World(draw(some.integers(1, 3)))
    for index in range(draw(some.integers(1, 6))):
        name = f"p{index}"
        gpus = draw(some.sampled_from(["auto", "auto", "auto", 1, "all"]))
        need = Need(gpus, draw(some.integers(1, 14_000)))
        claim = Claim(0, draw(some.sampled_from([0, 0, 1000, 3000, 5000, 9000])))
        since = NOW - draw(some.integers(0, 99))
        world.waiting[name] = Waiting(name, need, draw(some.integers(0, 3)), since, claim=claim)
        if draw(some.integers(0, 4)) == 0:
            world.pinned.add(name)
    return world


@pytest.mark.case("peers 5.29")
@FEW
@given(crowds(), some.lists(some.integers(0, 200), min_size=20, max_size=20))
def test_in_a_world_that_does_not_change_evictions_come_to_an_end(world: World, steps: list[int]) -> None:
    """Looked at as often as one likes: at most as many evictions as there are pairs, none of them twice, then none."""
    profiles = len(world.waiting)
    for step in steps:
        world.look()
        world.now += step
    assert len(world.evictions) <= profiles * (profiles - 1) / 2
    assert len(set(world.evictions)) == len(world.evictions), "the same two swap again"
    world.now += 1000
    for _ in range(3 * profiles):
        world.look()
        world.now += 1000
    before = len(world.evictions)
    lives = set(world.lives)
    for _ in range(5):
        world.look()
        world.now += 1000
    assert (len(world.evictions), set(world.lives)) == (before, lives)


@pytest.mark.case("peers 5.29")
@FEW
@given(
    crowds(),
    some.lists(
        some.tuples(some.sampled_from(["crash", "stop", "start", "wait"]), some.integers(0, 9)), max_size=40
    ),
)
def test_whatever_comes_and_goes_no_card_holds_more_than_it_has(
    world: World, events: list[tuple[str, int]]
) -> None:
    """`look` itself checks the cards after each event; what was stopped comes back only when it is started."""
    away: dict[str, Waiting] = {}
    for event, number in events:
        world.now += 7 * number
        alive, absent = sorted(world.lives), sorted(away)
        if event in {"crash", "stop"} and alive:
            life = world.lives.pop(alive[number % len(alive)])
            again = Waiting(life.name, life.need, life.priority, world.now, claim=life.claim)
            (world.waiting if event == "crash" else away)[life.name] = again
        elif event == "start" and absent:
            name = absent[number % len(absent)]
            world.waiting[name] = away.pop(name)._replace(since_ts=world.now)
        world.look()
    world.cards()
    for pinned in world.pinned:
        assert pinned not in {victim for victim, _ in world.evictions}


@pytest.mark.parametrize("on", ["cards", "cores"])
@FEW
@given(
    first=some.lists(some.tuples(some.integers(500, 6000), some.integers(10, 300)), min_size=1, max_size=6),
    big=some.integers(2000, 9900),
    stream=some.lists(
        some.tuples(some.integers(100, 4000), some.none() | some.integers(10, 600), some.integers(0, 1)),
        min_size=1,
        max_size=25,
    ),
    cards=some.integers(1, 2),
)
def test_small_ones_that_keep_coming_do_not_starve_a_large_one(
    on: str, first: list[tuple[int, int]], big: int, stream: list[tuple[int, int | None, int]], cards: int
) -> None:
    """What runs when it comes to wait ends in time; whatever comes after it, it starts when that has ended."""
    world = World(cards)

    def asks(name: str, amount: int, priority: int = 0) -> Waiting:
        if on == "cores":
            return Waiting(name, Need("none", 0), priority, world.now, claim=Claim(0, min(amount, 8000)))
        return Waiting(name, Need("auto", amount), priority, world.now)

    for index, (mib, lasts) in enumerate(first):
        name = f"before{index}"
        world.lasting[name] = lasts
        world.waiting[name] = asks(name, mib)
    world.look()
    world.waiting.clear()
    world.waiting["big"] = asks("big", big, 1)
    longest = max((life.goes_at or 0 for life in world.lives.values()), default=world.now)
    for index, (mib, lasts, priority) in enumerate(stream):
        world.now += 10
        name = f"after{index}"
        world.lasting[name] = lasts
        world.waiting[name] = asks(name, mib, priority)
        world.look()
    while world.now < longest:
        world.now += 10
        world.look()
    world.look()
    assert "big" in world.lives


def test_the_law_above_is_not_kept_by_whoever_comes_first() -> None:
    """Were the free room simply given away, the stream would starve the large one: the law says something."""
    world = World(1)
    world.lasting = {"old": 100}
    world.waiting["old"] = Waiting("old", Need("auto", 5000), 0, NOW)
    world.look()
    small = Need("auto", 4000)
    assert isinstance(place(small, world.cards(), HEADROOM), Placement)  # it would fit now
    world.waiting["big"] = Waiting("big", Need("auto", 9000), 0, NOW)
    world.waiting["small"] = Waiting("small", small, 0, NOW + 1)
    (_, turn) = world.look()
    assert (turn.name, turn.kind) == ("small", act.HOLD)
