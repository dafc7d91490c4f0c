"""YAML text to nodes, taking less than YAML allows: no aliases, no tags, no duplicate keys, bounded nesting.

Built from PyYAML's events with a stack of our own, so hostile nesting cannot exhaust Python's, and plain
scalars are read by the rules of YAML 1.2 (`no`, `on` and `1:30` are text, `017` is 17, `1e3` is a number).
Each document of a file is parsed by itself: a broken one hides no other.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import yaml

from llamaagent.config.node import Faults, Mark, Node

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_DOCUMENTS = 1000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML was built with it
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class Document(NamedTuple):
    """One YAML document. node is None when it could not be parsed; text is its own part of the file.

    broken: something in it means nothing (a key given twice), so that what is left of it is only good for being
    checked further.
    """

    node: Node | None
    line: int
    text: str
    broken: bool = False


def parse_documents(data: bytes, file: str, faults: Faults, layer: str = "file") -> list[Document]:
    """All documents of a file that hold anything; what is wrong goes to `faults`."""
    start = Mark(file, 1, 1, layer)
    text = check_text(data, start, faults)
    if text is None:
        return []
    parts = split_documents(text)
    if len(parts) > MAX_DOCUMENTS:
        faults.add(start, f"more than {MAX_DOCUMENTS} documents in one file")
        return []
    return [_parse(part, start._replace(line=line), begin, faults) for begin, line, part in parts]


def check_text(data: bytes, start: Mark, faults: Faults) -> str | None:
    """The text of a file without its byte order mark; None when it is too large, not UTF-8, or holds controls."""
    if len(data) > MAX_BYTES:
        faults.add(start, f"the file is larger than {MAX_BYTES // 1_000_000} MB")
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        faults.add(start._replace(line=line), "the file is not UTF-8 text")
        return None
    bad = _CONTROL.search(text)
    if bad:
        line = text.count("\n", 0, bad.start()) + 1
        column = bad.start() - (text.rfind("\n", 0, bad.start()) + 1) + 1
        faults.add(start._replace(line=line, column=column), f"control character {bad.group()!r} in the file")
        return None
    return text


def split_documents(text: str) -> list[tuple[int, int, str]]:
    """(line where its part begins, its first line, text) of each document that holds more than comments.

    A line `---` begins a document; YAML allows none inside a value.
    """
    parts: list[tuple[int, list[str]]] = [(1, [])]
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        begins = line.rstrip() == "---" or line.startswith(("--- ", "---\t"))
        if begins and any(not _is_prologue(earlier) for earlier in parts[-1][1]):
            parts.append((number, []))
        parts[-1][1].append(line)
    return [
        (begin, _first_content(begin, lines), "".join(lines))
        for begin, lines in parts
        if any(not _is_prologue(line) and line.rstrip() not in {"---", "..."} for line in lines)
    ]


def _is_prologue(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#") or line.startswith("%")


def _first_content(begin: int, lines: list[str]) -> int:
    for offset, line in enumerate(lines):
        if not _is_prologue(line) and line.rstrip() != "---":
            return begin + offset
    return begin


def _parse(text: str, start: Mark, begin: int, faults: Faults) -> Document:
    found = Faults()
    try:
        node = Builder(start, begin, found).build(text)
    except yaml.MarkedYAMLError as error:
        node = None
        found.add(*syntax_fault(error, text, start, begin))
    except yaml.YAMLError as error:
        node = None
        found.add(start, f"not valid YAML: {error}")
    except StopReadingError:
        node = None
    faults.extend(found)
    return Document(node, start.line, text, found.broken)


def syntax_fault(error: yaml.MarkedYAMLError, text: str, start: Mark, begin: int) -> tuple[Mark, str]:
    """The place and the sentence for what is no YAML."""
    where = error.problem_mark or error.context_mark
    if where is None:
        return start, f"not valid YAML: {error.problem}"
    mark = Mark(start.file, where.line + begin, where.column + 1, start.layer)
    lines = text.split("\n")
    at = lines[where.line][where.column : where.column + 1] if where.line < len(lines) else ""
    if at == "\t":
        return mark, "a tab cannot indent YAML; use spaces"
    if "nesting" in (
        error.problem or ""
    ):  # libyaml reads ahead, and has a limit of its own that it may meet first
        return mark, f"nested more than {MAX_DEPTH} levels deep"
    context = f" ({error.context})" if error.context else ""
    return mark, f"not valid YAML: {error.problem}{context}"


class StopReadingError(Exception):
    """The rest of the document cannot be read in any useful way; the fault is noted."""


class _Open(NamedTuple):
    """A collection that is being filled; keys is None for a list."""

    node: Node
    keys: list[tuple[str, Mark] | None] | None  # the key that waits for its value, at most one


class Builder:
    """Makes one tree from one document's events."""

    def __init__(self, start: Mark, begin: int, faults: Faults) -> None:
        self.start = start
        self.begin = begin
        self.faults = faults
        self.stack: list[_Open] = []
        self.root: Node | None = None
        self.aliased = False

    def build(self, text: str) -> Node:
        """The document's root; a null node where there is none."""
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
                self._fail(self._mark(event), "a second document begins here without a '---' line before it")
            if isinstance(event, yaml.NodeEvent):
                self._node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._close(self.stack.pop().node)
        return self.root or Node(None, self.start)

    def _node(self, event: Any) -> None:
        mark = self._mark(event)
        if isinstance(event, yaml.AliasEvent):
            if not self.aliased:  # one is enough: a bomb has thousands
                text = "are not read; put what is shared into a base file and use 'extends'"
                self.faults.add(mark, f"aliases (*{event.anchor}) {text}")
                self.aliased = True
            self._close(Node(None, mark))
            return
        if event.tag is not None and event.tag != "!":
            self.faults.add(mark, f"tags ({_short_tag(event.tag)}) are not read; write plain values")
        if isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0] and event.style in {None, ""}
            self._close(_scalar(event.value, mark) if plain else Node(event.value, mark))
            return
        if len(self.stack) >= MAX_DEPTH:
            self._fail(mark, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.MappingStartEvent):
            self.stack.append(_Open(Node({}, mark), [None]))
        else:
            self.stack.append(_Open(Node([], mark), None))

    def _close(self, node: Node) -> None:
        """Put a finished node where it belongs."""
        if not self.stack:
            self.root = node
            return
        parent, keys = self.stack[-1]
        if keys is None:
            parent.items.append(node)
        elif keys[0] is None:
            keys[0] = (self._key(node), node.mark)
        else:
            (name, mark), keys[0] = keys[0], None
            earlier = parent.map.get(name)
            if earlier is not None:
                self.faults.add(mark, f"key {name!r} is given twice (first on line {earlier[0].line})")
            else:
                parent.map[name] = (mark, node)

    def _key(self, node: Node) -> str:
        if isinstance(node.value, dict | list):
            self.faults.add(node.mark, "a key must be a word, not a list or mapping")
            return "?"
        if node.text is not None or isinstance(node.value, str):
            return node.text if node.text is not None else str(node.value)
        return "" if node.value is None else str(node.value).lower()

    def _mark(self, event: Any) -> Mark:
        where = event.start_mark
        return Mark(self.start.file, where.line + self.begin, where.column + 1, self.start.layer)

    def _fail(self, mark: Mark, message: str) -> None:
        self.faults.add(mark, message)
        raise StopReadingError


def _short_tag(tag: str) -> str:
    prefix = "tag:yaml.org,2002:"
    return "!!" + tag.removeprefix(prefix) if tag.startswith(prefix) else tag


def _scalar(text: str, mark: Mark) -> Node:
    """A plain scalar by YAML 1.2's core schema; numbers keep their text."""
    if text in _WORDS:
        return Node(_WORDS[text], mark)
    if len(text) > 100 or not (text[0].isdigit() or text[0] in "+-."):
        return Node(text, mark)
    if _INT.fullmatch(text):
        based = text[:2] in {"0x", "0o"}
        return Node(int(text, 0) if based else int(text), mark, text)
    if _FLOAT.fullmatch(text):
        return Node(float(text), mark, text)
    return Node(text, mark)
