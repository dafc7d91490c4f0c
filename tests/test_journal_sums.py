"""The adder of the journal's figures notices a figure that is wrong."""

from __future__ import annotations

import pytest

from journal_sums import check

CARD = {"needed_mib": 900, "headroom_mib": 100, "gpu0_free_mib": 1000, "gpu0_reserved_unused_mib": 200}
GOOD = [
    ("gpu-memory", {**CARD, "gpu0_room_mib": 700}),
    ("evicted", {"gpu0_room_mib": 700, "gpu0_freed_by_a_mib": 300, "gpu0_room_then_mib": 1000}),
    ("memory", {"needed_mib": 500, "memory_available_mib": 900, "memory_claimed_unused_mib": 400, "headroom_mib": 100}
     | {"memory_room_mib": 400, "memory_claimed_by": "a 150 MiB; b 250 MiB"}),
    ("cpu", {"needed_cpu_milli": 1500, "cpu_total_milli": 2000, "cpu_claimed_milli": 1000, "cpu_room_milli": 1000}
     | {"cpu_claimed_by": "a 1000 milli"}),
    ("disk", {"disk_free_mib": 10, "headroom_mib": 30, "disk_room_mib": -20}),
    ("quota", {"instances_limit": 2, "instances_used": 2, "instances_asked": 1, "instances_used_by": "a: 1; b: 1"}),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "figures"), GOOD)
def test_figures_that_add_up_are_let_through_and_each_wrong_one_is_not(
    reason: str, figures: dict[str, object]
) -> None:
    check(reason, figures)
    for name, value in figures.items():
        if isinstance(value, int) and name not in {"needed_mib", "needed_cpu_milli", "instances_asked"}:
            with pytest.raises(AssertionError):
                check(
                    reason,
                    figures | {name: value + 2000 if name.endswith(("limit", "room_mib")) else value - 1},
                )
