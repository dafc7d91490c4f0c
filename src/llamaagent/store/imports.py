"""Rows of another program, as they come in: each put where it belongs, once, in the caller's transaction.

What is here already is never changed by an import. A row without a name of its own is known again by a digest.
"""

from __future__ import annotations

import hashlib

from llamaagent.sql import statements
from llamaagent.store.applied import rows_of
from llamaagent.store.columns import SECTIONS
from llamaagent.store.importrolls import GPU, INSTANCE, SYSTEM, Rolls
from llamaagent.store.rollups import RESOLUTIONS_S, RollupStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apsw import Connection, SQLiteValue

    from llamaagent.config.argv import ArgValue

    Row = dict[str, SQLiteValue]

_SQL = statements("imports")
_TABLES = statements("config_tables")
_DAY_S = 86400
_SAMPLES = {"insert_system_sample": SYSTEM, "insert_gpu_sample": GPU, "insert_instance_sample": INSTANCE}
LEFTOVERS = {
    "memory": ("defrag_thold",),
    "gpu": ("list_devices",),
    "advanced": ("fit",),
    "lora": ("model_url_draft", "ctx_size_draft", "spec_replace"),
}


class ImportStore:
    """An open database that takes rows in. now: Unix seconds, of the whole import."""

    def __init__(self, db: Connection, now: int) -> None:
        self._db = db
        self.now = now
        self.rolls = Rolls(db, now)
        self._only_rolled_before = 0  # measurements before that may be in the roll-ups alone

    def put(self, statement: str, row: Mapping[str, SQLiteValue]) -> bool:
        """Run one of sql/imports.sql; False when the row was here already."""
        self._db.execute(_SQL[statement], row)
        return self._db.changes() > 0

    def find(self, statement: str, given: Mapping[str, SQLiteValue]) -> int | None:
        """The id that a select of sql/imports.sql finds."""
        row = self._db.execute(_SQL[statement], given).fetchone()
        return None if row is None else int(row[0])

    def names(self) -> set[str]:
        """Every profile that has been declared or launched."""
        return {str(name) for (name,) in self._db.execute(_SQL["list_names"])}

    def is_new(self, *identity: object) -> bool:
        """Note a row by what makes it that row; False when it came in before."""
        digest = hashlib.blake2b(repr(identity).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        return self.put("insert_digest", {"digest": digest, "ts": self.now})

    def last_id(self) -> int:
        """Of the row that was put last."""
        return self._db.last_insert_rowid()

    def sample(self, statement: str, row: Row, *, keep_s: int | None) -> bool:
        """Keep a measurement: as it is while it is young enough (keep_s, None = always), and in the roll-ups.

        False when there is a measurement of that second already; then it counts nowhere.
        """
        ts, series = row["ts"], _SAMPLES[statement]
        # Whole days, so that no bucket is made of rows of which only a part is still there.
        start = -1 if keep_s is None else (self.now - keep_s) // _DAY_S * _DAY_S
        stored = {name: value for name, value in row.items() if series is SYSTEM or name != "interval_s"}
        if isinstance(ts, int) and ts < start:
            self._only_rolled_before = max(self._only_rolled_before, start)
            if self.rolls.is_last(series, row):
                return False
        elif not self.put(statement, stored):
            return False
        self.rolls.add(series, row)
        return True

    def finish(self) -> None:
        """Write the roll-ups that are open, and see to it that none is made anew where its samples are not here.

        The site's own samples, if there are any, have to be in the roll-ups before the import begins.
        """
        if not self.rolls.used:
            return
        self.rolls.flush()
        rollups = RollupStore(self._db)
        lines = rollups.lines()
        for resolution_s, rolled in zip(RESOLUTIONS_S, lines.rolled, strict=True):
            if rolled is None:
                rollups.set_rolled(resolution_s, self.now // resolution_s * resolution_s, self.now)
        if self._only_rolled_before > lines.sealed:
            rollups.set_sealed(self._only_rolled_before, self.now)

    def model(self, row: Row, args: Iterable[tuple[str, ArgValue]], leftovers: Row) -> int | None:
        """Write an imported model with its options; None when there is one of that name already."""
        if not self.put("insert_model", row):
            return None
        given: Row = {"model_id": self.last_id(), "ts": self.now, "hf_token": None}
        given |= {"profile": None, "profile_hash": None}
        for name, columns in rows_of(args, SECTIONS).items():
            self._db.execute(_TABLES[f"write_{name}"], {**columns, **given})
        for name, left in LEFTOVERS.items():
            values = {column: leftovers.get(column) for column in left}
            if any(value is not None for value in values.values()):
                self.put(f"update_{name}_leftovers", {**values, "model_id": given["model_id"]})
        return int(str(given["model_id"]))
