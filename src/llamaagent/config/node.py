"""YAML values that know where they were written, and the list in which faults are collected."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain.settings import Fault

TYPE_CHECKING = False
if TYPE_CHECKING:
    Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


class Mark(NamedTuple):
    """A place in a file; line and column count from 1. layer: what kind of file it is, for `show`."""

    file: str
    line: int
    column: int
    layer: str = "file"  # site | defaults | base | file


class Node(NamedTuple):
    """A scalar, a list of nodes, or a map from key to (mark of the key, node).

    text is what was written, for numbers; quoted text and all else have None.
    """

    value: bool | int | float | str | list[Node] | dict[str, tuple[Mark, Node]] | None
    mark: Mark
    text: str | None = None

    @property
    def map(self) -> dict[str, tuple[Mark, Node]]:
        """The entries when it is a map, else nothing."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The entries when it is a list, else nothing."""
        return self.value if isinstance(self.value, list) else []

    def get(self, key: str) -> Node | None:
        """The value under a key of a map; None when absent."""
        entry = self.map.get(key)
        return entry[1] if entry else None

    def with_entries(self, entries: dict[str, tuple[Mark, Node]]) -> Node:
        """The same place with other entries."""
        return Node(entries, self.mark)


def mark_at(node: Node | None, otherwise: Mark, *keys: str) -> Mark:
    """Where the value under these keys was written; `otherwise` when it was not."""
    for key in keys:
        node = node.get(key) if node else None
    return node.mark if node else otherwise


class Faults:
    """Collects what is wrong, each place and sentence once, in the order found."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int, int, str], Fault] = {}

    def add(self, mark: Mark, message: str, severity: str = "error", profile: str | None = None) -> None:
        """Note one fault."""
        key = (mark.file, mark.line, mark.column, message)
        self._seen.setdefault(key, Fault(mark.file, mark.line, mark.column, severity, message, profile))

    def extend(self, other: Faults, profile: str | None = None) -> None:
        """Take over another list, naming the profile it belongs to."""
        for key, fault in other._seen.items():
            self._seen.setdefault(key, fault if profile is None else fault._replace(profile=profile))

    @property
    def broken(self) -> bool:
        """True when there is an error, not only warnings."""
        return any(fault.severity == "error" for fault in self._seen.values())

    def all(self) -> tuple[Fault, ...]:
        """Everything noted, by file and place."""
        return tuple(sorted(self._seen.values(), key=lambda fault: fault[:3]))


def plain(node: Node) -> Plain:
    """The bare value, without places; a null in a map stays a null."""
    if isinstance(node.value, dict):
        return {key: plain(item) for key, (_, item) in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


def node_of(value: object, mark: Mark) -> Node:
    """The opposite of `plain`: every part is said to stand at `mark`."""
    if isinstance(value, dict):
        return Node({str(key): (mark, node_of(item, mark)) for key, item in value.items()}, mark)
    if isinstance(value, list | tuple):
        return Node([node_of(item, mark) for item in value], mark)
    if value is None or isinstance(value, bool | int | float | str):
        text = repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        return Node(value, mark, text)
    raise TypeError(f"{type(value).__name__} is no YAML value")


def kind_of(node: Node) -> str:
    """What it is, in words for a message."""
    value = node.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    return repr(node.text or value) if isinstance(value, str) else (node.text or str(value))
