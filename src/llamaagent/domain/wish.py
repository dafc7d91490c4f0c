"""Is a profile wanted now, and who says so? Pure.

Precedence when wishes differ: operator's stop, operator's start, then the profile's own `state`.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.profile import Profile


class Override(NamedTuple):
    """An operator's word, a row of `overrides`. until_ts None = until reset or until the file's state changes."""

    profile: str
    action: str  # start | stop | restart | detach
    created_ts: int
    until_ts: int | None
    state_seen: str | None  # the profile's own state when it was said
    user: str | None
    done_ts: int | None  # restart only: when the old launch was stopped for it


class Wish(NamedTuple):
    """wanted, and the reason word for it; detail is for people."""

    wanted: bool
    reason: str
    detail: str | None = None


def in_force(override: Override | None, profile: Profile | None, now: int) -> bool:
    """Does the override still count: not expired, and the file's own `state` is what it was."""
    if override is None:
        return False
    if override.until_ts is not None and now >= override.until_ts:
        return False
    return not (
        profile is not None and override.state_seen is not None and override.state_seen != profile.state
    )


def wish(profile: Profile, override: Override | None, now: int) -> Wish:
    """Decide whether a declared profile is wanted."""
    if override is not None and in_force(override, profile, now):
        who = f"by {override.user}" if override.user else None
        if override.action == "detach":
            return Wish(wanted=False, reason="override", detail=f"detached {who}" if who else "detached")
        if override.action == "stop":
            return Wish(wanted=False, reason="override", detail=f"stopped {who}" if who else "stopped")
        if override.action in {"start", "restart"}:
            word = f"{override.action}ed"
            return Wish(wanted=True, reason="override", detail=f"{word} {who}" if who else word)
    if profile.state == "stopped":
        return Wish(wanted=False, reason="state", detail="the profile's state is stopped")
    return Wish(wanted=True, reason="declared")
