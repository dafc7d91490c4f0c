"""Is a profile wanted now, and who says so? Pure.

Precedence when wishes differ: operator's stop, operator's start, the schedule, idleness, then the profile's own
`state`. (That the agent gave up stands between start and schedule, and is no wish: see decide.)
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain import instance as st

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.schedule import Place

_STEP_BACK_S = 3600  # a clock that was set back by no more than this repeats nothing


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
    """wanted, and the reason word for it; detail is for people. until_ts: when it changes by itself, if known."""

    wanted: bool
    reason: str
    detail: str | None = None
    until_ts: int | None = None


def in_force(override: Override | None, profile: Profile | None, now: int) -> bool:
    """Does the override still count: not expired, and the file's own `state` is what it was."""
    if override is None:
        return False
    if override.until_ts is not None and now >= override.until_ts:
        return False
    return not (
        profile is not None and override.state_seen is not None and override.state_seen != profile.state
    )


def wish(profile: Profile, override: Override | None, now: int, row: Instance | None = None) -> Wish:
    """Decide whether a declared profile is wanted. row: its newest launch, which may have been stopped for idleness."""
    said = override if override is not None and in_force(override, profile, now) else None
    if said is not None and said.action != "restart":
        return _spoken(said)
    where = None
    if profile.schedule is not None:
        from llamaagent.domain.schedule import place

        where = place(profile.schedule, _steady(now, row))
        if said is not None and not place(profile.schedule, said.created_ts).open:
            return _spoken(said)  # who says restart outside the schedule means just that
        if not where.open:
            until = where.next_ts if profile.state != "stopped" else None
            return Wish(wanted=False, reason="schedule", detail="outside its schedule", until_ts=until)
    if row is not None and _idle(profile, said, row, where):
        return Wish(wanted=False, reason="idle", detail="nobody asked", until_ts=_opens_again(profile, where))
    if said is not None:
        return _spoken(said)
    if profile.state == "stopped":
        return Wish(wanted=False, reason="state", detail="the profile's state is stopped")
    if where is not None:
        return Wish(wanted=True, reason="schedule", detail="within its schedule", until_ts=where.next_ts)
    return Wish(wanted=True, reason="declared")


def _spoken(said: Override) -> Wish:
    """An operator's word as a wish."""
    word = {"stop": "stopped", "detach": "detached"}.get(said.action, f"{said.action}ed")
    detail = f"{word} by {said.user}" if said.user else word
    return Wish(wanted=said.action in {"start", "restart"}, reason="override", detail=detail)


def _steady(now: int, row: Instance | None) -> int:
    """Now, or the last change of the row, when the clock was set back behind it a little: no change is made twice."""
    if row is not None and now < row.since_ts <= now + _STEP_BACK_S:
        return row.since_ts
    return now


def _idle(profile: Profile, said: Override | None, row: Instance, where: Place | None) -> bool:
    """Tell whether it was stopped for idleness, and nothing has happened since that brings it back."""
    if row.status != st.STOPPED or row.reason != "idle":
        return False
    if row.launch_hash is not None and row.launch_hash != profile.launch_hash:
        return False
    ended = row.ended_ts or row.since_ts
    if said is not None and said.created_ts >= ended:
        return False
    return where is None or where.since_ts is None or where.since_ts <= ended


def _opens_again(profile: Profile, where: Place | None) -> int | None:
    """The next time at which its schedule opens, seen from within it."""
    if profile.schedule is None or where is None or where.next_ts is None:
        return None
    from llamaagent.domain.schedule import place

    return place(profile.schedule, where.next_ts).next_ts
