"""Any table or view of a database, row by row, as it goes out: for files that other programs read."""

from __future__ import annotations

import json

import apsw

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from apsw import Connection, SQLiteValue

_SQL = statements("foreign")
# The column by which rows belong to a time; in a table it must be known of every row.
_TIMES = ("ts", "created_ts", "cached_ts")
# What a fresh file has rows of by itself; its own stay.
_BORN = frozenset({"schema_version", "metadata"})


class Column(NamedTuple):
    """type: as it is declared, '' for an expression of a view; is_stored: else it is generated, or a view's."""

    name: str
    type: str
    is_stored: bool


class Relation(NamedTuple):
    """A table or a view. time: the column that since and until are about, None = all its rows count."""

    name: str
    is_table: bool
    columns: tuple[Column, ...]
    time: str | None


def relations(db: Connection) -> dict[str, Relation]:
    """Every table and view by its name, sorted."""
    return {
        str(name): _relation(db, str(name), is_table=kind == "table")
        for name, kind in db.execute(_SQL["list_relations"]).fetchall()
    }


def _relation(db: Connection, name: str, *, is_table: bool) -> Relation:
    found = db.execute(_SQL["list_typed_columns"], {"table": name}).fetchall()
    columns = tuple(Column(str(row[0]), str(row[1]), is_table and row[2] == 0) for row in found)
    names = {str(row[0]) for row in found if row[3] or not is_table}
    return Relation(name, is_table, columns, next((time for time in _TIMES if time in names), None))


def rows(
    db: Connection, relation: Relation, columns: tuple[Column, ...], since: int, until: int
) -> Iterator[tuple[SQLiteValue, ...]]:
    """The rows, one at a time; since and until in Unix seconds, until exclusive."""
    is_timed = relation.time is not None and (since, until) != (0, 1 << 62)
    given = {"table": relation.name, "columns": json.dumps([column.name for column in columns])}
    text = db.execute(_SQL["make_export"], {**given, "time": relation.time if is_timed else None}).get
    yield from db.execute(str(text), {"since": since, "until": until} if is_timed else None)


def insert_head(db: Connection, relation: Relation, columns: tuple[Column, ...]) -> str:
    """`INSERT INTO … VALUES (` for these columns."""
    given = {"table": relation.name, "columns": json.dumps([column.name for column in columns])}
    verb = "INSERT OR IGNORE" if relation.name in _BORN else "INSERT"
    return str(db.execute(_SQL["make_insert"], {**given, "verb": verb}).get)


def literal(value: SQLiteValue) -> str:
    """A value as SQL writes it."""
    return apsw.format_sql_value(value)
