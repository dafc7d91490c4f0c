"""Facts about a database as a file: versions, pages, sizes, the time that its samples span."""

from __future__ import annotations

import json
import os

import apsw

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements
from llamaagent.store.errors import translate
from llamaagent.store.read import select
from llamaagent.store.upgrade import metadata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from apsw import Connection


class TableSize(NamedTuple):
    """name; rows (None = not countable); size_bytes with indexes."""

    name: str
    rows: int | None
    size_bytes: int


class DatabaseInfo(NamedTuple):
    """What `db info` prints. Times are Unix seconds; wal_bytes is 0 without a WAL file."""

    path: str
    size_bytes: int
    wal_bytes: int
    schema_version: int
    application_id: int
    sqlite_version: str
    journal_mode: str
    page_size_bytes: int
    pages: int
    free_pages: int
    first_sample_ts: int | None
    last_sample_ts: int | None
    free_bytes: int
    migrated_ts: int | None  # when the schema came to its version
    last_backup: dict[str, object] | None  # ts, path, size_bytes
    backup_due_ts: int | None
    tables: tuple[TableSize, ...]


def sqlite_version() -> str:
    """The version of the SQLite that is really used."""
    return apsw.sqlite_lib_version()


def table_sizes(db: Connection) -> tuple[TableSize, ...]:
    """Rows and bytes of every table, the largest first. Reads every page once; () where SQLite has no dbstat."""
    try:
        rows = select(db, "table_sizes").rows
    except apsw.SQLError:
        return ()
    return tuple(
        TableSize(str(row["name"]), _number(row["row_count"]), _number(row["size_bytes"]) or 0)
        for row in rows
    )


def database_info(db: Connection, path: str) -> DatabaseInfo:
    """Look at an open database; reads every page once, for the sizes of the tables."""
    first, last = db.execute(statements("info").select_sample_span).fetchone() or (None, None)
    last_made, due = (metadata(db, key) for key in ("last_backup", "backup_next_ts"))
    return DatabaseInfo(
        path=path,
        size_bytes=_size(path),
        wal_bytes=_size(f"{path}-wal"),
        schema_version=int(db.pragma("user_version")),
        application_id=int(db.pragma("application_id")),
        sqlite_version=sqlite_version(),
        journal_mode=str(db.pragma("journal_mode")),
        page_size_bytes=int(db.pragma("page_size")),
        pages=int(db.pragma("page_count")),
        free_pages=int(db.pragma("freelist_count")),
        first_sample_ts=_number(first),
        last_sample_ts=_number(last),
        free_bytes=int(db.pragma("freelist_count")) * int(db.pragma("page_size")),
        migrated_ts=_number(db.execute(statements("info").select_migrated).get),
        last_backup=None if last_made is None else json.loads(str(last_made)),
        backup_due_ts=None if due is None else int(str(due)),
        tables=table_sizes(db),
    )


def stored_version(path: str) -> int | None:
    """The schema version of a file that need not be up to date; None when there is no database in it."""
    if _size(path) == 0:
        return None
    with translate(path):
        from llamaagent.store.copying import open_frozen

        # Without a WAL nothing is left beside the file: it may be one that this program is to leave alone.
        plain = not os.path.exists(f"{path}-wal")
        db = open_frozen(path) if plain else apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return int(db.pragma("user_version")) or None
        finally:
            db.close()


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
