"""Requests before and after, compared size by size."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as some

from llamaagent.domain.comparing import by_size, compare

speeds = some.floats(1, 1000)
sides = some.dictionaries(
    some.tuples(some.integers(0, 3), some.integers(0, 3)),
    some.lists(speeds, min_size=1, max_size=6),
    max_size=5,
)


@given(sides)
def test_a_side_compared_with_itself_has_not_changed(side: dict[tuple[int, int], list[float]]) -> None:
    found = compare(side, side)

    assert found.before == found.after
    assert found.left_out == 0
    assert found.change in ({0.0} if side else {None})


@given(sides, some.integers(2, 5))
def test_more_of_the_same_requests_is_no_change(side: dict[tuple[int, int], list[float]], times: int) -> None:
    """Ten times as many short requests, at the speed that short requests always had."""
    more = {size: values * (times if place == 0 else 1) for place, (size, values) in enumerate(side.items())}

    change = compare(side, more).change
    assert change == pytest.approx(0.0) if side else change is None


@given(some.lists(speeds, min_size=1, max_size=30))
def test_one_size_alone_has_the_plain_median(values: list[float]) -> None:
    found = compare({(1, 1): values}, {(1, 1): [x * 2 for x in values]})

    assert found.before.median == pytest.approx(statistics.median(values))
    assert found.change == pytest.approx(1.0)
    assert found.before.n == len(values)


def test_sizes_that_one_side_lacks_are_left_out_and_told() -> None:
    found = compare({(1, 1): [10.0, 20.0], (5, 5): [1.0] * 4}, {(1, 1): [20.0, 40.0]})

    assert (found.before.n, found.after.n, found.left_out, found.mix_differs) == (2, 2, 4, True)
    assert found.change == pytest.approx(1.0)
    nothing = compare({}, {(1, 1): [1.0]})
    assert (nothing.change, nothing.before.median, nothing.mix_differs) == (None, None, True)


def test_unknown_speeds_count_for_nothing() -> None:
    assert by_size([((1, 1), None), ((1, 1), 0.0), ((1, 1), 2.0)]) == {(1, 1): [2.0]}
