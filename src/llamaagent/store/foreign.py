"""Another program's database, opened so that it stays as it is, to the byte, and whatever its owner does.

It is read in one transaction with its own locks. A WAL that an owner left behind is read through, never folded in;
where that cannot be done in place, a private copy is read. Nothing but plain tables and stored columns is ever looked
at, so a hostile file gets nothing to run. Whatever is wrong with it is the input's fault: BadInputError.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager

import apsw

from llamaagent.base.errors import BadInputError
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from apsw import SQLiteValue

    Row = dict[str, SQLiteValue]

MAGIC = b"SQLite format 3\0"
LARGEST_BYTES = 16 * 1024**3
_LONGEST_VALUE = 64 * 1024 * 1024
_WAIT_MS = 2000
_SQL = statements("foreign")


class Foreign:
    """An open foreign database. tables: name -> its stored columns."""

    def __init__(self, db: apsw.Connection, path: str) -> None:
        self.path = path
        self._db = db
        self.application_id = int(db.pragma("application_id"))
        names = [str(name) for (name,) in db.execute(_SQL["list_tables"])]
        self.tables = {
            name: tuple(str(column) for (column,) in db.execute(_SQL["list_columns"], {"table": name}))
            for name in names
        }

    def rows(self, table: str) -> Iterator[Row]:
        """Every row of a table as column -> value, oldest first, one at a time; none when there is no such table."""
        columns = self.tables.get(table, ())
        if not columns:
            return
        with _blaming(self.path):  # what the caller does with a row is not raised in here
            text = self._db.execute(_SQL["make_reading"], {"table": table}).get
            for row in self._db.execute(str(text)):
                yield dict(zip(columns, row, strict=True))


@contextmanager
def open_foreign(path: str) -> Iterator[Foreign]:
    """The database at path, for the time of the block. Raises BadInputError for all that is wrong with it."""
    before = _look(path)
    folder = tempfile.TemporaryDirectory(prefix="llamaagent-") if _needs_copy(path) else None
    db = None
    try:
        with _blaming(path):
            db = _connect(path) if folder is None else _connect(path, _copied(path, folder.name))
            foreign = Foreign(db, path)
        yield foreign
        if folder is None and _ends_cleanly(path) and _look(path) != before:
            raise _changed(path)
    finally:
        if db is not None:
            db.close(True)
        if folder is not None:
            folder.cleanup()


def _connect(path: str, copy: str | None = None) -> apsw.Connection:
    """A connection inside of a read transaction. copy: read this instead, and put it in order."""
    quoted = os.path.abspath(copy or path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    if copy is not None:
        db = apsw.Connection(copy, flags=apsw.SQLITE_OPEN_READWRITE)
    else:
        how = "immutable=1" if _ends_cleanly(path) else "mode=ro&readonly_shm=1"
        flags = apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READONLY
        db = apsw.Connection(f"file:{quoted}?{how}", flags=flags)
    try:
        db.set_busy_timeout(_WAIT_MS)
        db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        db.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        db.limit(apsw.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        db.limit(apsw.SQLITE_LIMIT_ATTACHED, 0)
        db.pragma("cell_size_check", True)
        db.execute("BEGIN")
        _refuse_damaged(db, path)
    except BaseException:
        db.close(True)
        raise
    return db


def _refuse_damaged(db: apsw.Connection, path: str) -> None:
    problem = str(db.execute(_SQL["list_problems"]).get)
    if problem != "ok":
        raise BadInputError(f"{path} is damaged: {problem.splitlines()[-1]}")


@contextmanager
def _blaming(path: str) -> Iterator[None]:
    """SQLite's errors about this file as ours."""
    try:
        yield
    except apsw.BusyError as error:
        raise BadInputError(
            f"{path} is locked by its owner", hint="stop the program that writes it, and repeat"
        ) from error
    except (apsw.ReadOnlyError, apsw.CantOpenError) as error:
        raise BadInputError(
            f"{path} cannot be read as it lies: its own program was interrupted in the middle of a change",
            hint="open it once with that program, or copy all its files to a folder of yours",
        ) from error
    except apsw.TooBigError as error:
        raise BadInputError(f"{path} holds a value of more than {_LONGEST_VALUE >> 20} MiB") from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise BadInputError(f"{path} is damaged: {error}") from error
    except (apsw.IOError, apsw.SQLError) as error:
        raise BadInputError(f"{path} cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise BadInputError(f"{path} holds text that is not UTF-8") from error


def _look(path: str) -> tuple[int, int, int]:
    """Size, time of change and inode; refuses what is no SQLite database at all."""
    try:
        found = os.stat(path)
        regular = os.path.isfile(path)
        head = b""
        if regular:
            with open(path, "rb") as file:
                head = file.read(len(MAGIC))
    except OSError as error:
        raise BadInputError(f"cannot read {path}: {(error.strerror or 'error').lower()}") from error
    if not regular:
        raise BadInputError(f"{path} is not a file")
    if found.st_size == 0:
        raise BadInputError(f"{path} is empty")
    if head != MAGIC:
        raise BadInputError(f"{path} is no SQLite database")
    if found.st_size > LARGEST_BYTES:
        raise BadInputError(
            f"{path} has {found.st_size >> 30} GiB; more than {LARGEST_BYTES >> 30} GiB are not imported"
        )
    return found.st_size, found.st_mtime_ns, found.st_ino


def _is_wal(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(20)[18:19] == b"\x02"


def _has(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except OSError:
        return False


def _ends_cleanly(path: str) -> bool:
    """A database of the WAL kind that nobody has open and whose WAL is folded in: no lock is needed, or possible."""
    return _is_wal(path) and not _has(f"{path}-wal")


def _needs_copy(path: str) -> bool:
    """It has a WAL without the index of it: SQLite would have to make one beside it."""
    return _is_wal(path) and _has(f"{path}-wal") and not _has(f"{path}-shm")


def _copied(path: str, folder: str) -> str:
    """A private copy of the file and its WAL. Raises BadInputError when its owner writes meanwhile."""
    place = os.path.join(folder, "copy.db")
    before = (_look(path), os.stat(f"{path}-wal").st_mtime_ns)
    shutil.copyfile(path, place)
    shutil.copyfile(f"{path}-wal", f"{place}-wal")
    if (_look(path), os.stat(f"{path}-wal").st_mtime_ns) != before:
        raise _changed(path)
    return place


def _changed(path: str) -> BadInputError:
    return BadInputError(
        f"{path} was changed while it was read", hint="stop the program that writes it, and repeat"
    )
