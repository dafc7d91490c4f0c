"""What there is to delete, table by table, and the deleting. What is too old is decided in retain/."""

from __future__ import annotations

from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from apsw import Connection

_SQL = statements("retention")
SAMPLES = ("instance_samples", "gpu_samples", "system_samples")


class RetentionStore:
    """Ages of one open database's rows. Methods that write expect the caller's transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def newest_sample(self) -> int | None:
        """The time of the newest sample."""
        return self._number("select_newest_sample")

    def spacing_s(self) -> int | None:
        """The usual time between passes of late."""
        return self._number("select_spacing")

    def oldest(self, table: str, upto_ts: int) -> int | None:
        """The age that counts of a table's oldest row; None when it has none. upto_ts: younger ones do not matter."""
        name = f"select_oldest_{table}"
        given = {"upto_ts": upto_ts} if ":upto_ts" in _SQL[name] else {}
        return self._number(name, **given)

    def delete(self, table: str, upto_ts: int, limit: int) -> int:
        """Delete rows older than upto_ts, the oldest first, about `limit` of them; gives how many went."""
        before = self._db.total_changes()
        given = {"upto_ts": upto_ts, "limit": limit}
        self._db.execute(_SQL[f"delete_{table}"], given)
        return self._db.total_changes() - before

    def delete_rollups(self, resolution_s: int, upto_ts: int) -> None:
        """Delete roll-ups of one resolution that are older."""
        given = {"resolution_s": resolution_s, "from_ts": 0, "to_ts": upto_ts}
        for table in ("system", "gpu", "instance"):
            self._db.execute(_SQL[f"delete_{table}_rollups"], given)

    def count(self, table: str, upto_ts: int) -> tuple[int, int]:
        """(rows in all, rows older than upto_ts)."""
        row = self._db.execute(_SQL[f"count_{table}"], {"upto_ts": upto_ts}).fetchone()
        return (0, 0) if row is None else (int(row[0]), int(row[1]))

    def kept_from(self, table: str, keep: int) -> int | None:
        """The age of the oldest of the newest `keep` rows (moments, for samples); None when there are fewer."""
        kept = "system_samples" if table in SAMPLES else table
        return self._number(f"select_kept_{kept}", keep=keep)

    def free_pages(self) -> int:
        """Pages that rows may use before the file has to grow."""
        return int(self._db.pragma("freelist_count"))

    def _number(self, name: str, **given: int) -> int | None:
        row = self._db.execute(_SQL[name], given).fetchone()
        return None if row is None or row[0] is None else int(row[0])
