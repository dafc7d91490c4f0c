"""One database for the threads of a long-lived program: a connection to read for each, one to write for all.

A file that was replaced meanwhile (`db restore`) is opened anew. A child made by fork opens its own connections
and never touches those of its parent: SQLite forbids to carry them over.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager, suppress

import apsw

from llamaagent.base.errors import LlamaAgentError, StorageError
from llamaagent.store.connect import forsake, has_moved, open_database
from llamaagent.store.errors import translate
from llamaagent.store.upgrade import upgrade

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_OF_THE_PARENT: list[object] = []  # kept so that nothing closes them here


class Connections:
    """Connections to one file. Every method may be called from any thread."""

    def __init__(self, path: str, *, busy_timeout_ms: int) -> None:
        self._path = path
        self._busy_timeout_ms = busy_timeout_ms
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._writer: apsw.Connection | None = None
        self._own = threading.local()
        self._readers: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()

    def _here(self) -> None:
        """Begin anew in a child made by fork."""
        if os.getpid() != self._pid:
            _OF_THE_PARENT.extend((self._writer, self._own, *self._readers))
            self._begin()

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """This thread's connection for reading. Raises what `open_database` and `translate` do."""
        self._here()
        db: apsw.Connection | None = getattr(self._own, "db", None)
        if db is not None and has_moved(db):
            forsake(db)
            db = None
        if db is None:
            db = open_database(self._path, write=False, busy_timeout_ms=self._busy_timeout_ms)
            self._own.db = db
            with self._lock:
                self._readers.add(db)
        with translate(self._path):
            yield db

    @contextmanager
    def writing(self) -> Iterator[apsw.Connection]:
        """The connection for writing; no other thread has it meanwhile. Raises as `reading`."""
        self._here()
        with self._lock:
            if self._writer is not None and has_moved(self._writer):
                forsake(self._writer)
                self._writer = None
            if self._writer is None:
                self._writer = self._open_writer()
            with translate(self._path):
                yield self._writer

    def _open_writer(self) -> apsw.Connection:
        """Open for writing. Raises StorageError where SQLite would open for reading instead, and say nothing."""
        db = open_database(self._path, busy_timeout_ms=self._busy_timeout_ms)
        if db.readonly("main"):
            db.close()
            raise StorageError(f"{self._path} may not be written by this account")
        return db

    def close(self) -> None:
        """Close what is open; a connection that its thread is using right now is closed when the thread lets go."""
        self._here()
        with self._lock:
            writer, self._writer = self._writer, None
            readers, self._own = tuple(self._readers), threading.local()
            self._readers.clear()
        for db in (writer, *readers):
            if db is not None:
                with suppress(apsw.Error, LlamaAgentError):
                    db.close()


class MemoryConnections:
    """The same for a database in memory, which all threads share one after the other."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._db: apsw.Connection | None = None

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """The one connection; no other thread has it meanwhile."""
        with self._lock:
            if self._db is None:
                self._db = apsw.Connection(":memory:")
                self._db.transaction_mode = "IMMEDIATE"
                upgrade(self._db, ":memory:")
            yield self._db

    writing = reading

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None
