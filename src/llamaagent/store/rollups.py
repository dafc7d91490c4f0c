"""Roll-ups and their watermarks, as they are stored. What to roll, and when, is decided in retain/.

Six lines in time, kept in `metadata`, each moved in the transaction that does what it says:

- `rollup_300_ts`, `rollup_3600_ts`, `rollup_86400_ts`: buckets that end before are rolled up.
- `rollup_sealed_ts`: before it samples are being deleted, so no bucket there can be made from samples again.
- `rollup_300_from_ts`, `rollup_3600_from_ts`: before it roll-ups of that resolution are deleted.

A sample that comes later than its bucket was rolled (the clock was set back) either sends the watermarks back, and
the bucket is made anew, or, where samples are missing already, is added to the buckets in its own transaction.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from apsw import Connection

RESOLUTIONS_S = (300, 3600, 86400)
TABLES = ("system", "gpu", "instance")

_SQL = statements("retention")
_SAMPLES = statements("samples")


class Lines(NamedTuple):
    """The lines of the module's paragraph; rolled: by resolution. None: nothing was ever rolled."""

    rolled: tuple[int | None, int | None, int | None]
    sealed: int
    kept_from: tuple[int, int, int]  # by resolution; days are never deleted, so 0

    def finest(self) -> int:
        """Samples before this are in the roll-ups; 0 when none are."""
        return self.rolled[0] or 0


class RollupStore:
    """Roll-ups of one open database. Methods that write expect the caller's transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def lines(self) -> Lines:
        """The lines as they are now; read them in the transaction that goes by them."""
        known = {str(key): int(value or 0) for key, value in self._db.execute(_SQL["select_lines"])}
        return Lines(
            (known.get("rollup_300_ts"), known.get("rollup_3600_ts"), known.get("rollup_86400_ts")),
            known.get("rollup_sealed_ts", 0),
            (known.get("rollup_300_from_ts", 0), known.get("rollup_3600_from_ts", 0), 0),
        )

    def set_rolled(self, resolution_s: int, upto_ts: int, now: int) -> None:
        """Buckets that end by then are rolled up."""
        self._set(f"rollup_{resolution_s}_ts", upto_ts, now)

    def set_kept_from(self, resolution_s: int, from_ts: int, now: int) -> None:
        """Roll-ups of the resolution before that are deleted."""
        self._set(f"rollup_{resolution_s}_from_ts", from_ts, now)

    def set_sealed(self, sealed_ts: int, now: int) -> None:
        """Samples before that are being deleted."""
        self._set("rollup_sealed_ts", sealed_ts, now)

    def next_sample(self, from_ts: int) -> int | None:
        """The time of the first sample that is not older."""
        row = self._db.execute(_SQL["select_next_sample"], {"ts": from_ts}).fetchone()
        return None if row is None or row[0] is None else int(row[0])

    def next_rollup(self, resolution_s: int, from_ts: int) -> int | None:
        """The time of the first roll-up that is not older."""
        given = {"resolution_s": resolution_s, "ts": from_ts}
        row = self._db.execute(_SQL["select_next_rollup"], given).fetchone()
        return None if row is None or row[0] is None else int(row[0])

    def gather(self, resolution_s: int, from_ts: int, to_ts: int) -> None:
        """Make the buckets of a range from the samples."""
        given = {"resolution_s": resolution_s, "from_ts": from_ts, "to_ts": to_ts}
        self._clear(given)
        for table in TABLES:
            self._db.execute(statements("gathering")[f"gather_{table}"], {**given, "sign": 1})

    def raise_from(self, finer_s: int, resolution_s: int, from_ts: int, to_ts: int) -> None:
        """Make the buckets of a range from those of the finer resolution."""
        given = {"resolution_s": resolution_s, "from_ts": from_ts, "to_ts": to_ts}
        self._clear(given)
        for table in TABLES:
            self._db.execute(statements("raising")[f"raise_{table}"], {**given, "finer_s": finer_s})

    def share(self, ts: int, sign: int) -> None:
        """Add the samples of one moment to their buckets at every resolution (sign 1), or take them out (-1)."""
        for resolution_s in RESOLUTIONS_S:
            given = {"resolution_s": resolution_s, "from_ts": ts, "to_ts": ts + 1, "sign": sign}
            for table in TABLES:
                self._db.execute(statements("gathering")[f"gather_{table}"], given)

    def reopen(self, ts: int, now: int) -> None:
        """Samples of that moment change: the buckets they are in will be made anew."""
        for resolution_s, rolled in zip(RESOLUTIONS_S, self.lines().rolled, strict=True):
            start = ts // resolution_s * resolution_s
            if rolled is not None and rolled > start:
                self.set_rolled(resolution_s, start, now)

    def add_requests(self, ts: int, requests: int) -> None:
        """Requests of a moment whose samples are in sealed buckets."""
        self._db.execute(_SQL["add_rolled_requests"], {"requests": requests, "ts": ts})

    def _clear(self, given: dict[str, int]) -> None:
        for table in TABLES:
            self._db.execute(_SQL[f"delete_{table}_rollups"], given)

    def _set(self, key: str, value: int, now: int) -> None:
        self._db.execute(_SAMPLES["set_metadata"], {"key": key, "value": str(value), "ts": now})


class LateSample:
    """A sample of a time that is rolled up already. Use around the statements that add it, in their transaction."""

    def __init__(self, db: Connection, ts: int) -> None:
        self._store = RollupStore(db)
        self._ts = ts
        self._sealed = ts < self._store.lines().sealed

    def __enter__(self) -> None:
        if self._sealed:  # what is there of that very second is taken out, and comes back with the new
            self._store.share(self._ts, -1)
        else:
            self._store.reopen(self._ts, self._ts)

    def __exit__(self, kind: object, *_: object) -> None:
        if self._sealed and kind is None:
            self._store.share(self._ts, 1)
