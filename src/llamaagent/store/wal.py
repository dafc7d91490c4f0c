"""The write-ahead log as a file: how large it is, and giving its space back."""

from __future__ import annotations

import os

import apsw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from apsw import Connection


def wal_bytes(db: Connection) -> int:
    """The size of the WAL beside an open database; 0 without one."""
    try:
        return os.stat(f"{db.filename}-wal").st_size
    except OSError:
        return 0


def empty_wal(db: Connection, busy_timeout_ms: int = 10_000) -> bool:
    """Write everything into the database and cut the WAL to nothing; False when a reader stands in the way.

    Waits for nobody. busy_timeout_ms: what the connection waits afterwards.
    """
    db.set_busy_timeout(0)
    try:
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.BusyError:
        return False
    finally:
        db.set_busy_timeout(busy_timeout_ms)
    return True
