"""A copy of a database as one private file that is whole or not there: what backups and restoring are made of.

The copy is made by SQLite's backup interface from one snapshot, so that a writer is neither held up nor able to make
it begin anew. It is checked before it gets its name. Never are the bytes of a live database copied.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress

import apsw

from llamaagent.base.errors import CannotCreateError, StoreCorruptError, StoreFullError
from llamaagent.sql import statements
from llamaagent.store.errors import translate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Progress = Callable[[int, int], None]  # pages copied, pages in all
    Check = Callable[[apsw.Connection], None]  # raises what is wrong with the copy

_STEP_PAGES = 1024
_SQL = statements("database")
_BESIDE = ("", "-journal", "-wal", "-shm")


def part_name(target: str, database: str) -> str:
    """The name under which a copy grows: always the same for one database and target folder.

    What is found under it while the database's backup lock is held was left by somebody who was killed.
    """
    import zlib

    whose = zlib.crc32(
        f"{os.uname().nodename}:{os.path.realpath(database)}".encode("utf-8", "surrogateescape")
    )
    return os.path.join(os.path.dirname(target), f".{os.path.basename(database)}-{whose:08x}.part")


@contextmanager
def checked_copy(
    db: apsw.Connection, part: str, *, told: Progress | None = None, check: Check | None = None
) -> Iterator[str]:
    """Copy db into the file `part` (0600), on the disk and sound, for the block to give it its name.

    The copy needs no WAL: it can be read from anywhere. told: called after each step. check: what else must be
    right, asked of the open copy. At the end `part` is gone, whatever happened.
    Raises CannotCreateError, StoreFullError, StoreCorruptError (of the source), and what SQLite raises.
    """
    remove_part(part)
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise CannotCreateError(f"cannot write to {os.path.dirname(part)}: {error.strerror}") from error
    try:
        _need_room(db, part)
        copy = apsw.Connection(part, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW)
        try:
            with translate(part):
                _fill(copy, db, told)
                copy.pragma("journal_mode", "DELETE")
                _need_sound(copy, db.filename)
                if check is not None:
                    check(copy)
        finally:
            copy.close()
        sync(part)
        yield part
    finally:
        remove_part(part)


def remove_part(part: str) -> None:
    """Remove an unfinished copy and what SQLite keeps beside it."""
    for suffix in _BESIDE:
        with suppress(FileNotFoundError):
            os.unlink(part + suffix)


def put(part: str, target: str) -> None:
    """Give a finished copy its name, in place of what has it now, and make that last."""
    os.replace(part, target)
    sync_folder(target)


def sync(path: str) -> None:
    """Wait until a file that nobody else has open is on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(path: str) -> None:
    """Wait until the names in the folder of `path` are on the disk."""
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def open_frozen(path: str) -> apsw.Connection:
    """Open a file for reading as it lies there: no lock, no WAL, nothing written beside it."""
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"file:{quoted}?immutable=1", flags=flags)


def _need_room(db: apsw.Connection, part: str) -> None:
    """Say at once what would be found out in the middle."""
    needed = int(db.pragma("page_count")) * int(db.pragma("page_size"))
    found = os.statvfs(os.path.dirname(part))
    free = found.f_bavail * found.f_frsize
    if free < needed:
        where = os.path.dirname(part)
        raise StoreFullError(
            f"no space for the copy: {where} has {free >> 20} MiB free, it takes {needed >> 20} MiB"
        )


def _fill(copy: apsw.Connection, db: apsw.Connection, told: Progress | None) -> None:
    db.execute(_SQL.begin_snapshot)
    try:
        db.pragma("user_version")  # the first read takes the snapshot
        with copy.backup("main", db, "main") as backup:
            while not backup.done:
                backup.step(_STEP_PAGES)
                if told is not None:
                    told(backup.page_count - backup.remaining, backup.page_count)
    finally:
        if db.in_transaction:
            db.execute(_SQL.end_snapshot)


def _need_sound(copy: apsw.Connection, source: str) -> None:
    """SQLite copies damage without a word: ask the copy. Raises StoreCorruptError."""
    try:
        answer = copy.execute(_SQL.check_quickly).get
    except apsw.CorruptError as error:
        answer = str(error)
    if answer != "ok":
        first = answer[0] if isinstance(answer, list) else answer
        raise StoreCorruptError(
            f"{source} is damaged, and was not copied: {first}", hint="llamaagent db check"
        )
