"""Which resolution answers for which part of a span: roll-ups for weeks and years, the samples for a day.

A chart has at most 550 buckets, so nothing finer than its bucket is read where something coarser is there: a year costs
no more than a month. What the coarse roll-ups do not reach yet (or no longer), finer (or coarser) ones fill in.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llamaagent.sql import statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llamaagent.report.series import Database, Window

RAW_S = 2 * 86400  # up to here the samples themselves are read, where they are there
_FINEST_S = 300

Part = tuple[int, int, int]  # resolution_s, from_ts, to_ts


def choose_parts(
    reach: Mapping[int, tuple[int, int]], from_ts: int, to_ts: int, bucket_s: int
) -> tuple[Part, ...]:
    """Cover a span by roll-ups, one part after the other; () = read the samples.

    reach: resolution (0 = samples) -> from when and to when it is there.
    """
    if to_ts - from_ts <= RAW_S and _measured(reach, from_ts, bucket_s):
        return ()
    rolled = sorted((size for size in reach if size), reverse=True)
    if not rolled:
        return ()
    wanted = next((size for size in rolled if size <= bucket_s), rolled[-1])
    parts: list[Part] = []
    at = from_ts
    for size in (size for size in rolled if size > wanted):  # further back than the finer ones are kept
        begins = reach[max(finer for finer in rolled if finer < size)][0]
        upto = min(to_ts, -(-begins // size) * size)
        if at < upto and begins >= max(at, reach[size][0]) + size:
            parts.append((size, at, upto))
            at = upto
    for size in (size for size in rolled if size <= wanted):  # where it is not complete yet, the finer ones
        upto = min(to_ts, reach[size][1])
        if at < upto:
            parts.append((size, at, upto))
            at = upto
    return tuple(parts)


def _measured(reach: Mapping[int, tuple[int, int]], from_ts: int, bucket_s: int) -> bool:
    """Whether the samples reach back to there, or as far as anything does."""
    if 0 not in reach or _FINEST_S not in reach:
        return True
    return reach[0][0] - bucket_s - _FINEST_S <= max(from_ts, reach[_FINEST_S][0])


def read_reach(db: Database) -> dict[int, tuple[int, int]]:
    """From when and to when each resolution is there."""
    rows: Iterable[Any] = db.execute(statements("longreport")["read_spans"])
    return {size: (begin, end) for size, begin, end in rows}


def long_statement(db: Database, statement: str, window: Window) -> tuple[str, dict[str, object]] | None:
    """The statement over roll-ups, and what to bind, for a source of charts.toml; None: read the samples."""
    text = statements("longreport").get(statement)
    if text is None:
        return None
    parts = choose_parts(read_reach(db), window.from_ts, window.to_ts, window.bucket_s)
    if not parts:
        return None
    return text, {"parts": json.dumps(parts), "bucket_s": window.bucket_s}
