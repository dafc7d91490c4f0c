"""What the database holds, table by table: rows, bytes, from when to when, and how long that is kept.

To count rows and bytes is to read the whole file, so that is done once a day, or when it has grown by a quarter. Of a
large one a build tells what upkeep noted with the last backup.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from llamaagent.report.figures import format_duration
from llamaagent.report.model import Stored, StoredTable
from llamaagent.report.notes import find_note, leave_note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.report.reading import Reader

    Sizes = Mapping[str, tuple[int | None, int | None]]  # table -> rows, bytes

_COUNTED_BYTES = 64 * 1024 * 1024  # up to here all pages are read in a fraction of a second
_DAY_S = 86_400
_NOTE = "tables.json"
_ROLLUPS = "rollups_"


def read_stored(
    reader: Reader, kept: tuple[tuple[str, int | None], ...], cache_directory: str | None = None
) -> Stored:
    """All of it, the largest first. kept: (table, seconds or None = for ever) as the settings say."""
    told = {name: "for ever" if keep_s is None else format_duration(keep_s) for name, keep_s in kept}
    sizes, noted_ts = _read_sizes(reader, cache_directory)
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


def _read_sizes(reader: Reader, cache_directory: str | None) -> tuple[Sizes, int | None]:
    """(rows and bytes of each table, when they were counted: None = never yet)."""
    ((noted, size_bytes),) = reader.db.execute(reader.sql["read_table_sizes"])
    if size_bytes <= _COUNTED_BYTES:
        kept = _recall(cache_directory, size_bytes, reader.now)
        if kept is not None:
            return kept
        counted = _count(reader)
        if cache_directory is not None:
            note = {"ts": reader.now, "size_bytes": size_bytes, "tables": counted}
            leave_note(os.path.join(cache_directory, _NOTE), json.dumps(note))
        return counted, reader.now
    if noted is None:
        return {}, None
    found = json.loads(noted)
    return _sizes(found["tables"]), int(found["ts"])


def _count(reader: Reader) -> Sizes:
    """Read every page once; where SQLite cannot tell sizes, rows alone."""
    from llamaagent.store.info import table_sizes

    db: Any = reader.db
    counted = {one.name: (one.rows, one.size_bytes) for one in table_sizes(db)}
    rows = () if counted else reader.db.execute(reader.sql["read_table_rows"])
    return counted or {name: (count, None) for name, count in rows}


def _recall(folder: str | None, size_bytes: int, now: int) -> tuple[Sizes, int] | None:
    """What an earlier build counted, while the file has hardly grown since, and for a day."""
    if folder is None:
        return None
    try:
        found = json.loads(find_note(os.path.join(folder, _NOTE)))
        young = 0 <= now - found["ts"] < _DAY_S
        alike = found["size_bytes"] <= size_bytes <= 1.25 * found["size_bytes"]
        return (_sizes(found["tables"]), int(found["ts"])) if young and alike else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _sizes(tables: Mapping[str, Any]) -> Sizes:
    return {name: (count, size) for name, (count, size) in tables.items()}
