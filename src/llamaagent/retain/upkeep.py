"""What keeps the database small, after a pass: roll up, delete what is old, give the WAL's space back once a day.

All of it may be left undone: what one pass does not get to, a later one does.
"""

from __future__ import annotations

from llamaagent.retain.prune import DAY_S, prune
from llamaagent.retain.rollup import roll_up
from llamaagent.store.samples import SampleStore
from llamaagent.store.wal import empty_wal, wal_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.base.clock import Clock
    from llamaagent.domain.settings import Settings
    from llamaagent.store.types import Connection

BUDGET_S = 0.2  # of rolling up after one pass
_WAL_BYTES = 64 << 20  # a reader holds the WAL: what can wait is not written into it
_EMPTIED = "wal_emptied_ts"


def keep_up(
    db: Connection, settings: Settings, clock: Clock, *, short: bool = False, early: bool = False
) -> None:
    """Do what is due, for a few hundred milliseconds at most.

    short: the disk is short, so the WAL keeps its file: it may be the only room left to write. early: it is so short
    that samples go before their time. Raises what SQLite raises; everything before is done.
    """
    if wal_bytes(db) > _WAL_BYTES and not empty_wal(db):
        return
    roll_up(db, clock, BUDGET_S)
    prune(db, settings, clock.now(), early=early)
    if not short:
        _empty_wal_daily(db, clock.now())


def _empty_wal_daily(db: Connection, now: int) -> None:
    samples = SampleStore(db)
    last = samples.metadata(_EMPTIED)
    if last is not None and 0 <= now - int(last) < DAY_S:
        return
    if empty_wal(db):
        with db:
            samples.set_metadata(_EMPTIED, str(now), now)
