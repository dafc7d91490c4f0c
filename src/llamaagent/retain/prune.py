"""What is too old goes: a little after each pass, never more than five intervals' worth, or at once by hand.

Old means older than min(now, newest sample + 2 intervals) less what the settings keep, so a clock that goes wrong for a
while costs next to nothing. Samples go only when they are in the roll-ups.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.store.retention import SAMPLES, RetentionStore
from llamaagent.store.rollups import RESOLUTIONS_S, RollupStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.settings import Settings
    from llamaagent.store.types import Connection

DAY_S = 86400
YEAR_S = 365 * DAY_S
_INTERVALS = 5  # whose rows may go in one pass
_ROWS = 2000  # of a table in one pass, however many an interval had
_ROLLUPS_KEPT_S = (90 * DAY_S, 2 * YEAR_S)  # 5 minutes, an hour; days for ever
_EARLY_S = DAY_S  # what a short disk leaves of samples
_ENOUGH_PAGES = 256


class Kept(NamedTuple):
    """How long rows of a table are kept; None = for ever."""

    table: str
    keep_s: int | None


def kept(settings: Settings) -> tuple[Kept, ...]:
    """Every table that retention is about."""
    keep_s = (
        settings.retain_instance_samples_s,
        settings.retain_system_samples_s,
        settings.retain_system_samples_s,
    )
    return (
        *(Kept(table, s) for table, s in zip(SAMPLES, keep_s, strict=True)),
        Kept("generations", settings.retain_generations_s),
        Kept("logs", settings.retain_logs_s),
        Kept("log_tails", settings.retain_logs_s),
        Kept("notifications", settings.retain_logs_s),
        Kept("decisions", YEAR_S),
        Kept("health_checks", YEAR_S),
        Kept("api_cache", 0),
    )


def periods(settings: Settings) -> tuple[tuple[str, int | None], ...]:
    """(table, seconds, None = for ever) of all that is kept for a while; roll-ups go by `rollups_SECONDS`."""
    rolled = zip(RESOLUTIONS_S, (*_ROLLUPS_KEPT_S, None), strict=True)
    return (*kept(settings), *((f"rollups_{size}", keep_s) for size, keep_s in rolled))


def edge(now: int, newest: int | None, spacing_s: int) -> int | None:
    """From when ages count: a jump of the clock moves it no further than the samples go. None: nothing is old."""
    return None if newest is None else min(now, newest + 2 * spacing_s)


def prune(db: Connection, settings: Settings, now: int, *, early: bool = False) -> bool:
    """Delete what is due of every table, in one transaction; False when nothing was.

    early: the disk is so short that samples which are in the roll-ups go before their time.
    """
    store = RetentionStore(db)
    with db:
        spacing_s = store.spacing_s() or settings.interval_s
        counted = edge(now, store.newest_sample(), spacing_s)
        if counted is None:
            return False
        limit_s = _INTERVALS * spacing_s
        done = [_take(db, store, one, counted, limit_s, now) for one in kept(settings)]
        if early and store.free_pages() < _ENOUGH_PAGES:
            done += [_take(db, store, Kept(table, _EARLY_S), counted, limit_s, now) for table in SAMPLES]
        done += [_take_rollups(db, store, level, counted, now) for level in range(len(_ROLLUPS_KEPT_S))]
    return any(done)


def _take(db: Connection, store: RetentionStore, kept: Kept, counted: int, limit_s: int, now: int) -> bool:
    """Delete the oldest of one table, at most limit_s seconds' worth."""
    if kept.keep_s is None:
        return False
    cut = counted - kept.keep_s
    oldest = store.oldest(kept.table, cut)
    if oldest is None or oldest >= cut:
        return False
    return delete(db, store, kept.table, min(cut, oldest + limit_s), _ROWS, now) > 0


def delete(db: Connection, store: RetentionStore, table: str, upto_ts: int, limit: int, now: int) -> int:
    """Delete rows of a table that are older, as far as they may go. The caller holds the transaction."""
    if table not in SAMPLES:
        return store.delete(table, upto_ts, limit)
    rollups = RollupStore(db)
    lines = rollups.lines()
    upto_ts = min(upto_ts, lines.finest())
    gone = store.delete(table, upto_ts, limit)
    if gone:
        rollups.set_sealed(_sealed(max(lines.sealed, _up(upto_ts, RESOLUTIONS_S[0])), lines.kept_from), now)
    return gone


def prune_rollups(db: Connection, counted: int, now: int) -> None:
    """Delete all roll-ups that are too old, in one transaction."""
    with db:
        for level in range(len(_ROLLUPS_KEPT_S)):
            _take_rollups(db, RetentionStore(db), level, counted, now, counted)


def _take_rollups(
    db: Connection, store: RetentionStore, level: int, counted: int, now: int, buckets: int = _INTERVALS
) -> bool:
    """Delete the oldest roll-ups of a resolution, a few buckets' worth, and only what coarser ones hold."""
    rollups = RollupStore(db)
    lines = rollups.lines()
    resolution_s, coarser_s = RESOLUTIONS_S[level], RESOLUTIONS_S[level + 1]
    cut = min(counted - _ROLLUPS_KEPT_S[level], lines.rolled[level + 1] or 0) // coarser_s * coarser_s
    oldest = rollups.next_rollup(resolution_s, 0)
    if oldest is None or oldest >= cut:
        return False
    upto = min(cut, oldest + buckets * resolution_s)
    store.delete_rollups(resolution_s, upto)
    line = max(lines.kept_from[level], _up(upto, coarser_s))
    rollups.set_kept_from(resolution_s, line, now)
    others = (*lines.kept_from[:level], line, *lines.kept_from[level + 1 :])
    sealed = _sealed(lines.sealed, others)
    if sealed != lines.sealed:
        rollups.set_sealed(sealed, now)
    return True


def _sealed(sealed: int, kept_from: tuple[int, ...]) -> int:
    """No bucket may be sealed in part whose finer ones are deleted: then it could be made from neither."""
    for level in (1, 2):
        if kept_from[level - 1] > sealed // RESOLUTIONS_S[level] * RESOLUTIONS_S[level]:
            sealed = _up(sealed, RESOLUTIONS_S[level])
    return sealed


def _up(ts: int, step_s: int) -> int:
    return -(-ts // step_s) * step_s
