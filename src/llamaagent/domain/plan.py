"""What a pass decides: actions, each with a reason from a fixed list, prose, and the arithmetic behind it. Pure."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple

# Action kinds, which are also the words in `decisions.action`.
START = "start"  # commit an intent and spawn
HOLD = "hold"  # wanted, cannot be launched now
ADOPT = "adopt"  # a live process of ours gets its row, or its row gets its pid
READY = "ready"  # loading -> running
UNHEALTHY = "unhealthy"  # running -> unhealthy
RECOVERED = "recovered"  # unhealthy -> running
STOP = "stop"  # -> stopping
SIGNAL = "signal"  # the next signal of a stop
END = "end"  # seen gone, -> stopped or error
CANCEL = "cancel"  # created -> stopped: no longer wanted before it was launched
GUARD = "guard"  # too many would be retired at once: none is
FAILING = "failing"  # a health probe failed, below the limit; counted, not journalled
STUCK = "stuck"  # busy without getting on, or alive after SIGKILL
HEALED = "healed"  # the count of failed probes goes back to 0; not journalled
GIVE_UP = "give_up"  # error stays error: not launched again until something changes
ROLLBACK = "rollback"  # the newest revision is refused, the last healthy one is in force
DETACH = "detach"  # an operator: forgotten, left running
FORGET = "forget"  # an operator's rm: stopped or error -> deleted
EVICT = "evict"  # -> stopping, to make room for a higher priority or for a lease
WAIT = "wait"  # wanted, and room is being made for it

# Reasons that users and scripts may rely on; docs/reasons.md explains each (a test holds the two together).
REASONS = (
    "declared",  # the profile's state is running
    "override",  # an operator's start or stop
    "state",  # the profile's state is stopped
    "schedule",  # its schedule: outside of it, or opened
    "idle",  # nobody asked for as long as idle.stop_after says
    "restart",  # an operator's restart
    "update",  # the launch hash changed
    "retired",  # no file declares it any more
    "host",  # declared, but not for this host
    "guard",  # retirement stopped by the guard
    "adopted",  # found alive without a row, or without its pid
    "healthy",  # the health probe answers
    "health",  # the health probe fails
    "start-timeout",  # not healthy within health.start_timeout
    "crash",  # ended by itself: exit status or signal in detail
    "exited",  # ended by itself with status 0
    "failed",  # ended by itself, and its log says only that it failed
    "oom-host",
    "oom-gpu",
    "bad-option",
    "bad-model",
    "bad-command",  # a container's command cannot be run in its image
    "missing-model",
    "missing-binary",
    "missing-image",  # the engine does not hold it, and it may not or cannot be fetched
    "pulling",  # the image is being fetched
    "no-engine",  # no container engine answers
    "outside",  # a container was stopped or removed through its engine by somebody else
    "missing-secret",
    "permission",  # a file may not be read or run by this user
    "port-taken",
    "gpu-memory",
    "gpu-missing",
    "gpu-releasing",  # the memory that would do is that of a launch which ended, and the driver has it still
    "memory",  # the machine's memory does not do
    "cpu",  # the machine's cores are claimed already
    "disk",  # a download would fill the disk
    "on-cpu",  # it has a card, and nothing of it is on one
    "quota",  # a limit of its project stands in the way
    "unsupported",  # declared, but what is here cannot launch it
    "reboot",  # the machine was started again since
    "not-launched",  # the agent died between its intent and the spawn
    "lost",  # gone, and nobody could record how
    "signal",  # the next signal of a stop
    "stuck",  # busy for longer than health.stuck_after without a new token
    "unkillable",  # it lives on after SIGKILL
    "watched",  # external: found running, not ours to start or stop
    "not-found",  # external: no such process now
    "detached",  # an operator's detach: forgotten, left running
    "rollback",  # the last healthy revision, after a newer one that never became healthy
    "changed-file",  # a file that stood in the way of the last launch is another one now
    "removed",  # an operator's rm
    "imported",  # a launch of another program's, out of its database
    "evicted",  # made way for a higher priority or a lease, and waits for room
    "queued",  # it would fit, but others wait in front of it for that room
)
# A launch held for one of these waits for room; between them it does not lose its place in the line.
ROOM = frozenset({"gpu-memory", "gpu-releasing", "memory", "cpu", "evicted", "queued"})


class Arithmetic(NamedTuple):
    """One figure of a decision: its name with the unit at the end, and its value."""

    name: str
    value: int | str | None


class Action(NamedTuple):
    """One thing to do or to record. instance_id None: there is no row yet."""

    kind: str
    profile: str
    instance_id: int | None
    reason: str
    detail: str | None = None
    arithmetic: tuple[Arithmetic, ...] = ()
    signal: str | None = None  # SIGNAL and STOP: TERM or KILL; STOP None = wait for requests first
    due_ts: int | None = None  # STOP and SIGNAL: when the next signal is due; END: when to try again
    status: str | None = None  # END: stopped or error
    restarts: int | None = None  # END: failures in a row before this one, as they count from now on
    cards: tuple[
        tuple[str, int], ...
    ] = ()  # START: where it goes; WAIT: where it will go; uuid and MiB of each
    partner: str | None = None  # EVICT: for which profile


def is_change(action: Action) -> bool:
    """Whether it stops a launch only so that another one of the same profile takes its place."""
    return action.kind == STOP and action.reason in {"update", "restart"}


class Plan(NamedTuple):
    """What one look at the world leads to, in the order in which it is done."""

    actions: tuple[Action, ...] = ()

    def journalled(self) -> tuple[Action, ...]:
        """The actions that get a row in `decisions`."""
        return tuple(a for a in self.actions if a.kind not in {FAILING, HEALED})
