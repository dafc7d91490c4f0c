"""Laying one document over another: maps merge, everything else replaces, null removes.

Before that each document is widened: short forms become long ones and llama-server's options get their one
name, so that `listen: 8101` keeps an inherited address and `c: 8192` replaces an inherited `ctx-size`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.base.units import UnitError, parse_size
from llamaagent.config.args import rename
from llamaagent.config.node import Faults, Mark, Node

if TYPE_CHECKING:
    from llamaagent.config.catalogue import Catalogue

_REPLACED_WHOLE = (
    "model",
    "secrets.*",
)  # alternatives, of which one is chosen: never a mixture of two files'


def merge(under: Node, over: Node, path: str = "") -> Node:
    """`over` laid upon `under`. Nulls stay, as something that removes; see `without_nulls`."""
    if not isinstance(under.value, dict) or not isinstance(over.value, dict) or path in _REPLACED_WHOLE:
        return over
    entries = dict(under.map)
    for key, (mark, node) in over.map.items():
        below = entries.get(key)
        inner = "secrets.*" if path in {"secrets", "catalog.tokens"} else f"{path}.{key}".lstrip(".")
        entries[key] = (mark, node if below is None else merge(below[1], node, inner))
    return over.with_entries(entries)


def without_nulls(node: Node) -> Node:
    """What is left when every null in a map has removed its key."""
    if isinstance(node.value, dict):
        return node.with_entries(
            {
                key: (mark, without_nulls(item))
                for key, (mark, item) in node.map.items()
                if item.value is not None
            }
        )
    if isinstance(node.value, list):
        return Node([without_nulls(item) for item in node.items], node.mark)
    return node


def widen(node: Node, catalogue: Catalogue, faults: Faults) -> Node:
    """Short forms of a profile (or of `defaults`) to long ones; what fits no form stays as it is."""
    entries = dict(node.map)
    for key, widener in _WIDENERS.items():
        if key in entries:
            mark, value = entries[key]
            entries[key] = (mark, widener(value))
    if "args" in entries:
        mark, value = entries["args"]
        entries["args"] = (mark, _widen_args(value, catalogue, faults))
    return node.with_entries(entries)


def _one(key: str, node: Node) -> Node:
    return Node({key: (node.mark, node)}, node.mark)


def _widen_model(node: Node) -> Node:
    if not isinstance(node.value, str):
        return node
    return _one("url" if node.value.startswith(("http://", "https://")) else "path", node)


def _widen_listen(node: Node) -> Node:
    text = node.text or node.value
    if not isinstance(text, str):
        return node
    host, colon, port = text.rpartition(":")
    number = _number(port, node.mark)
    if not colon or number is None or (":" in host and not host.startswith("[")):
        return _one("port", node) if text == "auto" or _number(text, node.mark) else node
    entries = {"port": (node.mark, number)}
    if host:
        entries["host"] = (node.mark, Node(host.strip("[]"), node.mark))
    return Node(entries, node.mark)


def _number(text: str, mark: Mark) -> Node | None:
    if text == "auto":
        return Node(text, mark)
    return Node(int(text), mark, text) if text.isascii() and text.isdecimal() and len(text) < 8 else None


def _widen_schedule(node: Node) -> Node:
    if isinstance(node.value, str):
        return _one("windows", Node([node], node.mark))
    if isinstance(node.value, list):
        return _one("windows", node)
    windows = node.get("windows")
    if windows is not None and isinstance(windows.value, str):
        entries = dict(node.map)
        entries["windows"] = (entries["windows"][0], Node([windows], windows.mark))
        return node.with_entries(entries)
    return node


def _widen_resources(node: Node) -> Node:
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        return _one("gpus", node)
    if not isinstance(node.value, str):
        return node
    if node.value in {"auto", "all", "none"}:
        return _one("gpus", node)
    try:
        parse_size(node.value)
    except UnitError:
        return node
    return _one("gpu_memory", node)


def _widen_restart(node: Node) -> Node:
    return _one("policy", node) if isinstance(node.value, str) else node


def _widen_hosts(node: Node) -> Node:
    return Node([node], node.mark) if isinstance(node.value, str) else node


_WIDENERS = {
    "model": _widen_model,
    "listen": _widen_listen,
    "schedule": _widen_schedule,
    "resources": _widen_resources,
    "restart": _widen_restart,
    "hosts": _widen_hosts,
}


def _widen_args(node: Node, catalogue: Catalogue, faults: Faults) -> Node:
    """Keys by their one name; an unknown one stays, and is reported when the whole is checked."""
    if not isinstance(node.value, dict):
        return node
    entries: dict[str, tuple[Mark, Node]] = {}
    spelled: dict[str, str] = {}
    for key, (mark, item) in node.map.items():
        try:
            name, value = rename(key, item.value, catalogue)
        except KeyError:
            name, value = key, item.value
        if name in entries:
            faults.add(mark, f"{spelled[name]!r} and {key!r} are the same option")
            continue
        spelled[name] = key
        entries[name] = (mark, item if value is item.value else item._replace(value=value))  # type: ignore[arg-type]
    return node.with_entries(entries)
