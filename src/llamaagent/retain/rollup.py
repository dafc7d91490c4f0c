"""Samples into 5-minute, hourly and daily roll-ups: bucket after bucket, each slice a short transaction.

A bucket is made when its time is over, always whole and anew, so doing it twice changes nothing; the watermark moves in
the same transaction, so whoever is killed has done whole slices. Coarse buckets are made from finer ones, or from the
samples where the finer are deleted already.
"""

from __future__ import annotations

from llamaagent.store.rollups import RESOLUTIONS_S, RollupStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.base.clock import Clock
    from llamaagent.store.rollups import Lines
    from llamaagent.store.types import Connection

_SLICES_S = (3600, 86400, 10 * 86400)  # of each resolution, in one transaction
_FAR = 1 << 62


def roll_up(db: Connection, clock: Clock, budget_s: float | None = None) -> bool:
    """Roll up what is complete; False when budget_s (None = no limit) was over before all was done.

    Opens a transaction for each slice; what SQLite raises leaves the slices before it done.
    """
    until = None if budget_s is None else clock.monotonic() + budget_s
    store = RollupStore(db)
    now = clock.now()
    for level in range(len(RESOLUTIONS_S)):
        while True:
            with db:
                more = _slice(store, level, now)
            if not more:
                break
            if until is not None and clock.monotonic() >= until:
                return False
    return True


def _slice(store: RollupStore, level: int, now: int) -> bool:
    """One slice of one resolution; False when there is nothing left. The caller holds the transaction."""
    resolution_s = RESOLUTIONS_S[level]
    lines = store.lines()
    end = _complete_upto(lines, level, now)
    start = lines.rolled[level] or 0
    if start >= end:
        return False
    start = max(start, min(end, _next_bucket(store, lines, level, start)))
    upto = min(end, start + _SLICES_S[level])
    _make(store, lines, level, start, upto)
    store.set_rolled(resolution_s, upto, now)
    return upto < end


def _complete_upto(lines: Lines, level: int, now: int) -> int:
    """Buckets of a resolution that end by then are complete: in time, and in the finer ones they are made of."""
    resolution_s = RESOLUTIONS_S[level]
    known = now if level == 0 else min(now, lines.rolled[level - 1] or 0)
    return known // resolution_s * resolution_s


def _next_bucket(store: RollupStore, lines: Lines, level: int, start: int) -> int:
    """The first bucket from `start` on that has anything in it: a gap of years costs no slice."""
    if level == 0:
        found = store.next_sample(start)
    elif start < lines.kept_from[level - 1]:
        return start
    else:
        found = store.next_rollup(RESOLUTIONS_S[level - 1], start)
    return _FAR if found is None else found // RESOLUTIONS_S[level] * RESOLUTIONS_S[level]


def _make(store: RollupStore, lines: Lines, level: int, start: int, upto: int) -> None:
    """Make the buckets of a range, each from the finer ones, or from the samples where those are deleted."""
    resolution_s = RESOLUTIONS_S[level]
    finer_from = upto if level == 0 else min(upto, max(start, lines.kept_from[level - 1]))
    whole = max(start, -(-lines.sealed // resolution_s) * resolution_s)
    if whole < finer_from:
        store.gather(resolution_s, whole, finer_from)
    if finer_from < upto:
        store.raise_from(RESOLUTIONS_S[level - 1], resolution_s, finer_from, upto)
