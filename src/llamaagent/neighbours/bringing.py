"""One import out of a database while it goes on: the source, where its rows go, the account, and what is hidden."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from llamaagent.neighbours import cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llamaagent.config.catalogue import Catalogue
    from llamaagent.neighbours.tally import Tally
    from llamaagent.store.foreign import Foreign
    from llamaagent.store.imports import ImportStore

    Row = Mapping[str, object]

_SHORTEST_SECRET = 6  # a shorter one is found in innocent words
_LOOKS = re.compile(r"\b(?:hf_[A-Za-z0-9]{12,}|sk-[A-Za-z0-9_-]{12,})|(?<=[Bb]earer )[A-Za-z0-9._~+/-]{8,}=*")
_FUTURE_S = 86400
LEVELS = {"warn": "warning", "fatal": "critical", "err": "error", "trace": "debug", "notice": "info"}
_KNOWN_LEVELS = ("debug", "info", "warning", "error", "critical")


class Totals(NamedTuple):
    """What a percentage of the source is of, where somebody said it. MiB."""

    memory_mib: int | None = None
    disk_mib: int | None = None
    swap_mib: int | None = None


class Keep(NamedTuple):
    """How long rows are kept as they are, in seconds; None = for ever."""

    system_s: int | None
    instance_s: int | None
    generations_s: int | None
    logs_s: int | None


class Bringing:
    """Everything that the readers of the programs share."""

    def __init__(
        self,
        source: Foreign,
        store: ImportStore,
        tally: Tally,
        catalogue: Catalogue,
        totals: Totals,
        keep: Keep,
    ) -> None:
        self.source = source
        self.store = store
        self.tally = tally
        self.catalogue = catalogue
        self.totals = totals
        self.keep = keep
        self._secrets: set[str] = set()

    def rows(self, table: str) -> Iterator[Row]:
        """Every row of a table of the source, counted as read."""
        if table in self.source.tables:
            self.tally.touch(table)
        for row in self.source.rows(table):
            self.tally.read(table)
            yield row

    def hide(self, value: object) -> None:
        """Remember a secret, so that it is cut out wherever it stands."""
        secret = cells.text(value)
        if secret is not None and len(secret) >= _SHORTEST_SECRET:
            self._secrets.add(secret)

    def clean(self, value: object) -> str | None:
        """Text without any secret that is known or looks like one."""
        found = cells.text(value)
        if found is None:
            return None
        for secret in self._secrets:
            found = found.replace(secret, "***")
        return _LOOKS.sub("***", found)

    def when(self, table: str, value: object) -> int | None:
        """The time of a row; without one that can be the row is left out, and None returned."""
        ts = cells.moment(value)
        if ts is None:
            self.tally.drop(table, "its time cannot be read")
        elif ts > self.store.now + _FUTURE_S:
            self.tally.drop(table, "its time lies in the future")
        else:
            return ts
        return None

    def level(self, value: object) -> str:
        """The level of a log line in our words; info where it is none."""
        word = str(value).strip().lower()
        word = LEVELS.get(word, word)
        return word if word in _KNOWN_LEVELS else "info"

    def aged(self, table: str, ts: int, keep_s: int | None, setting: str) -> None:
        """Say that rows will not stay for long."""
        if keep_s is not None and ts < self.store.now - keep_s:
            self.tally.note(
                f"{table}: some rows are older than {setting} keeps them, so the next clean-up takes them; "
                "raise it first if they matter"
            )
