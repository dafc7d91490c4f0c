"""Whether a loading server moves: only time without progress counts towards `health.start_timeout`.

By the clock since boot, so that a wall clock that was set neither kills a load nor spares a hung one.
"""

from __future__ import annotations

from llamaagent.domain import instance as st

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.domain.instance import Instance
    from llamaagent.domain.sight import Sight
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.observe import View

STEP_BYTES = 1 << 20  # less is log lines and answers to probes


def moved(row: Instance, sight: Sight) -> bool:
    """Whether it has come on since that was last stored. Memory that is let go is progress, too."""
    if sight.progress_bytes is None:
        return False
    return row.progress_bytes is None or abs(sight.progress_bytes - row.progress_bytes) >= STEP_BYTES


def stalled_s(row: Instance, sight: Sight, boottime: float) -> int | None:
    """Seconds since it last moved; None when that is not known."""
    if moved(row, sight):
        return 0
    if row.progress_boottime_s is None:
        return None
    return max(0, int(boottime) - row.progress_boottime_s)


def note_progress(ctx: Context, rows: Iterable[Instance], view: View) -> None:
    """Store how far each loading server has come, where it has."""
    from llamaagent.store.supervision import SupervisionStore

    for row in rows:
        sight = view.sights.get(row.id)
        if (
            row.status == st.LOADING
            and sight is not None
            and sight.progress_bytes is not None
            and moved(row, sight)
        ):
            boottime = int(ctx.clock.boottime())
            SupervisionStore(ctx.db).progress(row.id, sight.progress_bytes, boottime)
