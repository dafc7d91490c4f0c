"""What reading a neighbour's file comes to: profiles in the making, and a list of all that was not carried over.

Every reader fills a `Taking`; nothing is lost in silence, and no value that is a secret gets into a profile or a
sentence.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from llamaagent.config.schema import NAME_PATTERN, PROFILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.config.catalogue import Catalogue

    Json = dict[str, Any]

_LONGEST_NAME = 100
_SHORTEST_SECRET = 6  # a shorter one is found in innocent words


class Source(NamedTuple):
    """A file of a neighbour. name: as messages call it; folder: absolute, where its relative paths begin."""

    name: str
    folder: str
    data: bytes
    options: Callable[
        [str | None], Catalogue
    ]  # of the server program that a profile names; None: the site's own
    default_name: str = "imported"
    ports: tuple[tuple[int, str], ...] = ()  # fixed already -> by which profile
    folder_known: bool = False  # else the neighbour may run in another folder than the file lies in


class Loss(NamedTuple):
    """One thing that was not carried over. line: 1-based, None when it stands nowhere."""

    key: str
    line: int | None
    reason: str


class Carried(NamedTuple):
    """One profile as it would be written: a sparse document; line: where it stood."""

    name: str
    line: int
    document: Json


class Taken(NamedTuple):
    """Everything a file came to."""

    kind: str
    profiles: tuple[Carried, ...]
    losses: tuple[Loss, ...]


class Taking:
    """Collects profiles and losses while a file is read."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.drafts: list[Draft] = []
        self._losses: list[Loss] = []
        self._secrets: dict[str, str] = {}  # variable -> value, kept only to notice it elsewhere

    def lose(self, key: str, line: int | None, reason: str) -> None:
        """Note what is not carried over."""
        self._losses.append(Loss(key, line, reason))

    def draft(self, wanted: str, key: str, line: int) -> Draft:
        """Begin a profile; its name is made of what the neighbour calls it."""
        names = {draft.name for draft in self.drafts}
        name = stem = profile_name(wanted)
        number = 1
        while name in names:
            number += 1
            name = f"{stem}-{number}"
        if name != wanted:
            self.lose(key, line, f"{wanted!r} cannot be the name of a profile here; it is {name!r}")
        draft = Draft(self, name, key, line)
        self.drafts.append(draft)
        return draft

    def hide(self, variable: str, value: str) -> bool:
        """Remember a secret so that it is shown nowhere; False when the variable has another value already."""
        return self._secrets.setdefault(variable, value) == value

    def result(self, kind: str) -> Taken:
        """What was read, secrets cut out of every sentence and every value, no port given twice."""
        self._spread_ports()
        hidden = [value for value in self._secrets.values() if len(value) >= _SHORTEST_SECRET]
        for draft in self.drafts:
            for key in _drop_values(draft.document, hidden):
                draft.lose(key, "it holds a value that is a secret elsewhere in the file")
        profiles = tuple(Carried(draft.name, draft.line, ordered(draft.document)) for draft in self.drafts)
        losses = [
            loss._replace(key=_cut(loss.key, hidden), reason=_cut(loss.reason, hidden))
            for loss in self._losses
        ]
        return Taken(kind, profiles, tuple(sorted(dict.fromkeys(losses), key=lambda loss: loss.line or 0)))

    def _spread_ports(self) -> None:
        """A port that is fixed already, here or in the site, is left to the agent."""
        fixed = dict(self.source.ports)
        for draft in self.drafts:
            port = draft.get("listen.port")
            if port is not None and fixed.setdefault(port, draft.name) != draft.name:
                del draft.document["listen"]["port"]
                draft.lose(
                    "port", f"{port} is the port of {fixed[port]} already; the agent chooses another one"
                )


class Draft:
    """One profile in the making. key: what it is called in the file; all its losses begin with that."""

    def __init__(self, taking: Taking, name: str, key: str, line: int) -> None:
        self.taking = taking
        self.name = name
        self.key = key
        self.line = line
        self.document: Json = {}

    def put(self, path: str, value: object) -> None:
        """Set one value by its dotted path; None changes nothing."""
        *parents, last = path.split(".")
        place = self.document
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is not None:
            place[last] = value

    def get(self, path: str) -> Any:
        """The value at a dotted path, None when it is not set."""
        place: Any = self.document
        for key in path.split("."):
            place = place.get(key) if isinstance(place, dict) else None
        return place

    def label(self, name: str, value: object) -> None:
        """Add a label."""
        self.document.setdefault("labels", {})[name] = str(value)

    def lose(self, key: str, reason: str, line: int | None = None) -> None:
        """Note what is not carried over of this one."""
        whole = f"{self.key}.{key}".strip(".") if key else self.key
        self.taking.lose(whole, self.line if line is None else line, reason)

    def secret(self, name: str, variable: str) -> None:
        """Add a reference to a variable."""
        self.document.setdefault("secrets", {})[name] = {"env": variable}

    def drop(self) -> None:
        """It cannot become a profile."""
        self.taking.drafts.remove(self)


def number_of(text: str) -> int | None:
    """A whole number without a sign, of a length that a person writes; None for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def profile_name(text: str) -> str:
    """The nearest name that a profile may have.

    >>> profile_name("Qwen/Qwen3:8B Q4"), profile_name("..."), profile_name("llama-3.1")
    ('qwen-qwen3-8b-q4', 'model', 'llama-3.1')
    """
    if re.fullmatch(NAME_PATTERN, text) and len(text) <= _LONGEST_NAME:
        return text
    word = re.sub("[^a-z0-9._-]+", "-", text.lower()).strip("-._")[: _LONGEST_NAME - 4]
    return word or "model"


def ordered(document: Json) -> Json:
    """Keys as the documentation lists them, empty maps left out."""
    return {key: document[key] for key in PROFILE if document.get(key) not in ({}, None)}


def beside(source: Source, text: str) -> str:
    """A path of the file made absolute."""
    return os.path.normpath(os.path.join(source.folder, os.path.expanduser(text)))


def _cut(text: str, hidden: list[str]) -> str:
    for value in hidden:
        text = text.replace(value, "***")
    return text


def _drop_values(place: Json, hidden: list[str], path: str = "") -> list[str]:
    """Remove every text that holds one of these; their dotted keys."""
    found: list[str] = []
    for key, value in list(place.items()):
        whole = f"{path}.{key}".lstrip(".")
        if isinstance(value, dict):
            found += _drop_values(value, hidden, whole)
        elif any(word in text for word in hidden for text in _texts(value)):
            del place[key]
            found.append(whole)
    return found


def _texts(value: object) -> list[str]:
    items = value if isinstance(value, list | tuple) else [value]
    return [item for item in items if isinstance(item, str)]
