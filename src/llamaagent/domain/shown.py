"""What people are shown: one short state for each profile, derived from its row, its wish and the time. Pure."""

from __future__ import annotations

from llamaagent.domain import instance as st
from llamaagent.domain.faults import WORDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.wish import Wish

HELD_WORDS = {
    "gpu-memory": "no GPU memory",
    "gpu-missing": "card not visible",
    "gpu-releasing": "GPU memory is coming back",
    "memory": "no memory",
    "cpu": "no cores",
    "disk": "no disk space",
    **WORDS,
    "port-taken": "port taken",
    "quota": "quota",
    "unsupported": "not supported yet",
    "not-found": "not running",
    "queued": "waits its turn",
    "no-engine": "no container engine",
    "missing-image": "image missing",
    "pulling": "image is being fetched",
}

NOT_WANTED_WORDS = {"schedule": "outside schedule", "idle": "idle"}


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
    gave_up: bool = False,
    detail: str | None = None,
    now: int,
) -> str:
    """The short state. status None: no launch yet. wish None: no file declares it any more.

    detail: of the row; it tells for whom one was evicted.
    """
    if status in {st.RUNNING, st.LOADING, st.UNHEALTHY, st.STOPPING}:
        return _alive(str(status), reason)
    if status == st.CREATED or (status == st.STOPPED and reason == "evicted" and wish and wish.wanted):
        return _held(reason, detail)
    if status == st.DELETED:
        return "retired"
    if gave_up and wants(wish):
        return "gave up"
    if wish is not None and not wish.wanted:
        word = NOT_WANTED_WORDS.get(wish.reason, "stopped")
        return wish.detail if wish.reason == "override" and wish.detail else word
    if wish is None:
        return "retired" if reason in {"retired", "host"} else "stopped"
    if status == st.ERROR:
        return _failed(reason, restarts, retry_ts, now)
    return "not started" if status is None else "stopped"


def _held(reason: str | None, detail: str | None) -> str:
    """Wanted, and not launched now."""
    if reason == "evicted" and detail:
        return f"held: {detail.split(';', 1)[0]}"  # for whom
    return f"held: {HELD_WORDS.get(reason or '', reason or 'unknown')}"


def _alive(status: str, reason: str | None) -> str:
    """Of a launch of which something lives."""
    if (status, reason) == (st.UNHEALTHY, "on-cpu"):
        return "on CPU"
    return "stuck" if is_stuck(status, reason) else status


def _failed(reason: str | None, restarts: int, retry_ts: int | None, now: int) -> str:
    """Of a launch that ended by itself and is still wanted."""
    if reason == "on-cpu" and retry_ts is not None:
        return f"on CPU, retry in {max(0, retry_ts - now)}s"
    if reason in WORDS:
        return f"failed: {WORDS[reason]}"
    if retry_ts is None:
        return "gone" if reason == "lost" else "crashed"
    return f"crashed, retry in {max(0, retry_ts - now)}s ({ordinal(restarts + 1)})"


def is_stuck(status: str | None, reason: str | None) -> bool:
    """Busy and getting nowhere, or not to be killed."""
    return (status, reason) in {(st.UNHEALTHY, "stuck"), (st.STOPPING, "unkillable")}


def wants(wish: Wish | None) -> bool:
    """Whether giving up is what keeps it from running: that is stronger than a schedule, weaker than an operator."""
    return wish is not None and (wish.wanted or wish.reason in NOT_WANTED_WORDS)


def is_problem(
    status: str | None, wish: Wish | None, reason: str | None = None, *, gave_up: bool = False
) -> bool:
    """Wanted, and not running nor on its way: what `status` exits 1 for and cron is told about.

    What cannot be killed is a problem whether it is wanted or not: it keeps what it holds.
    """
    if is_stuck(status, reason) or (gave_up and wants(wish)):
        return True
    if (status, reason) == (st.CREATED, "gpu-releasing"):
        return False  # over in a minute, or it becomes a refusal
    return wish is not None and wish.wanted and status not in {st.RUNNING, st.LOADING, st.STOPPING}
