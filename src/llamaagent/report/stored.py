"""What the database holds, table by table: rows, bytes, from when to when, and how long that is kept.

Rows and bytes are counted while the file is small. Of a large one a build tells what upkeep noted with the last backup.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llamaagent.report.figures import format_duration
from llamaagent.report.model import Stored, StoredTable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.report.reading import Reader

    Sizes = Mapping[str, tuple[int | None, int | None]]  # table -> rows, bytes

_SMALL_BYTES = 4 * 1024 * 1024  # up to here all pages are read in some milliseconds
_ROLLUPS = "rollups_"


def read_stored(reader: Reader, kept: tuple[tuple[str, int | None], ...]) -> Stored:
    """All of it, the largest first. kept: (table, seconds or None = for ever) as the settings say."""
    told = {name: "for ever" if keep_s is None else format_duration(keep_s) for name, keep_s in kept}
    sizes, noted_ts = _read_sizes(reader)
    tables = [
        StoredTable(
            name, *sizes.get(name, (None, None)), from_ts, to_ts, _words(name, kept_by, told), kept_by
        )
        for name, from_ts, to_ts, kept_by in reader.db.execute(reader.sql["read_tables"])
    ]
    named = {one.name for one in tables}
    return Stored(
        tuple(sorted(tables, key=lambda one: (-(one.size_bytes or 0), -(one.row_count or 0), one.name))),
        sum(size or 0 for name, (_, size) in sizes.items() if name not in named) or None,
        noted_ts,
        {
            int(name.removeprefix(_ROLLUPS)): words
            for name, words in told.items()
            if name.startswith(_ROLLUPS)
        },
    )


def _words(name: str, kept_by: str | None, told: Mapping[str, str]) -> str:
    """How long rows are kept; nothing where a setting says so that nobody told us."""
    return told.get(name, "" if kept_by or not told else "for ever")


def _read_sizes(reader: Reader) -> tuple[Sizes, int | None]:
    """(rows and bytes of each table, when they were noted: None = counted now)."""
    ((noted, size_bytes),) = reader.db.execute(reader.sql["read_table_sizes"])
    if size_bytes <= _SMALL_BYTES:
        from llamaagent.store.info import table_sizes

        db: Any = reader.db
        counted = {one.name: (one.rows, one.size_bytes) for one in table_sizes(db)}
        rows = () if counted else reader.db.execute(reader.sql["read_table_rows"])
        return counted or {name: (count, None) for name, count in rows}, None
    if noted is None:
        return {}, None
    found = json.loads(noted)
    return {name: (count, size) for name, (count, size) in found["tables"].items()}, int(found["ts"])
