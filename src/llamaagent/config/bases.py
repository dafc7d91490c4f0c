"""Base files: what `extends` names, read once, merged in order, cycles refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llamaagent.config.merge import merge, widen
from llamaagent.config.node import Faults, Mark, Node
from llamaagent.config.offered import binary_named, kind_named
from llamaagent.config.yamltext import parse_documents

if TYPE_CHECKING:
    from llamaagent.config.catalogue import Catalogue
    from llamaagent.config.files import Places
    from llamaagent.config.offered import Offered
    from llamaagent.config.settings import LoadedSettings

_DEEPEST = 16


class Bases:
    """Reads base files; each is parsed once however many profiles extend it."""

    def __init__(self, places: Places, site: LoadedSettings, offered: Offered) -> None:
        self.places = places
        self._site = site
        self._offered = offered
        self._read: dict[str, tuple[Node | None, Faults]] = {}

    def catalogue_for(self, node: Node, faults: Faults, *below: Node) -> Catalogue:
        """The options of the program that a document names, or else what lies below it, or the settings."""
        if kind_named(node, *below) != "process":
            return self._offered.bundled
        return self._offered.to(binary_named(self._site.node, node, *below), faults)

    def under(self, document: Node, faults: Faults) -> Node:
        """Everything that this document extends, merged, bases of bases first."""
        return self._merged(document, (document.mark.file,), faults)

    def file(self, path: str, asked_at: Mark, faults: Faults) -> Node | None:
        """One base in long forms, without its own bases; None after a fault."""
        if path not in self._read:
            found = Faults()
            self._read[path] = (self._load(path, asked_at, found), found)
        node, found = self._read[path]
        faults.extend(found)
        return node

    def _merged(self, document: Node, chain: tuple[str, ...], faults: Faults) -> Node:
        out = Node({}, document.mark)
        for text, mark in _names(document, faults):
            path = self.places.absolute(text, mark.file)
            if path in chain:
                steps = " -> ".join(os.path.basename(step) for step in (*chain, path))
                faults.add(mark, f"'extends' goes in a circle: {steps}")
                continue
            if len(chain) > _DEEPEST:
                faults.add(mark, f"'extends' is more than {_DEEPEST} files deep")
                continue
            base = self.file(path, mark, faults)
            if base is not None:
                out = merge(out, merge(self._merged(base, (*chain, path), faults), base))
        return out.with_entries(
            {key: entry for key, entry in out.map.items() if key not in {"name", "extends"}}
        )

    def _load(self, path: str, asked_at: Mark, faults: Faults) -> Node | None:
        data = self.places.read(path, asked_at, faults)
        if data is None:
            return None
        documents = parse_documents(data, path, faults, "base")
        if len(documents) != 1:
            faults.add(
                Mark(path, 1, 1, "base"), f"a base must hold one document, this file holds {len(documents)}"
            )
            return None
        node = documents[0].node
        if node is None:
            return None
        if not isinstance(node.value, dict):
            faults.add(node.mark, "a base must be a mapping, as a profile is")
            return None
        return widen(node, self.catalogue_for(node, faults), faults)


def _names(document: Node, faults: Faults) -> list[tuple[str, Mark]]:
    """The files that `extends` names."""
    node = document.get("extends")
    if node is None:
        return []
    nodes = node.items if isinstance(node.value, list) else [node]
    out = []
    for item in nodes:
        if isinstance(item.value, str) and item.value:
            out.append((item.value, item.mark))
        elif item.value is not None:
            faults.add(item.mark, "'extends' must be the path of a file, or a list of them")
    return out
