"""For how long nobody has asked a server anything, and whether that is long enough to stop it. Pure.

Activity is told by the server's own token counters, its requests in progress and what its log says of finished ones:
never by a question that would wake it. The wall clock and the clock since boot must agree, so that setting the one or
sleeping on the other stops nothing.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain.wish import Wish, in_force

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.wish import Override


class Activity(NamedTuple):
    """What is remembered of one launch: its tokens when users last moved them, and when that was, by both clocks.

    own_tokens: what our own probes have used; the server counts them too.
    """

    tokens_seen: int | None = None
    active_ts: int | None = None
    active_boottime_s: int | None = None
    own_tokens: int = 0


def idle_s(
    seen: Activity, tokens: int | None, in_progress: int | None, now: int, boottime_s: int
) -> int | None:
    """Seconds since the last sign of use, the less of both clocks; None = in use, or not known.

    tokens, in_progress: as the server counts them now. Never negative: a clock that was set back makes it 0.
    """
    if seen.active_ts is None or seen.active_boottime_s is None or tokens is None or in_progress is None:
        return None
    # What we asked for in this very pass may not be counted yet; fewer tokens than users had is a count begun anew.
    if in_progress > 0 or seen.tokens_seen is None:
        return None
    if not seen.tokens_seen <= tokens <= seen.tokens_seen + seen.own_tokens:
        return None
    return max(0, min(now - seen.active_ts, boottime_s - seen.active_boottime_s))


def idle_stop(profile: Profile, override: Override | None, idle: int | None, now: int) -> Wish | None:
    """The wish to stop a running server that nobody asks; None = it runs on. An operator's `start` outranks it."""
    limit = profile.idle.stop_after_s
    if limit is None or idle is None or idle < limit:
        return None
    if override is not None and override.action == "start" and in_force(override, profile, now):
        return None
    return Wish(wanted=False, reason="idle", detail=f"nobody asked for {idle} s")
