"""From SQLite's errors to ours. Our own mistakes (a wrong statement, a broken constraint) stay what they are."""

from __future__ import annotations

from contextlib import contextmanager

import apsw

from llamaagent.base.errors import StorageError, StoreBusyError, StoreCorruptError, StoreFullError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.base.errors import LlamaAgentError

_STATUS = "llamaagent status"
_CHECK = "llamaagent db check"

# SQLite's class, ours, what it means, what to type.
_OURS: tuple[tuple[type[apsw.Error], type[LlamaAgentError], str, str | None], ...] = (
    (apsw.BusyError, StoreBusyError, "is locked by another program", _STATUS),
    (apsw.LockedError, StoreBusyError, "is locked by another program", _STATUS),
    (apsw.FullError, StoreFullError, "has no space left", None),
    (apsw.CorruptError, StoreCorruptError, "is damaged", _CHECK),
    (apsw.NotADBError, StoreCorruptError, "is damaged or no database", _CHECK),
    (apsw.IOError, StorageError, "cannot be read or written", None),
    (apsw.ReadOnlyError, StorageError, "cannot be written", None),
    (apsw.CantOpenError, StorageError, "cannot be opened", None),
    (apsw.PermissionsError, StorageError, "cannot be opened", None),
)


@contextmanager
def translate(path: str) -> Iterator[None]:
    """Turn what SQLite raises inside into StoreBusyError, StoreFullError, StoreCorruptError or StorageError.

    path: the database, for the message. A transaction that SQLite has rolled back stays rolled back.
    """
    try:
        yield
    except apsw.Error as error:
        ours = _translated(path, _first(error))
        if ours is None:
            raise
        raise ours from error


def _first(error: apsw.Error) -> apsw.Error:
    """The error that mattered.

    On a full disk SQLite ends the transaction itself; each `with db:` around then fails to roll back, and the
    last of these errors arrives here with the others behind it.
    """
    while isinstance(error, apsw.SQLError) and isinstance(error.__context__, apsw.Error):
        error = error.__context__
    return error


def _translated(path: str, error: apsw.Error) -> LlamaAgentError | None:
    # A full quota and an exceeded file size limit arrive as failed writes, a full disk below the WAL's index as a
    # failed growth of it; FullError is the full disk alone.
    if getattr(error, "extendedresult", None) in {apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_SHMSIZE}:
        return StoreFullError(f"{path} cannot be written: no space, or over a quota or a size limit")
    for theirs, ours, meaning, hint in _OURS:
        if isinstance(error, theirs):
            return ours(f"{path} {meaning}: {error}", hint=hint)
    return None
