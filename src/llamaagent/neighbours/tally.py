"""The account of an import out of a database: what was read, where it went, and what stayed behind and why."""

from __future__ import annotations

from typing import NamedTuple

_MOST_ENTRIES = 500


class Counts(NamedTuple):
    """One table of the source. present: here already; to: where its rows went."""

    table: str
    read: int
    imported: int
    present: int
    left_out: int
    to: tuple[str, ...]


class Left(NamedTuple):
    """Something that was not taken over. times: how often; key: a column or a name, empty = whole rows."""

    table: str
    key: str
    reason: str
    times: int


class Tally:
    """Counts while the rows pass by."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._to: dict[str, dict[str, None]] = {}
        self._left: dict[tuple[str, str, str], int] = {}
        self.notes: list[str] = []

    def read(self, table: str) -> None:
        """A row was read."""
        self._of(table)[0] += 1

    def put(self, table: str, to: str, *, new: bool) -> None:
        """A row went somewhere, or was there already."""
        self._of(table)[1 if new else 2] += 1
        self._to.setdefault(table, {})[to] = None

    def drop(self, table: str, reason: str, key: str = "") -> None:
        """A whole row was not taken over."""
        self._of(table)[3] += 1
        self.lose(table, key, reason)

    def lose(self, table: str, key: str, reason: str) -> None:
        """A part of a row was not taken over."""
        entry = (table, key, reason)
        if entry not in self._left and len(self._left) >= _MOST_ENTRIES:
            entry = (table, "", "more of the kind that is listed above")
        self._left[entry] = self._left.get(entry, 0) + 1

    def note(self, text: str) -> None:
        """A word to whoever reads the report; the same one once."""
        if text not in self.notes:
            self.notes.append(text)

    def counts(self) -> tuple[Counts, ...]:
        """One row for each table that was read."""
        return tuple(
            Counts(table, read, imported, present, left, tuple(self._to.get(table, ())))
            for table, (read, imported, present, left) in self._counts.items()
        )

    def left(self) -> tuple[Left, ...]:
        """What was not taken over, table by table."""
        return tuple(Left(*entry, times) for entry, times in sorted(self._left.items()))

    def touch(self, table: str) -> None:
        """A table that is there, though it may be empty."""
        self._of(table)

    def _of(self, table: str) -> list[int]:
        return self._counts.setdefault(table, [0, 0, 0, 0])
