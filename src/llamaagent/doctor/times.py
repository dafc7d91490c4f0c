"""Looking at time: a clock that is set, time zones that are not known, passes that come too seldom."""

from __future__ import annotations

import os

from llamaagent.doctor.finding import ERROR, INFO, WARNING, Finding
from llamaagent.launch.environ import host_timezone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.doctor.finding import Case
    from llamaagent.domain.profile import Profile

_WEEK_S = 7 * 86400
_BIG_STEP_S = 60
_FEW = 3  # so many spaces between passes say nothing yet
_LATE_S = 900  # a hung server that nobody notices for longer


def clock(case: Case) -> Iterator[Finding]:
    """Steps of the wall clock in the last week, as the passes noticed them."""
    steps = [
        (int(str(row["ts"])), int(str(row["clock_step_s"])))
        for row in _select(case, "list_clock_steps", {"since": case.clock.now() - _WEEK_S})
    ]
    finding = judge_steps(steps)
    if finding is not None:
        yield finding


def judge_steps(steps: list[tuple[int, int]]) -> Finding | None:
    """(when, by how many seconds), newest first."""
    if not steps:
        return None
    level = WARNING if any(abs(step) >= _BIG_STEP_S for _, step in steps) else INFO
    times = "once" if len(steps) == 1 else f"{len(steps)} times"
    what = f"it was set {times} in the last week, last by {steps[0][1]:+d} s"
    return Finding(level, "clock", what, "timedatectl set-ntp true; timedatectl timesync-status")


def spacing(case: Case) -> Iterator[Finding]:
    """Passes as they really come, against what the profiles' health settings expect."""
    seconds = sorted(int(str(row["interval_s"])) for row in _select(case, "list_pass_spacing"))
    if len(seconds) < _FEW:
        return
    usual = seconds[len(seconds) // 2]
    for profile in case.site.profiles:
        finding = judge_spacing(profile, usual) if profile.state == "running" else None
        if finding is not None:
            yield finding


def judge_spacing(profile: Profile, spacing_s: int) -> Finding | None:
    """One profile. spacing_s: the median of the seconds between passes."""
    health = profile.health
    often = "llamaagent install systemd (its loop passes every `interval`)"
    if health.start_timeout_s is not None and 2 * spacing_s > health.start_timeout_s:
        what = (
            f"passes come every {spacing_s} s and start_timeout is {health.start_timeout_s} s: "
            "a server that loads is given up before it was looked at twice"
        )
        return Finding(
            WARNING, profile.name, what, f"health: {{start_timeout: {4 * spacing_s}s}}, or: {often}"
        )
    noticed = spacing_s * health.failures
    if noticed > _LATE_S:
        what = (
            f"passes come every {spacing_s} s: with failures: {health.failures} a server that hangs "
            f"is noticed after {noticed // 60} min"
        )
        return Finding(WARNING, profile.name, what, often)
    if health.stuck_after_s is not None and health.stuck_after_s < spacing_s:
        what = f"stuck_after is {health.stuck_after_s} s, and passes come only every {spacing_s} s"
        return Finding(INFO, profile.name, what, often)
    return None


def zones(case: Case) -> Iterator[Finding]:
    """Time zones of schedules: known here, and the same for a shell and for cron."""
    host = host_timezone(os.path.dirname(case.etc.rstrip("/")).rstrip("/"))
    plain = [p.name for p in case.site.profiles if p.schedule is not None and p.schedule.timezone is None]
    if plain and host is None:
        what = (
            f"this host does not say which zone it is in; the windows of {', '.join(plain)} are taken as UTC"
        )
        yield Finding(
            INFO, "time zone", what, "timedatectl set-timezone Europe/Berlin, or schedule: {timezone: …}"
        )
    named = {
        p.schedule.timezone for p in case.site.profiles if p.schedule is not None and p.schedule.timezone
    }
    for name in sorted(named | ({host} if plain and host else set())):
        if not _known(name):
            yield Finding(
                ERROR,
                f"time zone {name}",
                "it is not known on this host",
                "apt install tzdata, or: pip install tzdata",
            )


def _known(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        return False
    return True


def _select(case: Case, name: str, given: dict[str, int] | None = None) -> tuple[dict[str, object], ...]:
    """Rows of a statement; none without a database."""
    from llamaagent.store.connect import open_database
    from llamaagent.store.read import select

    if not os.path.exists(case.database):
        return ()
    db = open_database(case.database, write=False)
    try:
        return tuple(dict(row) for row in select(db, name, given).rows)
    finally:
        db.close()
