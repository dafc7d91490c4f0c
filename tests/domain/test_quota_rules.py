"""What a limit allows, and that a refusal's figures add up."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as some

from llamaagent.domain.quota import (
    RESOURCES,
    WINDOWED,
    Excess,
    Limit,
    Use,
    declared_limits,
    exceeded,
    figures,
    in_force,
    limit_text,
    sentence,
    used,
)
from llamaagent.domain.settings import ProjectLimits

COUNTED = tuple(name for name in RESOURCES if name not in WINDOWED and name != "max_priority")
amounts = some.integers(min_value=0, max_value=20)
launches = some.lists(some.fixed_dictionaries(dict.fromkeys(COUNTED, amounts)), max_size=12)


@given(some.dictionaries(some.sampled_from(COUNTED), amounts), launches)
def test_what_is_admitted_one_by_one_never_exceeds_a_limit(
    limits: dict[str, int], asked: list[dict[str, int]]
) -> None:
    stated = tuple(Limit("p", name, amount) for name, amount in limits.items())
    running: dict[str, tuple[Use, ...]] = {}
    for number, asks in enumerate(asked):
        excess = exceeded(stated, running, asks)
        if not excess:
            for name, amount in asks.items():
                running[name] = (*running.get(name, ()), Use(f"launch{number}", amount))
        for one in excess:
            assert (
                asks[one.limit.resource] + used(running.get(one.limit.resource, ()))
                > limits[one.limit.resource]
            )
        for name, limit in limits.items():
            assert used(running.get(name, ())) <= limit


@given(
    some.sampled_from((*COUNTED, *sorted(WINDOWED))),
    amounts,
    some.lists(some.tuples(some.sampled_from("abcdef"), amounts), max_size=6, unique_by=lambda use: use[0]),
    amounts,
)
def test_the_figures_of_a_refusal_add_up(
    resource: str, limit: int, uses: list[tuple[str, int]], asked: int
) -> None:
    by = {resource: tuple(Use(who, amount) for who, amount in uses)}
    window = 3600 if resource in WINDOWED else None
    for one in exceeded((Limit("p", resource, limit, window),), by, {resource: asked}):
        found = {figure.name: figure.value for figure in figures(one)}
        (total,) = [
            value for name, value in found.items() if name.startswith(f"{resource}_used") and "by" not in name
        ]
        (told,) = [str(value) for name, value in found.items() if name.startswith(f"{resource}_used_by")]
        assert sum(map(int, re.findall(r": (\d+)", told))) == total == sum(amount for _, amount in uses)
        assert sentence(one).startswith("project p: ")


def test_what_is_used_up_over_a_window_holds_what_asks_for_any_of_it() -> None:
    limit = (Limit("p", "gpu_hours", 3600, 86400),)
    assert exceeded(limit, {"gpu_hours": (Use("a", 3599),)}, {"gpu_hours": 0}) == ()
    assert exceeded(limit, {"gpu_hours": (Use("a", 3600),)}, {"gpu_hours": 0})
    assert exceeded(limit, {"gpu_hours": (Use("a", 3600),)}, {"instances": 1}) == ()  # takes no card


def test_a_limit_below_the_use_hinders_only_what_asks_for_more() -> None:
    limit = (Limit("p", "memory", 10),)
    assert exceeded(limit, {"memory": (Use("a", 20),)}, {"memory": 0}) == ()
    assert exceeded(limit, {"memory": (Use("a", 20),)}, {"memory": 1})


def test_an_override_is_stronger_until_its_time_is_up() -> None:
    declared = (Limit("p", "gpus", 2), Limit("p", "cpus", 1000))
    more = Limit("p", "gpus", 4, None, "override", until_ts=100)
    free = Limit("p", "cpus", None, None, "override")
    assert [limit.amount for limit in in_force(declared, (more, free), 99)] == [4]
    assert [limit.amount for limit in in_force(declared, (more, free), 100)] == [2]


def test_the_settings_limits_become_those_of_the_table() -> None:
    project = ProjectLimits("p", 5, 1.5, 2048, 2, (100.0, 604800), (5_000_000, 86400), (2.5, 3600), 10)
    assert [limit_text(limit) for limit in declared_limits(project)] == [
        "5",
        "1.5",
        "2GiB",
        "2",
        "100/week",
        "5M/day",
        "2.5/hour",
        "10",
    ]
    assert declared_limits(ProjectLimits("p")) == ()


def test_the_sentence_says_limit_use_users_and_what_is_asked() -> None:
    uses = (Use("alpha", 60 * 3600), Use("beta", 40 * 3600))
    assert sentence(Excess(Limit("p", "gpu_hours", 360_000, 604_800), uses, 0)) == (
        "project p: 100 of 100 GPU-hours per week are used (alpha 60, beta 40)"
    )
    limit = Limit("p", "memory", 8192, None, "override", username="ann")
    assert sentence(Excess(limit, (Use("a", 6144),), 3072)) == (
        "project p: 6GiB of 8GiB of memory are used (a 6GiB), and this asks for 3GiB more; limit set by ann"
    )
