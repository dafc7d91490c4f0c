"""Time and energy of cards, divided among those who held them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from llamaagent.domain.cardtime import LONGEST_S, Power, Span, card_seconds, energy

spans = some.lists(
    some.builds(
        Span,
        project=some.sampled_from("pq"),
        holder=some.sampled_from("abc"),
        gpu_id=some.integers(1, 3),
        begin=some.integers(0, 50),
        end=some.integers(0, 50),
        memory_mib=some.none() | some.integers(1, 100),
    ),
    max_size=10,
)


@given(spans)
def test_the_parts_are_the_time_in_which_the_cards_were_held(held: list[Span]) -> None:
    seconds = {(span.gpu_id, t) for span in held for t in range(span.begin, span.end)}
    assert sum(card_seconds(held).values()) == len(seconds)


@given(spans)
def test_nobody_gets_more_than_the_time_of_their_own_spans(held: list[Span]) -> None:
    for holder, amount in card_seconds(held).items():
        assert 0 <= amount <= sum(max(0, s.end - s.begin) for s in held if s.holder == holder)


def test_a_card_that_two_share_counts_once_half_for_each() -> None:
    held = [Span("p", "a", 1, 0, 100), Span("p", "b", 1, 50, 150), Span("p", "b", 2, 0, 10)]
    assert card_seconds(held) == {"a": 75, "b": 85}


@given(
    spans,
    some.lists(some.tuples(some.integers(0, 50), some.integers(1, 3), some.integers(0, 10**9)), max_size=8),
)
def test_projects_together_draw_no_more_than_the_cards_do(
    held: list[Span], read: list[tuple[int, int, int]]
) -> None:
    readings = [Power(ts, card, mw, 60, 100) for ts, card, mw in sorted(read)]
    drawn = sum(sum(energy(project, readings, held).by_holder.values()) for project in "pq")
    assert drawn * 3_600_000 <= sum(mw * 60 for _, _, mw in read)


def test_energy_goes_by_what_is_reserved_of_the_card() -> None:
    held = [Span("p", "a", 1, 0, 9999, 300), Span("q", "b", 1, 0, 9999, 100)]
    reading = [Power(3600, 1, 4_800_000, 600, 1000)]  # 4.8 kW over ten minutes
    assert energy("p", reading, held).by_holder == {"a": 600}
    assert energy("q", reading, held).by_holder == {"b": 200}
    whole = [Span("p", "a", 1, 0, 9999), Span("q", "b", 1, 0, 9999, 1000)]
    assert energy("p", reading, whole).by_holder == {"a": 400}


def test_power_that_is_not_known_counts_nothing_and_is_told() -> None:
    held = [Span("p", "a", 1, 0, 1000, 300)]
    readings = [
        Power(100, 1, None, 60, 1000),
        Power(200, 1, 3_600_000, None, 1000),
        Power(2000, 1, None, 60, 1000),
    ]
    found = energy("p", readings, held)
    assert (sum(found.by_holder.values()), found.unmeasured_s) == (
        0,
        60,
    )  # after a reboot, and when nobody held it


def test_one_reading_stands_for_ten_minutes_at_most() -> None:
    held = [Span("p", "a", 1, 0, 99999, 300)]
    found = energy("p", [Power(90000, 1, 3_600_000, 86400, 1000)], held)
    assert found.by_holder == {"a": LONGEST_S}
