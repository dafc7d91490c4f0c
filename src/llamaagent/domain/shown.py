"""What people are shown: one short state for each profile, derived from its row, its wish and the time. Pure."""

from __future__ import annotations

from llamaagent.domain import instance as st

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.wish import Wish

HELD_WORDS = {
    "gpu-memory": "no GPU memory",
    "gpu-missing": "card not visible",
    "missing-model": "model file missing",
    "missing-binary": "llama-server missing",
    "missing-secret": "secret missing",
    "port-taken": "port taken",
    "unsupported": "not supported yet",
    "not-found": "not running",
}


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th."""
    if number % 100 in {11, 12, 13}:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def state(
    status: str | None,
    reason: str | None,
    *,
    wish: Wish | None,
    restarts: int = 0,
    retry_ts: int | None = None,
    now: int,
) -> str:
    """The short state. status None: no launch yet. wish None: no file declares it any more."""
    if status in {st.RUNNING, st.LOADING, st.UNHEALTHY, st.STOPPING}:
        return str(status)
    if status == st.CREATED:
        return f"held: {HELD_WORDS.get(reason or '', reason or 'unknown')}"
    if status == st.DELETED:
        return "retired"
    if wish is not None and not wish.wanted:
        return wish.detail if wish.reason == "override" and wish.detail else "stopped"
    if wish is None:
        return "retired" if reason in {"retired", "host"} else "stopped"
    if status == st.ERROR:
        if retry_ts is None:
            return "gone" if reason == "lost" else "crashed"
        return f"crashed, retry in {max(0, retry_ts - now)}s ({ordinal(restarts + 1)})"
    return "not started" if status is None else "stopped"


def is_problem(status: str | None, wish: Wish | None) -> bool:
    """Wanted, and not running nor on its way: what `status` exits 1 for and cron is told about."""
    return wish is not None and wish.wanted and status not in {st.RUNNING, st.LOADING, st.STOPPING}
