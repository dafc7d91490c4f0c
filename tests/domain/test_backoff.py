"""Waits between tries: they double, keep their bounds, and are the same whoever computes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from llamaagent.domain.backoff import delay_s, gives_up, longest_s, restarts_before
from llamaagent.domain.profile import Restart


@pytest.mark.parametrize(
    ("failures", "plain"), [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 300), (99, 300)]
)
def test_the_wait_doubles_up_to_the_longest(failures: int, plain: int) -> None:
    """facts, part 5 (kubelet): 10, 20, 40, 80, 160, 300 seconds, a tenth more or less."""
    for seed in ("a", "b", "c"):
        assert 0.9 * plain - 1 <= delay_s(Restart(), failures, seed) <= 1.1 * plain + 1


@given(some.integers(0, 10_000), some.integers(0, 10_000), some.integers(1, 10_000), some.text(max_size=20))
def test_a_wait_has_bounds_and_is_the_same_each_time(
    backoff: int, most: int, failures: int, seed: str
) -> None:
    rule = Restart(backoff_s=backoff, max_backoff_s=most)
    wait = delay_s(rule, failures, seed)
    assert wait == delay_s(rule, failures, seed)
    assert 0 <= wait <= longest_s(rule)


def test_what_ended_together_does_not_come_back_together() -> None:
    assert len({delay_s(Restart(), 6, f"launch{number}") for number in range(20)}) > 10


def test_a_long_healthy_life_starts_the_count_anew() -> None:
    assert restarts_before(7, 599, 600) == 7
    assert restarts_before(7, 600, 600) == 0


def test_giving_up_can_be_switched_off() -> None:
    assert gives_up(Restart(give_up_failures=5), 5)
    assert not gives_up(Restart(give_up_failures=5), 4)
    assert not gives_up(Restart(give_up_failures=None), 1000)
