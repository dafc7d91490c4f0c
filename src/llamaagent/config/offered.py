"""Which options each server program offers: asked of the program once, kept beside what else is remembered.

The program is run by whoever hands in `help_of`; without it, or where there is no program, the bundled catalogue
serves. What the answer depends on is noted in `places`, so that a replaced program is asked anew.
"""

from __future__ import annotations

import binascii
import json
import os
from typing import TYPE_CHECKING

import llamaagent
from llamaagent.config import remember
from llamaagent.config.args import OWNED
from llamaagent.config.catalogue import Catalogue, document_of, index, load_catalogue, make_catalogue
from llamaagent.config.helptext import parse_help
from llamaagent.config.node import Node
from llamaagent.domain.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Collection

    from llamaagent.config.files import Places
    from llamaagent.config.load import Asking
    from llamaagent.config.node import Faults

EMBEDDED = "embedded"
_KEPT = 32  # programs


class Offered:
    """Catalogues by `runtime.binary`; every program is asked once, however many profiles name it."""

    def __init__(self, places: Places, asking: Asking | None) -> None:
        self.bundled = load_catalogue()
        self.env: dict[
            str, str
        ] = {}  # the settings' `env`, without which a program may not find its libraries
        self._places = places
        self._asking = asking
        self._folder = asking.cache_dir if asking else ""
        self._found: dict[str, tuple[Catalogue, str | None]] = {}

    def to(self, named: Node, faults: Faults) -> Catalogue:
        """What the program that is named there offers; when it does not answer, a warning at that place."""
        name = named.value
        if self._asking is None or not isinstance(name, str) or not name:
            return self.bundled
        if "/" in name or name.startswith("~"):
            name = self._places.absolute(name, named.mark.file)
        if name not in self._found:
            self._found[name] = self._look(name, self._asking)
        catalogue, trouble = self._found[name]
        if trouble is not None:
            faults.add(named.mark, trouble, "warning")
        return catalogue

    def _look(self, name: str, asking: Asking) -> tuple[Catalogue, str | None]:
        if name == EMBEDDED:
            return only(self.bundled, asking.embedded(), "the embedded server"), None
        path = self._places.find_program(name) if "/" in name else self._on_path(name)
        if path is None:
            return self.bundled, None
        kept = self._kept_at(path)
        catalogue = _recall(kept, path) or self._ask(path, kept, asking)
        if catalogue is None:
            self._places.exists(kept)  # a later `check` that gets an answer makes it
            return (
                self.bundled,
                f"{path} --help gave no list of options; checked against {self.bundled.source}",
            )
        return catalogue, None

    def _on_path(self, name: str) -> str | None:
        """The program that a bare name means; as last time where PATH does not say (cron's is short)."""
        note = os.path.join(self._folder, f"program-{binascii.crc32(name.encode()):08x}")
        for folder in self._places.environ.get("PATH", "").split(":"):
            path = os.path.normpath(f"{folder}/{name}")
            if folder.startswith("/") and self._places.find_program(path):
                if remember.fetch(note) != path.encode():
                    remember.store(note, path.encode())
                return path
        before = remember.fetch(note).decode("utf-8", "replace")
        return self._places.find_program(before) if before.startswith("/") else None

    def _ask(self, path: str, kept: str, asking: Asking) -> Catalogue | None:
        text = asking.help_of(path, self.env)
        catalogue = None if text is None else parse_help(text, self.bundled, path)
        if catalogue is not None:
            remember.store(kept, json.dumps(document_of(catalogue), separators=(",", ":")).encode())
            remember.forget_old(self._folder, "options-", _KEPT)
        return catalogue

    def _kept_at(self, path: str) -> str:
        """Where the answer of just this program is kept: a replaced one has another place."""
        key = json.dumps([llamaagent.__version__, path, self._places.programs[path], remember.code()])
        return os.path.join(self._folder, f"options-{binascii.crc32(key.encode()):08x}.json")


def _recall(kept: str, path: str) -> Catalogue | None:
    try:
        catalogue = make_catalogue(json.loads(remember.fetch(kept)))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return catalogue if catalogue.source == path else None


def binary_named(settings: Node, *parts: Node | None) -> Node:
    """Where the server program is named: in the first part with a `runtime.binary`, else in the settings."""
    named = _of_runtime("binary", parts)
    return named or settings.get("binary") or Node(Settings._field_defaults["binary"], settings.mark)


def kind_named(*parts: Node | None) -> object:
    """`runtime.kind` as the first of the parts says that has one."""
    kind = _of_runtime("kind", parts)
    return "process" if kind is None else kind.value


def _of_runtime(key: str, parts: tuple[Node | None, ...]) -> Node | None:
    for part in parts:
        runtime = part.get("runtime") if part else None
        found = runtime.get(key) if runtime else None
        if found is not None and found.value is not None:
            return found
    return None


def only(catalogue: Catalogue, words: Collection[str], source: str) -> Catalogue:
    """The options of which at least one spelling is among the words, for a server that knows no others."""
    options = {}
    for name, option in catalogue.options.items():
        names = tuple(word for word in option.names if word in words)
        if option.gone or option.exits or option.preset or name in OWNED:
            options[name] = option  # refused for another reason, which says more
        elif f"--{name}" in names:
            negations = tuple(word for word in option.negations if word in words)
            options[name] = option._replace(negations=negations)
    spellings = index(options.values())
    return Catalogue(source, options, spellings, catalogue.gone, own=True)
