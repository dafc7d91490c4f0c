"""The figures of decisions, added up: what a refusal says is free, promised, needed and held has to make sense.

`check` looks at one decision; the fixtures of sites look at all that a test has left in the journal.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Figures = dict[str, object]
_SUMS = (  # total, and what is taken off it
    ("memory_room_mib", "memory_available_mib", ("memory_claimed_unused_mib", "headroom_mib")),
    ("cpu_room_milli", "cpu_total_milli", ("cpu_claimed_milli",)),
    ("disk_room_mib", "disk_free_mib", ("headroom_mib",)),
)
_REFUSED = {  # reason -> what is needed, and the room for it
    "memory": ("needed_mib", "memory_room_mib"),
    "cpu": ("needed_cpu_milli", "cpu_room_milli"),
}


def check(reason: str, figures: Figures) -> None:
    """Raise AssertionError where the figures of a decision do not add up."""

    def number(name: str) -> int:
        return int(str(figures[name]))

    for room, total, less in _SUMS:
        if total in figures:
            assert number(room) == number(total) - sum(number(name) for name in less), (room, figures)
    for card in {found[1] for name in figures if (found := re.fullmatch(r"(gpu\d+)_free_mib", name))}:
        less = number(f"{card}_reserved_unused_mib") + number("headroom_mib")
        assert number(f"{card}_room_mib") == number(f"{card}_free_mib") - less, (card, figures)
    for name in figures:
        then = re.fullmatch(r"(.+)_room_then_(mib|milli)", name)
        if then is not None:
            freed = re.compile(rf"{then[1]}_freed_by_.+_{then[2]}")
            back = sum(number(other) for other in figures if freed.fullmatch(other))
            assert number(name) == number(f"{then[1]}_room_{then[2]}") + back, (name, figures)
        used = re.fullmatch(r"(.+)_used_by(_\w+)?", name)
        if used is not None:
            shown = [int(amount) for amount in re.findall(r": (\d+)(?:;|$)", str(figures[name]))]
            assert sum(shown) == number(f"{used[1]}_used{used[2] or ''}"), (name, figures)
        claimed = re.fullmatch(r"(memory|cpu)_claimed_by", name)
        if claimed is not None:
            total = "memory_claimed_unused_mib" if claimed[1] == "memory" else "cpu_claimed_milli"
            amounts = [
                int(amount) for amount in re.findall(r" (\d+) (?:MiB|milli)(?:;|$)", str(figures[name]))
            ]
            assert sum(amounts) == number(total), (name, figures)
    _check_refusal(reason, figures)


def _check_refusal(reason: str, figures: Figures) -> None:
    """What is refused for want of room is larger than the room that it was asked for."""
    needed, room = _REFUSED.get(reason, ("", ""))
    if needed in figures and room in figures:
        assert int(str(figures[needed])) > int(str(figures[room])), figures
    if reason == "quota":
        limits = {name: figures[name] for name in figures if re.search(r"_limit(_\w+)?$", name)}
        for name, limit in limits.items():
            used = int(str(figures[name.replace("_limit", "_used")]))
            asked = int(str(figures.get(name.replace("_limit", "_asked"), 0)))
            windowed = any(other.endswith("_window_s") for other in figures)
            assert (
                limit is None or used + asked > int(str(limit)) or (windowed and used >= int(str(limit)))
            ), figures


def check_journal(rows: Iterable[Mapping[str, object]]) -> int:
    """Check every decision; gives how many refusals there were. rows: of `decisions`."""
    refusals = 0
    for row in rows:
        figures = json.loads(str(row["arithmetic"])) if row["arithmetic"] is not None else {}
        check(str(row["reason"]) if row["action"] in {"hold", "wait"} else "", figures)
        refusals += row["action"] == "hold"
    return refusals
