"""Putting a backup in the place of the database: checked first, and what it replaces stays under another name.

The caller holds the agent's, the pass's and the backup's lock. Killed at any instant this leaves at the path either
the database from before or the one from the backup, each whole; and from the first change on, the one from before
under its other name as well.
"""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress

import apsw

from llamaagent.base.errors import BadInputError, ConfigError, StoreBusyError, StoreCorruptError, UsageError
from llamaagent.base.paths import ensure_private_dir
from llamaagent.domain.backups import stamp
from llamaagent.sql import statements
from llamaagent.store.copying import checked_copy, open_frozen, part_name, put, sync, sync_folder
from llamaagent.store.errors import translate
from llamaagent.store.upgrade import APPLICATION_ID, VERSION, version_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.store.copying import Progress

_SQL = statements("check")
_BUSY_MS = 5000


def restore(source: str, path: str, now: int, told: Progress | None = None) -> str | None:
    """Make the database at path what the backup `source` is; return where the one from before lies, None without one.

    The new one has the version of the backup until it is opened for writing.
    Raises BadInputError for a source that is damaged or not ours, ConfigError for one of a newer version,
    StoreBusyError while another program has the database open, StoreFullError and other StorageErrors.
    """
    path = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(path))), os.path.basename(path))
    _need_source(source, path)
    ensure_private_dir(os.path.dirname(path))
    with translate(source):
        db = _open_source(source)
        try:
            _judge(db, source)
            try:
                with checked_copy(db, part_name(path, path), told=told, check=_need_whole) as part:
                    return _exchange(part, path, now)
            except StoreCorruptError as error:
                raise BadInputError(f"{source} is damaged, and was not restored: {error}") from error
        finally:
            db.close()


def _need_source(source: str, path: str) -> None:
    if not os.path.isfile(source):
        raise BadInputError(f"{source} is no file")
    if os.stat(source).st_size == 0:
        raise BadInputError(f"{source} is empty")
    if os.path.islink(path):
        raise ConfigError(f"{path} is a symbolic link: name the database itself", hint=os.path.realpath(path))
    if os.path.exists(path) and os.path.samefile(source, path):
        raise UsageError(f"{source} is the database itself")


def _open_source(source: str) -> apsw.Connection:
    """With its WAL when it has one and its folder can be written, else as it lies there."""
    db = apsw.Connection(source, flags=apsw.SQLITE_OPEN_READONLY)
    try:
        db.pragma("application_id")
    except (apsw.CantOpenError, apsw.ReadOnlyError):
        db.close()
        return open_frozen(source)
    except apsw.Error as error:
        db.close()
        raise BadInputError(f"{source} is no database, or damaged: {error}") from error
    return db


def _judge(db: apsw.Connection, source: str) -> None:
    if db.pragma("application_id") != APPLICATION_ID or version_of(db) < 1:
        raise BadInputError(f"{source} is no database of llamaagent")
    if version_of(db) > VERSION:
        raise ConfigError(
            f"{source} has schema version {version_of(db)}, this program knows {VERSION}",
            hint="restore it with the newer llamaagent",
        )


def _need_whole(copy: apsw.Connection) -> None:
    """Raise StoreCorruptError unless every page, index and reference of the copy is right."""
    try:
        answer = copy.execute(_SQL.check_integrity_once).get
        broken = copy.execute(_SQL.check_references).fetchone()
    except apsw.CorruptError as error:
        raise StoreCorruptError(str(error)) from error
    if answer != "ok":
        raise StoreCorruptError(str(answer))
    if broken is not None:
        raise StoreCorruptError(f"a row of {broken[0]} points to nothing in {broken[2]}")


def _exchange(part: str, path: str, now: int) -> str | None:
    """Set the old file aside and give the copy its name."""
    if not any(_size(path + suffix) for suffix in ("", "-wal", "-journal")):
        _remove_beside(path)
        put(part, path)
        return None
    with suppress(OSError):
        shutil.copymode(path, part)
    aside = _free_name(f"{path}.replaced-{stamp(now)}")
    old = _settled(path)
    try:
        # A settled one is whole by itself; what lies beside it then is an empty journal.
        for suffix in ("-wal", "-journal", "") if old is None else ("",):
            if os.path.lexists(path + suffix):
                _link(path + suffix, aside + suffix)
        sync_folder(path)
        _remove_beside(path)
        put(part, path)
    finally:
        if old is not None:
            old.close()
    return aside


def _settled(path: str) -> apsw.Connection | None:
    """The old database with all that its WAL held in the file itself, locked against everybody; None: beyond that.

    A damaged one is set aside together with its WAL instead. Raises StoreBusyError while somebody has it open.
    """
    db = None
    try:
        db = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_NOFOLLOW)
        db.set_busy_timeout(_BUSY_MS)
        db.pragma("locking_mode", "EXCLUSIVE")
        if db.pragma("journal_mode", "DELETE") == "delete":
            db.execute(_SQL.lock_for_exchange)
            return db
    except (apsw.BusyError, apsw.LockedError) as error:
        if db is not None:
            db.close()
        raise StoreBusyError(
            f"another program has {path} open: {error}", hint="try again when it has ended"
        ) from error
    except apsw.Error:
        pass
    if db is not None:
        with suppress(apsw.Error):
            db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            db.close()
    return None


def _link(path: str, aside: str) -> None:
    """Give a file a second name; where the file system has only one for each, a copy."""
    try:
        os.link(path, aside)
    except OSError:
        part = f"{aside}.part"
        shutil.copyfile(path, part)
        os.chmod(part, stat.S_IMODE(os.stat(path).st_mode))
        sync(part)
        os.rename(part, aside)


def _remove_beside(path: str) -> None:
    """What belongs to the old file must not be taken for the new one's: SQLite knows a WAL by its name alone."""
    for suffix in ("-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            os.unlink(path + suffix)
    sync_folder(path)


def _free_name(name: str) -> str:
    number, free = 1, name
    while any(os.path.lexists(free + suffix) for suffix in ("", "-wal", "-journal", ".part")):
        number += 1
        free = f"{name}-{number}"
    return free


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
