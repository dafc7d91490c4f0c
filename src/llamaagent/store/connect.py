"""Opening the database: the one place where a connection comes from.

A file is looked at before it is touched: another program's database, or one of a newer llamaagent, is
refused with its bytes as they were and nothing left beside it. Our own is private from its first moment,
because SQLite gives its WAL the mode that the file has. An up-to-date file costs no more than a few reads.
"""

from __future__ import annotations

import os
import stat
import time

import apsw

from llamaagent.base.errors import CannotCreateError, ConfigError, StorageError
from llamaagent.base.paths import ensure_private_dir
from llamaagent.sql import statements
from llamaagent.store.errors import translate
from llamaagent.store.upgrade import (
    APPLICATION_ID,
    VERSION,
    is_current,
    min_reader_version,
    upgrade,
    version_of,
)

_AGAIN_S = 0.01
_WAL_LIMIT_BYTES = 16 * 1024 * 1024


class Database(apsw.Connection):
    """A connection. unlogged: levels of the agent's own log that it stores no line of."""

    unlogged: tuple[str, ...] = ()


def open_database(
    path: str,
    *,
    write: bool = True,
    create: bool = True,
    busy_timeout_ms: int = 10_000,
    shared_group: str | None = None,
) -> Database:
    """Open the database at path, up to date and with every safety on.

    write: a connection for writing, whose `with db:` begins IMMEDIATE transactions; else a read-only one,
    which never creates the file. create: make the file (0600, its folder 0700) when it is missing or empty,
    else that is a StorageError. busy_timeout_ms: how long to wait for other programs. shared_group: members
    of this group may read: 0640, the folder 0750, and the WAL stays when the last program ends.
    Raises ConfigError for a foreign or a newer file, a symbolic link or an unknown group; StorageError,
    StoreBusyError, StoreCorruptError, StoreFullError; CannotCreateError for a folder that will not do.
    """
    path = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(path))), os.path.basename(path))
    _prepare_file(path, make=write and create, shared_group=shared_group if write else None)
    with translate(path):
        _refuse_stranger(path, write=write)
        if not write:
            return _open_reader(path, busy_timeout_ms)
        db = _connect(path, apsw.SQLITE_OPEN_READWRITE, busy_timeout_ms)
        try:
            _judge(db, path, write=True)
            _set_up_writer(db, busy_timeout_ms, keep_wal=shared_group is not None)
            if not is_current(db):
                upgrade(db, path)
        except BaseException:
            db.close()
            raise
        return db


def has_moved(db: apsw.Connection) -> bool:
    """Whether the file was deleted or replaced at its path since it was opened; writes would go nowhere."""
    import ctypes

    moved = ctypes.c_int(0)
    db.file_control("main", apsw.SQLITE_FCNTL_HAS_MOVED, ctypes.addressof(moved))
    return bool(moved.value)


def forsake(db: apsw.Connection) -> None:
    """Close a connection whose file is no longer at its path.

    SQLite would remove the WAL by its name at the end, and that name may be another database's by now.
    """
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    db.close()


def _prepare_file(path: str, *, make: bool, shared_group: str | None) -> None:
    gid = None if shared_group is None else _gid(shared_group)
    file_mode, folder_mode = (0o600, 0o700) if gid is None else (0o640, 0o750)
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        if not make:
            raise StorageError(f"no database at {path}", hint="llamaagent db init") from None
        ensure_private_dir(os.path.dirname(path), mode=folder_mode, exact=gid is not None)
        _create_file(path)
        found = os.lstat(path)
    except OSError as error:
        raise StorageError(f"cannot reach {path}: {error.strerror}") from error
    if stat.S_ISLNK(found.st_mode):
        raise ConfigError(f"{path} is a symbolic link: name the database itself", hint=os.path.realpath(path))
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path} is not a file")
    if found.st_size == 0 and not make:
        raise StorageError(f"{path} is empty: the database is lost", hint="llamaagent db restore")
    if make and found.st_uid == os.geteuid():
        _set_modes(path, found, file_mode, gid)


def _create_file(path: str) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except FileExistsError:  # another program was faster
        return
    except OSError as error:
        raise CannotCreateError(f"cannot create {path}: {error.strerror}") from error


def _set_modes(path: str, found: os.stat_result, mode: int, gid: int | None) -> None:
    """Give the file its mode and group, and those that SQLite keeps beside it; by name, never by opening."""
    if stat.S_IMODE(found.st_mode) == mode and (gid is None or found.st_gid == gid):
        return
    files = [(path, mode), (f"{path}-wal", mode), (f"{path}-shm", mode)]
    if gid is not None:
        files.append((os.path.dirname(path), 0o750))
    try:
        for name, wanted in files:
            if os.path.lexists(name):
                if gid is not None:
                    os.chown(name, -1, gid)
                os.chmod(name, wanted)
    except OSError as error:
        raise CannotCreateError(f"cannot set the mode or group of {path}: {error.strerror}") from error


def _gid(group: str) -> int:
    import grp

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise ConfigError(f"no group {group!r} on this host") from error


def _refuse_stranger(path: str, *, write: bool) -> None:
    """Look at the file as it lies on the disk: no lock, no WAL, nothing written.

    SQLite does the looking, because a plain open and close of a file would drop the locks that this process
    may hold on it.
    """
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_NOFOLLOW
    db = apsw.Connection(f"file:{quoted}?immutable=1", flags=flags)
    try:
        _judge(db, path, write=write)
    except apsw.CorruptError:
        # The power went during a checkpoint: whole again with its WAL, which this look leaves out.
        if not os.path.exists(f"{path}-wal"):
            raise
    finally:
        db.close()


def _judge(db: apsw.Connection, path: str, *, write: bool) -> None:
    """Raise ConfigError for a database that is not ours to open."""
    application = db.pragma("application_id")
    if application != APPLICATION_ID:
        if application == 0 and version_of(db) == 0 and _is_empty(db):
            return
        raise ConfigError(f"{path} is a database of another program", hint="name another file with --db")
    version = version_of(db)
    if version > VERSION and (write or min_reader_version(db) > VERSION):
        raise ConfigError(
            f"{path} has schema version {version}, this program knows {VERSION}: a newer llamaagent has used it",
            hint="use the newer program, or llamaagent db restore a copy from before",
        )


def _is_empty(db: apsw.Connection) -> bool:
    return db.execute(statements("database").count_objects).fetchone() == (0,)


def _open_reader(path: str, busy_timeout_ms: int) -> Database:
    db = _connect(path, apsw.SQLITE_OPEN_READONLY, busy_timeout_ms)
    try:
        try:
            _judge(db, path, write=False)
        except (apsw.CantOpenError, apsw.ReadOnlyError) as error:
            raise StorageError(
                f"{path} cannot be read in a folder that you may not write to, unless its WAL is kept there",
                hint="the owner's settings: access: {read: GROUP}",
            ) from error
        version = version_of(db)
        _need_upgrade(path, version)
        if version > VERSION or is_current(db):
            return db
    except BaseException:
        db.close()
        raise
    # Same tables, other views: renewing them is a matter of milliseconds, where we may.
    db.close()
    if os.access(path, os.W_OK):
        open_database(path, create=False, busy_timeout_ms=busy_timeout_ms).close()
    return _connect(path, apsw.SQLITE_OPEN_READONLY, busy_timeout_ms)


def _need_upgrade(path: str, version: int) -> None:
    """Raise ConfigError for an older database: only a program that writes may change it."""
    if version < VERSION:
        raise ConfigError(
            f"{path} has schema version {version}, this program needs {VERSION}", hint="llamaagent db migrate"
        )


def _connect(path: str, flags: int, busy_timeout_ms: int) -> Database:
    db = Database(path, flags=flags | apsw.SQLITE_OPEN_NOFOLLOW)
    db.set_busy_timeout(busy_timeout_ms)
    for option, value in (
        (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
        (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
        (apsw.SQLITE_DBCONFIG_DQS_DML, 0),
        (apsw.SQLITE_DBCONFIG_DQS_DDL, 0),
        (apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 1),
    ):
        db.config(option, value)
    return db


def _set_up_writer(db: apsw.Connection, busy_timeout_ms: int, *, keep_wal: bool) -> None:
    db.transaction_mode = "IMMEDIATE"
    _switch_to_wal(db, busy_timeout_ms)
    db.pragma("synchronous", "FULL")
    db.pragma("journal_size_limit", _WAL_LIMIT_BYTES)
    if keep_wal:
        _keep_wal(db)


def _switch_to_wal(db: apsw.Connection, busy_timeout_ms: int) -> None:
    """Once for each file. SQLite does not wait for one who has begun to write with the old journal, so we do."""
    until = time.monotonic() + busy_timeout_ms / 1000
    while db.pragma("journal_mode") != "wal":
        try:
            db.pragma("journal_mode", "WAL")
        except apsw.BusyError:
            if time.monotonic() >= until:
                raise
            time.sleep(_AGAIN_S)


def _keep_wal(db: apsw.Connection) -> None:
    """Leave the (emptied) WAL and its index behind at the end: who may only read could not make them."""
    import ctypes

    on = ctypes.c_int(1)
    db.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, ctypes.addressof(on))
