"""Who gives way to whom in llama-swap: priorities and pinned groups are carried over, the rest is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.neighbours.swapkeys import ROUTING
from llamaagent.neighbours.yamlread import is_true, map_of, texts_of, whole_of

if TYPE_CHECKING:
    from llamaagent.config.node import Node
    from llamaagent.neighbours.carried import Taking

_MATRIX = "which models run together is decided by the memory of the cards, then by `priority`"
_HIGHEST = 1_000_000


def priorities_of(routing: Node | None, taking: Taking) -> dict[str, int]:
    """routing.scheduler.settings.fifo.priority; every other key of `routing` but groups is a loss."""
    found = map_of(routing, "routing")
    scheduler = map_of(found.get("scheduler") if found else None, "routing.scheduler")
    settings = map_of(scheduler.get("settings") if scheduler else None, "routing.scheduler.settings")
    fifo = map_of(settings.get("fifo") if settings else None, "routing.scheduler.settings.fifo")
    priority = map_of(fifo.get("priority") if fifo else None, "priority")
    _others(found, "routing", ("scheduler", "router"), taking)
    _others(scheduler, "routing.scheduler", ("settings",), taking)
    _others(settings, "routing.scheduler.settings", ("fifo",), taking)
    _others(fifo, "routing.scheduler.settings.fifo", ("priority",), taking)
    out = {}
    for name, (mark, node) in priority.map.items() if priority else ():
        number = whole_of(node, 0)
        out[name] = max(-_HIGHEST, min(_HIGHEST, number))
        if out[name] != number:
            taking.lose(f"priority.{name}", mark.line, f"{number} was cut to {out[name]}")
    return out


def pinned_of(root: Node, taking: Taking) -> frozenset[str]:
    """Members of persistent groups, wherever groups are defined."""
    routing = root.get("routing")
    router = map_of(routing.get("router") if routing else None, "routing.router")
    settings = map_of(router.get("settings") if router else None, "routing.router.settings")
    _others(router, "routing.router", ("settings",), taking)
    _others(settings, "routing.router.settings", ("groups", "matrix"), taking)
    pinned: frozenset[str] = frozenset()
    for place, node in (("", root), ("routing.router.settings.", settings)):
        if node is None:
            continue
        groups = map_of(node.get("groups"), f"{place}groups")
        for name, (mark, group) in groups.map.items() if groups else ():
            pinned |= _group(f"{place}groups.{name}", mark.line, map_of(group, "a group") or group, taking)
        matrix = node.get("matrix")
        if matrix is not None:
            taking.lose(f"{place}matrix", matrix.mark.line, _MATRIX)
    return pinned


def _group(key: str, line: int, group: Node, taking: Taking) -> frozenset[str]:
    """`persistent` becomes `evict.pinned`; that only one of it runs at a time has no equal."""
    members = frozenset(text for text, _ in texts_of(group.get("members")))
    names = ", ".join(sorted(members)) or "nobody"
    if is_true(group.get("swap"), otherwise=True):
        taking.lose(f"{key}.swap", line, f"of {names} one ran at a time; {_MATRIX}")
    if is_true(group.get("exclusive"), otherwise=True):
        taking.lose(f"{key}.exclusive", line, f"{names} made others end; {_MATRIX}")
    _others(group, key, ("swap", "exclusive", "persistent", "members"), taking)
    return members if is_true(group.get("persistent")) else frozenset()


def _others(node: Node | None, place: str, known: tuple[str, ...], taking: Taking) -> None:
    for key, (mark, _) in node.map.items() if node else ():
        if key not in known:
            whole = f"{place}.{key}"
            taking.lose(
                whole, mark.line, ROUTING.get(whole.removeprefix("routing."), "this key is not known here")
            )
