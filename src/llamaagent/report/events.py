"""Whose events are marked where: a profile's on its page, those of a card on the card's, all on the others. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from llamaagent.base.record import NamedTuple
from llamaagent.report.charts import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class EventRow(NamedTuple):
    """What happened to a profile. gpus: JSON array of the cards of its launch."""

    ts: int
    kind: str
    label: str
    profile: str
    gpus: str | None


class Events:
    """What happened in one window."""

    def __init__(self, found: Sequence[EventRow]) -> None:
        self._found = found

    def of_profile(self, profile: str) -> tuple[Event, ...]:
        """Of one profile, whose name its page need not repeat."""
        return tuple(Event(row.ts, row.kind, row.label) for row in self._found if row.profile == profile)

    def of_card(self, uuid: str) -> tuple[Event, ...]:
        """Of the launches that held a card."""
        return _named(row for row in self._found if row.gpus and uuid in json.loads(row.gpus))

    def of_all(self, profiles: frozenset[str] | None = None) -> tuple[Event, ...]:
        """Of every profile, or of these."""
        return _named(row for row in self._found if profiles is None or row.profile in profiles)


def _named(found: Iterable[EventRow]) -> tuple[Event, ...]:
    return tuple(Event(row.ts, row.kind, f"{row.profile} {row.label}") for row in found)
