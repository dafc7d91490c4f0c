"""The options of llama-server: every spelling, what value each takes, what became of the old ones.

Read from the bundled catalogue.json, which scripts/make_catalogue.py writes; 37 KB, so only what parses a
file loads it. Option names here are the first long spelling without its dashes.
"""

from __future__ import annotations

import json
import os
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE = os.path.join(os.path.dirname(__file__), "catalogue.json")


class Option(NamedTuple):
    """One option. value: none | int | float | number | string | path | list | enum; number: int or float."""

    name: str
    names: tuple[str, ...]  # with dashes, as the help prints them
    value: str
    negations: tuple[str, ...] = ()
    values: int = 1  # how many arguments follow the option, for all that take any
    choices: tuple[str, ...] = ()
    separator: str | None = None
    repeatable: bool = False
    gone: str | None = None  # refused or ignored by the server: advice
    exits: bool = False  # prints something and ends
    preset: bool = False  # brings a model of its own
    env: str | None = None
    default: str | None = None
    group: str = "server"


class Catalogue(NamedTuple):
    """All options of one build. Spellings carry no dashes in front and no underscores."""

    source: str
    options: dict[str, Option]
    spellings: dict[str, tuple[str, bool]]  # spelling -> (option name, is it the negation)
    gone: dict[str, str]  # spellings that the build does not know -> advice
    own: bool = False  # read from a binary, which `source` names; False: the bundled one

    def find(self, spelling: str) -> tuple[Option, bool] | None:
        """The option behind any spelling and whether it is the negated one; None when unknown."""
        hit = self.spellings.get(bare(spelling))
        return None if hit is None else (self.options[hit[0]], hit[1])


def bare(spelling: str) -> str:
    """A spelling as the catalogue keeps it.

    >>> bare("--ctx_size"), bare("-c")
    ('ctx-size', 'c')
    """
    return spelling.lstrip("-").replace("_", "-")


@cache
def load_catalogue() -> Catalogue:
    """Read the bundled catalogue (from a folder or from inside a zip file); once, nobody changes it."""
    spec = __spec__
    data = spec.loader.get_data(FILE)  # type: ignore[union-attr]
    return make_catalogue(json.loads(data))


def make_catalogue(document: dict[str, Any]) -> Catalogue:
    """Build the look-up tables from the document in catalogue.json."""
    options: dict[str, Option] = {}
    for name, entry in document["options"].items():
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
        options[name] = Option(name=name, **fields)
    own = document.get("own", False)
    return Catalogue(document["source"], options, index(options.values()), document["gone"], own)


def document_of(catalogue: Catalogue) -> dict[str, Any]:
    """The opposite of `make_catalogue`."""
    options = {name: option._asdict() for name, option in catalogue.options.items()}
    for entry in options.values():
        del entry["name"]
    return {"source": catalogue.source, "own": catalogue.own, "gone": catalogue.gone, "options": options}


def index(options: Iterable[Option]) -> dict[str, tuple[str, bool]]:
    """Every spelling -> (option name, is it the negation)."""
    spellings: dict[str, tuple[str, bool]] = {}
    for option in options:
        for negated, words in ((False, option.names), (True, option.negations)):
            for word in words:
                spellings[bare(word)] = (option.name, negated)
    return spellings
