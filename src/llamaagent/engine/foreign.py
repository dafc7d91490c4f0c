"""Containers that nobody here started: named where they hold a card, and never touched."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.engine import container as label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.engine.client import Engine


class ForeignContainer(NamedTuple):
    """A running container of others. gpus: uuids or indexes that it was given, `all`."""

    id: str
    name: str
    image: str
    gpus: tuple[str, ...]


def foreign_containers(engine: Engine, site_id: str) -> tuple[ForeignContainer, ...]:
    """Those that run and are not of this site. Raises EngineError."""
    made = []
    for one in engine.listed():
        labels = one.get("Labels") or {}
        if labels.get(label.SITE) == site_id or str(one.get("State")).lower() not in {"running", "paused"}:
            continue
        found = engine.inspect(str(one.get("Id")))
        if found is not None and found.alive:
            made.append(ForeignContainer(found.id, found.name, found.image, found.gpus))
    return tuple(sorted(made, key=lambda one: one.name))
