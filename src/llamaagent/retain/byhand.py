"""`db prune`: everything that is too old, at once, by the settings or by what the person says."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.retain.prune import delete, kept, prune_rollups
from llamaagent.store.retention import SAMPLES, RetentionStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.domain.settings import Settings
    from llamaagent.store.types import Connection

_BATCH = 5000  # rows in one transaction, so that a pass never waits long
_ONLY_BY_AGE = frozenset({"api_cache"})  # what has expired is of no use to anybody


class Wanted(NamedTuple):
    """older_s: what is older goes (None: as the settings say); keep: so many newest rows of each table stay."""

    older_s: int | None = None
    keep: int | None = None


class Cut(NamedTuple):
    """Of `rows` rows of a table the `going` that are older than upto_ts are to go."""

    table: str
    upto_ts: int
    rows: int
    going: int

    @property
    def is_most(self) -> bool:
        """Whether that is more than half of them."""
        return self.going * 2 > self.rows


def cuts(
    db: Connection, settings: Settings, now: int, wanted: Wanted, *, counted: bool = True
) -> tuple[Cut, ...]:
    """What would go of each table. Samples that are not in the roll-ups yet never do. Reads only.

    counted: False leaves the counting out, which reads whole tables; then every table may have something.
    """
    from llamaagent.store.rollups import RollupStore

    store = RetentionStore(db)
    rolled = RollupStore(db).lines().finest()
    found = []
    for table, keep_s in kept(settings):
        older_s = keep_s if wanted.older_s is None or table in _ONLY_BY_AGE else wanted.older_s
        if wanted.older_s is None and wanted.keep is not None and table not in _ONLY_BY_AGE:
            older_s = 0
        upto = 0 if older_s is None else now - older_s
        if wanted.keep is not None and table not in _ONLY_BY_AGE:
            upto = min(upto, store.kept_from(table, wanted.keep) or 0) if wanted.keep else upto
        if table in SAMPLES:
            upto = min(upto, rolled)
        found.append(Cut(table, upto, *(store.count(table, upto) if counted else (1, 1))))
    return tuple(found)


def cut_all(db: Connection, chosen: Iterable[Cut], now: int) -> dict[str, int]:
    """Delete, in transactions of some thousand rows; gives how many rows went of each table."""
    store = RetentionStore(db)
    gone = {}
    for cut in chosen:
        gone[cut.table] = 0
        while cut.going:
            with db:
                some = delete(db, store, cut.table, cut.upto_ts, _BATCH, now)
            if not some:
                break
            gone[cut.table] += some
    prune_rollups(db, now, now)
    return gone
