"""Values of a neighbour's YAML: numbers as written, text for whatever stands there, with the place for a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llamaagent.base.errors import BadInputError
from llamaagent.config.node import kind_of

if TYPE_CHECKING:
    from llamaagent.config.node import Node

_TRUE = frozenset({"true", "yes", "on", "y"})


def text_of(node: Node | None) -> str | None:
    """A scalar as text, as it was written; None for nothing, a list or a mapping."""
    if node is None or isinstance(node.value, list | dict) or node.value is None:
        return None
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    return node.text or str(node.value)


def whole_of(node: Node | None, otherwise: int) -> int:
    """A whole number, also one in quotes. Raises BadInputError with the place."""
    text = text_of(node)
    if node is None or text is None:
        return otherwise
    try:
        return int(text)
    except ValueError:
        raise refused(node, f"a whole number is needed here, not {kind_of(node)}") from None


def is_true(node: Node | None, *, otherwise: bool = False) -> bool:
    """A switch in any spelling of YAML 1.1, which these programs still read."""
    text = text_of(node)
    return otherwise if text is None else text.lower() in _TRUE


def map_of(node: Node | None, what: str) -> Node | None:
    """A mapping; None for nothing. Raises BadInputError for anything else."""
    if node is None or node.value is None:
        return None
    if not isinstance(node.value, dict):
        raise refused(node, f"{what} must be a mapping, not {kind_of(node)}")
    return node


def texts_of(node: Node | None) -> list[tuple[str, int]]:
    """The scalars of a list (or a single one) with their lines."""
    if node is None:
        return []
    nodes = node.items if isinstance(node.value, list) else [node]
    return [(text, item.mark.line) for item in nodes if (text := text_of(item)) is not None]


def refused(node: Node, message: str) -> BadInputError:
    """The error for a file that its own program would refuse too."""
    mark = node.mark
    shown = "".join(c if c.isprintable() else " " for c in message)
    return BadInputError(f"{mark.file}:{mark.line}:{mark.column}: error: {shown}")
