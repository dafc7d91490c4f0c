"""Backups of the database: made beside its life, checked, put in place whole, and rotated.

The caller holds the database's backup lock. Rotation touches nothing but backups of this very database, known by
when its schema was first made: those of another host or of a database that was lost stay.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

import apsw

from llamaagent.base.errors import CannotCreateError, UsageError
from llamaagent.base.paths import ensure_private_dir
from llamaagent.base.record import NamedTuple
from llamaagent.domain.backups import backup_name, made_ts, surplus
from llamaagent.sql import statements
from llamaagent.store.copying import checked_copy, open_frozen, part_name, put
from llamaagent.store.info import table_sizes
from llamaagent.store.samples import SampleStore
from llamaagent.store.upgrade import APPLICATION_ID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.store.copying import Progress

LAST = "last_backup"  # in `metadata`: {"ts", "path", "size_bytes"}
NEXT = "backup_next_ts"  # when the next of the settings' `backup.every` is due
SIZES = "table_sizes"  # what the tables came to at the last one: {"ts", "tables": {name: [rows, bytes]}}
TROUBLE = "backup_trouble"  # why the last that was due failed: {"text", "event"}
_SQL = statements("database")


class Backup(NamedTuple):
    """One that was made. removed: the paths that were rotated out for it."""

    path: str
    ts: int
    size_bytes: int
    removed: tuple[str, ...] = ()


def folder_of(database: str, directory: str | None) -> str:
    """Where a database's backups lie: the settings' folder, else `backups` beside it."""
    return directory or os.path.join(os.path.dirname(os.path.abspath(database)), "backups")


def back_up_to(db: apsw.Connection, target: str, now: int, told: Progress | None = None) -> Backup:
    """Copy to a file that the caller names. Raises UsageError, CannotCreateError for a place that will not do."""
    target = os.path.join(
        os.path.realpath(os.path.dirname(os.path.abspath(target))), os.path.basename(target)
    )
    _need_replaceable(db, target)
    with checked_copy(db, part_name(target, db.filename), told=told) as part:
        put(part, target)
    return _note(db, Backup(target, now, os.stat(target).st_size))


def back_up_into(db: apsw.Connection, folder: str, now: int, *, told: Progress | None = None) -> Backup:
    """Copy to a file named by the time in the folder, which is made when it is missing."""
    if not os.path.isdir(folder):  # one that is there may be a stick or a share, with modes of its own
        ensure_private_dir(folder)
    number = 1
    while os.path.lexists(target := os.path.join(folder, backup_name(db.filename, now, number))):
        number += 1
    with checked_copy(db, part_name(target, db.filename), told=told) as part:
        put(part, target)
    return _note(db, Backup(target, now, os.stat(target).st_size))


def back_up_in_turn(
    db: apsw.Connection,
    folder: str,
    now: int,
    *,
    keep: int,
    every_s: int | None,
    told: Progress | None = None,
) -> Backup:
    """Make the backup of the settings: into their folder, rotate what is there, and note when the next is due."""
    made = back_up_into(db, folder, now, told=told)
    samples = SampleStore(db)
    with db:
        samples.delete_metadata(TROUBLE)
        if every_s is not None:
            samples.set_metadata(NEXT, str(now + every_s), now)
    return made._replace(removed=rotate(db, folder, keep=keep, every_s=every_s, newest=made.path))


def rotate(
    db: apsw.Connection, folder: str, *, keep: int, every_s: int | None, newest: str
) -> tuple[str, ...]:
    """Remove the backups of this database that are too many. newest: the one just made, which stays."""
    found = [
        (path, ts) for path, ts in backups_in(folder, db.filename) if path == newest or _is_copy_of(db, path)
    ]
    # A clock that was set back: what was made just now counts as the newest all the same.
    latest = max((ts for _, ts in found), default=0)
    times = [latest + 1 if path == newest else ts for path, ts in found]
    removed = []
    for place in surplus(times, keep, every_s):
        with suppress(OSError):
            os.unlink(found[place][0])
            removed.append(found[place][0])
    return tuple(removed)


def backups_in(folder: str, database: str) -> list[tuple[str, int]]:
    """Paths and times of the backups by name, oldest first; none where there is no folder."""
    return sorted(_named(folder, database), key=lambda one: (one[1], len(one[0]), one[0]))


def last_backup(db: apsw.Connection) -> Backup | None:
    """The last one that was made, as the database remembers it."""
    stored = SampleStore(db).metadata(LAST)
    if stored is None:
        return None
    value = json.loads(stored)
    return Backup(str(value["path"]), int(value["ts"]), int(value["size_bytes"]))


def _named(folder: str, database: str) -> Iterator[tuple[str, int]]:
    with suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(folder):
            ts = made_ts(database, name)
            if ts is not None:
                yield os.path.join(folder, name), ts


def _is_copy_of(db: apsw.Connection, path: str) -> bool:
    origin = db.execute(_SQL.select_origin).fetchone()
    try:
        copy = open_frozen(path)
    except apsw.Error:
        return False
    try:
        return bool(origin is not None and copy.execute(_SQL.select_origin).fetchone() == origin)
    except apsw.Error:
        return False
    finally:
        copy.close()


def _need_replaceable(db: apsw.Connection, target: str) -> None:
    live = {db.filename, *(db.filename + suffix for suffix in ("-wal", "-shm", ".pass.lock", ".agent.lock"))}
    if target in live or (os.path.exists(target) and os.path.samefile(target, db.filename)):
        raise UsageError(f"{target} is the database itself")
    if not os.path.lexists(target) or (os.path.isfile(target) and os.stat(target).st_size == 0):
        return
    if os.path.islink(target) or not os.path.isfile(target):
        raise CannotCreateError(f"{target} is there and is no file")
    try:
        there = open_frozen(target)
        try:
            ours = there.pragma("application_id") == APPLICATION_ID
        finally:
            there.close()
    except apsw.Error:
        ours = False
    if not ours:
        raise CannotCreateError(f"{target} is there and is no backup of ours", hint="name another file")


def _note(db: apsw.Connection, made: Backup) -> Backup:
    samples = SampleStore(db)
    value = {"ts": made.ts, "path": made.path, "size_bytes": made.size_bytes}
    # Every page has just been read, so it costs little here; the report tells it without reading them again.
    sizes = {"ts": made.ts, "tables": {one.name: [one.rows, one.size_bytes] for one in table_sizes(db)}}
    with db:
        samples.set_metadata(LAST, json.dumps(value), made.ts)
        if sizes["tables"]:
            samples.set_metadata(SIZES, json.dumps(sizes), made.ts)
        samples.log("info", "backup", f"backup {made.path}, {made.size_bytes} bytes", made.ts, "backup")
    return made
