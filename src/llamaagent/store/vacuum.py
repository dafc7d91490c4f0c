"""Rewriting the file without its free pages."""

from __future__ import annotations

import os
from contextlib import suppress

import apsw

from llamaagent.base.errors import StoreFullError
from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements

_SQL = statements("database")
_SPARE_BYTES = 1 << 20


class Vacuumed(NamedTuple):
    """The file's size, its WAL included, before and after."""

    before_bytes: int
    after_bytes: int


def vacuum(db: apsw.Connection, path: str) -> Vacuumed:
    """Give free pages back and count anew what the query planner asks for.

    Interrupted at any instant, it has not happened. Raises StoreFullError when the disk has not room for two copies
    of what the database holds: SQLite makes one beside, and writes it back through the WAL.
    """
    before = _size(path)
    used = int(db.pragma("page_count")) - int(db.pragma("freelist_count"))
    needed = 2 * used * int(db.pragma("page_size")) + _SPARE_BYTES
    found = os.statvfs(os.path.dirname(os.path.abspath(path)))
    free = found.f_bavail * found.f_frsize
    if free < needed:
        raise StoreFullError(
            f"no space to rewrite {path}: it takes {needed >> 20} MiB, {free >> 20} MiB are free"
        )
    db.execute(_SQL.vacuum)
    db.execute(_SQL.analyze)
    with suppress(apsw.BusyError):  # a reader still needs the WAL: it is emptied by whoever comes later
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    return Vacuumed(before, _size(path))


def _size(path: str) -> int:
    return sum(os.stat(name).st_size for name in (path, f"{path}-wal") if os.path.exists(name))
