"""YAML that others wrote for their own programs: aliases, merge keys and tags are read, within bounds.

An alias is the same node once more, never a copy, so nothing grows while a file is read; how large it is with all
its aliases written out is counted on the way, and a bomb is refused before anybody walks through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from llamaagent.base.errors import BadInputError
from llamaagent.config.node import Faults, Mark, Node
from llamaagent.config.yamltext import (
    MAX_DEPTH,
    Builder,
    StopReadingError,
    check_text,
    split_documents,
    syntax_fault,
)

if TYPE_CHECKING:
    from llamaagent.domain.settings import Fault

MAX_NODES = 200_000  # aliases written out
_MERGE = "<<"
_TEXT = "tag:yaml.org,2002:str"


def parse_foreign(data: bytes, file: str) -> Node:
    """The first document of a file that holds anything. Raises BadInputError with file, line and column."""
    faults = Faults()
    text = check_text(data, Mark(file, 1, 1), faults)
    node = None
    if text is not None:
        parts = split_documents(text) or [(1, 1, "")]
        begin, line, part = parts[0]
        node = _root(part, Mark(file, line, 1), begin, faults)
        if len(parts) > 1:
            faults.add(
                Mark(file, parts[1][1], 1), "a second document begins here; it must be a file of its own"
            )
    found = faults.all()
    if found:
        raise BadInputError(_sentence(found))
    return node or Node(None, Mark(file, 1, 1))


def text_of_file(data: bytes, file: str) -> str:
    """The text of a file of any kind, without its byte order mark. Raises BadInputError with file, line and column."""
    faults = Faults()
    text = check_text(data, Mark(file, 1, 1), faults)
    if text is None:
        raise BadInputError(_sentence(faults.all()))
    return text


def _sentence(found: tuple[Fault, ...]) -> str:
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{found[0]}{more}"


def _root(text: str, start: Mark, begin: int, faults: Faults) -> Node | None:
    try:
        return _Foreign(start, begin, faults).build(text)
    except yaml.MarkedYAMLError as error:
        faults.add(*syntax_fault(error, text, start, begin))
    except yaml.YAMLError as error:
        faults.add(start, f"not valid YAML: {error}")
    except StopReadingError:
        pass  # noted where it was raised
    return None


class _Foreign(Builder):
    """The builder of our own files, with what YAML allows beyond them."""

    def __init__(self, start: Mark, begin: int, faults: Faults) -> None:
        super().__init__(start, begin, faults)
        self.anchors: dict[str, Node] = {}
        self.named: list[str | None] = []  # the anchor of each open collection
        self.extent: dict[
            int, tuple[Node, int, int]
        ] = {}  # id -> (node, values in it, depth), aliases written out
        self.last = Node(None, start)

    def _node(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            node = self.anchors.get(str(event.anchor))
            if node is None:
                self._fail(self._mark(event), f"*{event.anchor} names no value that is complete before it")
            else:
                self._close(node)
        elif isinstance(event, yaml.ScalarEvent):
            if "\0" in event.value:
                self._fail(self._mark(event), "a NUL character cannot stand in a value")
            event.implicit = (event.tag != _TEXT, event.implicit[1])
            event.tag = None
            super()._node(event)
            if event.anchor:
                self.anchors[event.anchor] = self.last
        else:
            event.tag = None
            self.named.append(event.anchor)
            super()._node(event)

    def _close(self, node: Node) -> None:
        """Put a finished node, or one that an alias names, where it belongs."""
        if isinstance(node.value, dict | list) and id(node) not in self.extent:
            node = self._finished(node)
        self.last = node
        super()._close(node)

    def _finished(self, node: Node) -> Node:
        """Fold merge keys in, measure, and remember what the anchor names."""
        anchor = self.named.pop()
        if _MERGE in node.map:
            node = self._merged(node)
        parts = [entry[1] for entry in node.map.values()] or node.items
        known = [self.extent.get(id(part), (part, 1, 0)) for part in parts]
        size = 1 + sum(entry[1] for entry in known)
        depth = 1 + max((entry[2] for entry in known), default=0)
        if size > MAX_NODES or depth > 2 * MAX_DEPTH:
            self._fail(node.mark, "with its aliases written out this is too large or nested too deeply")
        self.extent[id(node)] = (node, size, depth)
        if anchor:
            self.anchors[anchor] = node
        return node

    def _merged(self, node: Node) -> Node:
        """What `<<` names lies under the map's own keys; of several, the first wins."""
        entries = dict(node.map)
        mark, source = entries.pop(_MERGE)
        for below in source.items or [source]:
            if not isinstance(below.value, dict):
                self.faults.add(mark, "'<<' must name a mapping, or a list of them")
            for key, entry in below.map.items():
                entries.setdefault(key, entry)
        return node.with_entries(entries)
