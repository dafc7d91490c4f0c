"""Rows for commands: named statements over views, as mappings from column to value."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from apsw import Connection, Cursor, SQLiteValue


class Table(NamedTuple):
    """columns in the statement's order; rows with those keys."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, SQLiteValue], ...]


def select(
    db: Connection, name: str, given: Mapping[str, SQLiteValue] | None = None, area: str = "commands"
) -> Table:
    """Run a statement of sql/AREA.sql and fetch everything (no cursor stays open behind a reader's back)."""
    columns: list[str] = []

    def note(cursor: Cursor, _sql: str, _bindings: object) -> bool:
        """Called before the first row, so that a result without rows has its columns too."""
        columns.extend(column[0] for column in cursor.get_description())
        return True

    cursor = db.cursor()
    cursor.exec_trace = note
    rows = cursor.execute(statements(area)[name], dict(given or {})).fetchall()
    return Table(tuple(columns), tuple(dict(zip(columns, row, strict=True)) for row in rows))
