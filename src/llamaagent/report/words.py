"""What a row means, in words: the state of a profile, what is wrong, why something was decided. Pure.

Pages give instants, never ages, so that a page changes only when something happened.
"""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

from llamaagent.base.record import NamedTuple
from llamaagent.domain.faults import WORDS
from llamaagent.domain.profile import Schedule
from llamaagent.domain.schedule import place
from llamaagent.domain.shown import is_stuck
from llamaagent.report.figures import format_quantity
from llamaagent.report.times import format_instant

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from llamaagent.report.rows import GpuRow, LaunchRow, ProfileRow, Sampling, SystemRow, TroubleRow

GOOD, BUSY, WARN, BAD, OFF = "good", "busy", "warn", "bad", "off"
_RESTING = frozenset(
    {"idle", "detached", "exited", "schedule", "evicted", "retired", "override", "host", "state", "quota"}
)
_SLOW_LOAD_S = 600
_SILENCE_S = 600
_DISK_FULL = 0.95

_REASONS = {
    "gpu-memory": "no GPU memory",
    "gpu-missing": "no such card",
    "memory": "no memory",
    "quota": "over its quota",
    "port-taken": "port taken",
    "missing-model": "no model file",
    "bad-model": "model not readable",
    "missing-binary": "no llama-server",
    "missing-secret": "a secret is missing",
    "missing-image": "no image",
    "pulling": "image is being fetched",
    "no-engine": "no container engine",
    "bad-command": "command not in the image",
    "outside": "stopped from outside",
    "bad-option": "an option was refused",
    "permission": "permission denied",
    "oom-gpu": "out of GPU memory",
    "oom-host": "out of memory",
    "start-timeout": "never became healthy",
    "unsupported": "not supported",
    "not-found": "not running",
}
_ACTIONS = {
    "start": "started",
    "adopt": "adopted",
    "hold": "held",
    "refuse": "refused",
    "wait": "waiting",
    "keep": "kept",
    "ready": "healthy",
    "stop": "stopping",
    "signal": "signalled",
    "cancel": "cancelled",
    "restart": "restarted",
    "end": "ended",
    "crash": "crashed",
    "give_up": "gave up",
    "evict": "evicted",
    "retire": "retired",
    "guard": "guarded",
    "approve": "approved",
    "update": "updated",
    "rollback": "rolled back",
    "reserve": "reserved",
    "release": "released",
    "forget": "forgotten",
    "detach": "detached",
}
_CHANGES = {
    "declared": "is new",
    "changed": "has new content",
    "retired": "is no longer declared",
    "crash": "ended by itself",
    "build": "runs with another build",
    "hold": "was held",
    "refuse": "was refused",
    "give_up": "was given up",
    "evict": "was evicted",
    "rollback": "was rolled back",
    "adopt": "was adopted",
    "unhealthy": "does not answer its health probe",
    "stuck": "is stuck",
    "card": "is a card seen for the first time",
}


class State(NamedTuple):
    """How a profile is, for people; tone picks the colour, the word says the same without it."""

    word: str
    tone: str


class Problem(NamedTuple):
    """Something wrong. tone: bad or warn. profile: whose page tells more. ts: since when, if known."""

    tone: str
    profile: str | None
    text: str
    ts: int | None


def say_reason(reason: str | None) -> str:
    """The stable word as people say it; empty for None."""
    return _REASONS.get(reason or "", (reason or "").replace("-", " ").replace("_", " "))


def say_action(action: str) -> str:
    """What was done, as a past participle where English has one."""
    return _ACTIONS.get(action, action.replace("_", " "))


def say_change(kind: str) -> str:
    """What changed since yesterday, as the end of a sentence about the profile."""
    return _CHANGES.get(kind, say_action(kind))


def say_ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 11th.

    >>> [say_ordinal(n) for n in (1, 2, 3, 4, 11, 22)]
    ['1st', '2nd', '3rd', '4th', '11th', '22nd']
    """
    if number % 100 in {11, 12, 13}:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def say_end(launch: LaunchRow | ProfileRow) -> str:
    """How a launch ended: exit code or signal; empty while that is not known."""
    if launch.exit_signal is not None:
        try:
            return f"signal {signal.Signals(launch.exit_signal).name}"
        except ValueError:
            return f"signal {launch.exit_signal}"
    return "" if launch.exit_code is None else f"exit code {launch.exit_code}"


def describe_state(row: ProfileRow, zone: dt.tzinfo, now: int) -> State:
    """Say in a few words how a profile is."""
    gave_up = row.status == "error" and row.gave_up_ts is not None and _wanted(row)
    if row.status in {"error", "stopped"} and not gave_up and _closed(row, now):
        return State("outside its schedule", OFF)
    if row.status == "error":
        return _describe_error(row, zone, now)
    if row.status == "created":
        return State(f"held: {say_reason(row.reason)}" if row.reason else "held", WARN)
    if row.status == "stopped":
        return _describe_stopped(row)
    if is_stuck(row.status, row.reason):
        return State("stuck", BAD)
    tone = {"running": GOOD, "unhealthy": BAD}.get(row.status, BUSY)
    return State(row.status, tone)


def _describe_error(row: ProfileRow, zone: dt.tzinfo, now: int) -> State:
    if not _wanted(row):
        return State("ended by itself", OFF)
    if row.gave_up_ts is not None:
        return State("gave up", BAD)
    if row.retry_ts is not None:
        when = format_instant(row.retry_ts, zone, now)
        return State(f"crashed, next try {when} ({say_ordinal((row.restarts or 0) + 1)})", BAD)
    if row.reason in WORDS:  # not tried again before something changes
        return State(f"failed: {WORDS[row.reason]}", BAD)
    return State("gone" if row.reason == "lost" else "crashed", BAD)


def _describe_stopped(row: ProfileRow) -> State:
    if row.override == "stop":
        return State(f"stopped by {row.override_by}" if row.override_by else "stopped by an operator", OFF)
    if row.declared_state == "stopped":
        return State("stopped", OFF)
    if row.reason in _RESTING:
        return State("outside its schedule" if row.reason == "schedule" else say_reason(row.reason), OFF)
    if row.instance_id is None:
        return State("not started yet", WARN)
    return State("stopped", WARN)


def _closed(row: ProfileRow, now: int) -> bool:
    """Whether the schedule that the profile declares keeps it from running now, and nothing else does."""
    if row.override in {"start", "stop"} or row.declared_state == "stopped" or not row.document:
        return False
    found = json.loads(row.document).get("schedule")
    if not found:
        return False
    return not place(Schedule(tuple(found["windows"]), found.get("timezone")), now).open


def _wanted(row: ProfileRow) -> bool:
    return row.override != "stop" and (row.declared_state != "stopped" or row.override == "start")


def find_problems(
    profiles: Sequence[ProfileRow],
    gpus: Sequence[GpuRow],
    system: SystemRow | None,
    sampling: Sampling,
    trouble: Sequence[TroubleRow],
    zone: dt.tzinfo,
    now: int,
) -> tuple[Problem, ...]:
    """List what is wrong, the worst first."""
    problems = [*_find_silence(sampling, now)]
    for row in profiles:
        problems += _find_profile_problems(row, zone, now)
    problems += [
        Problem(BAD, None, f"Card {gpu.name or gpu.uuid} is {gpu.status}.", gpu.last_seen_ts)
        for gpu in gpus
        if gpu.status != "present"
    ]
    if system and system.disk_total_mib and (system.disk_used_mib or 0) > _DISK_FULL * system.disk_total_mib:
        free = format_quantity(system.disk_total_mib - (system.disk_used_mib or 0), "MiB")
        problems.append(
            Problem(WARN, None, f"The disk of the models is nearly full: {free} free.", system.ts)
        )
    if trouble:
        count = "an error" if len(trouble) == 1 else f"{len(trouble)} errors"
        problems.append(
            Problem(WARN, None, f"The agent logged {count}; the last: {trouble[0].message}", trouble[0].ts)
        )
    return tuple(sorted(problems, key=lambda problem: problem.tone != BAD))


def _find_silence(sampling: Sampling, now: int) -> list[Problem]:
    if sampling.last_ts is None:
        return [Problem(WARN, None, "The agent has taken no sample yet.", None)]
    if now - sampling.last_ts > max(_SILENCE_S, 3 * (sampling.period_s or 0)):
        return [
            Problem(
                BAD,
                None,
                "The agent has taken no sample since; what follows is how things were then.",
                sampling.last_ts,
            )
        ]
    return []


def _find_profile_problems(row: ProfileRow, zone: dt.tzinfo, now: int) -> list[Problem]:
    found = []
    state = describe_state(row, zone, now)
    detail = f": {row.detail}" if row.detail else ""
    if state.tone == BAD and row.status == "error":
        found.append(
            Problem(BAD, row.profile, f"{state.word}{detail or _in_brackets(say_end(row))}", row.since_ts)
        )
    elif state.tone == BAD:
        matter = "is stuck" if is_stuck(row.status, row.reason) else "does not answer its health probe"
        found.append(Problem(BAD, row.profile, f"{matter}{detail}", row.since_ts))
    elif state.tone == WARN:
        found.append(Problem(WARN, row.profile, f"{state.word}{detail}", row.since_ts))
    elif row.status == "loading" and row.since_ts is not None and now - row.since_ts > _SLOW_LOAD_S:
        found.append(Problem(WARN, row.profile, "is still loading", row.since_ts))
    if row.crashes and row.status != "error":
        times = "once" if row.crashes == 1 else f"{row.crashes} times"
        found.append(Problem(WARN, row.profile, f"ended by itself {times} in the last day", None))
    if row.refused_ts is not None and row.refusal:
        found.append(
            Problem(WARN, row.profile, f"its newest revision was refused: {row.refusal}", row.refused_ts)
        )
    return found


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""
