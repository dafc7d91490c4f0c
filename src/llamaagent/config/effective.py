"""Where each value of a merged profile comes from, for `show --effective`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.config.node import Node

_LAYERS = {"settings": "settings ", "base": "base "}
_OPEN = ("args", "secrets", "labels", "env")  # maps whose names are the user's: one row for each


def values_of(node: Node, document: str) -> list[tuple[str, object, str]]:
    """(dotted key, value, origin) of every value in a complete document, in the order of keys."""
    return [(".".join(path), value, _origin(node, path)) for path, value in _leaves(json.loads(document), ())]


def _leaves(value: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    for key, item in value.items():
        whole = path[:1] == ("secrets",) or not item
        if isinstance(item, dict) and not whole:
            yield from _leaves(item, (*path, key))
        elif not (item == {} and key in _OPEN):
            yield (*path, key), item


def _origin(node: Node, path: tuple[str, ...]) -> str:
    here: Node | None = node
    for key in path:
        here = here.get(key) if here else None
    if here is None or here.mark.layer == "default":
        return "default"
    return f"{_LAYERS.get(here.mark.layer, '')}{here.mark.file}:{here.mark.line}"
