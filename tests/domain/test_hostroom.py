"""The machine's memory and cores: what fits is let in, and the figures of what does not add up."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as some

from llamaagent.domain.hostroom import MachineMemory, cpu_refusal, memory_refusal

MODEST = settings(max_examples=200, deadline=None)
SIZES = some.integers(0, 100_000)


@MODEST
@given(
    SIZES,
    some.none() | SIZES,
    SIZES,
    SIZES,
    some.lists(some.tuples(some.just("a"), SIZES, SIZES), max_size=5),
)
def test_the_figures_of_memory_add_up(
    declared: int, measured: int | None, available: int, headroom: int, claims: list[tuple[str, int, int]]
) -> None:
    unused = sum(max(0, claimed - has) for _, claimed, has in claims)
    needed = max(declared, measured or 0)
    answer = memory_refusal(declared, measured, MachineMemory(100_000, available, headroom), claims)
    assert (answer is None) == (needed <= available - unused - headroom)
    if answer is not None:
        figures = {figure.name: figure.value for figure in answer[2]}
        assert answer[0] == "memory"
        assert figures["needed_mib"] == max(declared, int(str(figures.get("measured_mib", 0))))
        assert figures["memory_room_mib"] == available - unused - headroom
        parts = [
            figures[name] for name in ("memory_available_mib", "memory_claimed_unused_mib", "headroom_mib")
        ]
        assert parts == [available, unused, headroom]


@MODEST
@given(SIZES, SIZES, some.lists(some.tuples(some.just("a"), SIZES), max_size=5))
def test_the_figures_of_cores_add_up(needed: int, total: int, claims: list[tuple[str, int]]) -> None:
    claimed = sum(milli for _, milli in claims)
    answer = cpu_refusal(needed, total, claims)
    assert (answer is None) == (needed <= total - claimed)
    if answer is not None:
        figures = {figure.name: figure.value for figure in answer[2]}
        assert answer[0] == "cpu"
        assert figures["cpu_room_milli"] == int(str(figures["cpu_total_milli"])) - int(
            str(figures["cpu_claimed_milli"])
        )
        assert (figures["cpu_total_milli"], figures["needed_cpu_milli"]) == (total, needed)
