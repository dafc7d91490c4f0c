"""Which events are marked on a chart: those that can be told apart. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.report.charts import Event

_MANY_EVENTS = 24
_ORDINARY = frozenset({"start", "end"})
_PLACES = 120  # marks of one kind that can stand beside each other


def thin_events(events: Sequence[Event], span: tuple[int, int]) -> tuple[Event, ...]:
    """Leave the marks that can be told apart: of very many not the ordinary ones, and none twice in the same place."""
    if len(events) <= _MANY_EVENTS:
        return tuple(events)
    found: list[Event] = []
    last: dict[str, int] = {}
    for event in events:
        apart = event.ts - last.get(event.kind, 0) > (span[1] - span[0]) / _PLACES
        if event.kind not in _ORDINARY and apart:
            found.append(event)
            last[event.kind] = event.ts
    return tuple(found)
