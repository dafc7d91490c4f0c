"""The life of a launch as one table: from which state which action leads where. Pure.

`decide` yields nothing else, `perform` refuses anything else, and docs/lifecycle.md shows this very table.
Time is no part of it: when a transition is due is decided elsewhere, with `now` handed in.
"""

from __future__ import annotations

from llamaagent.base.errors import BUG, LlamaAgentError
from llamaagent.base.record import NamedTuple
from llamaagent.domain import instance as st
from llamaagent.domain import plan as act

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.plan import Action

NONE = "none"  # no launch of this profile yet
_IDLE = (NONE, st.STOPPED, st.ERROR, st.DELETED)  # nothing lives, a launch may begin
_UP = (st.LOADING, st.RUNNING, st.UNHEALTHY)


class LifecycleError(LlamaAgentError):
    """An action that the table does not know from this state: a mistake of ours, so nothing is done."""

    exit_code = BUG


class Transition(NamedTuple):
    """One row: in state `begin` the action leads to state `end`. journalled: it gets a row in `decisions`."""

    begin: str
    action: str
    end: str
    when: str
    journalled: bool = True


def _from(begins: tuple[str, ...], action: str, end: str, when: str) -> tuple[Transition, ...]:
    return tuple(Transition(begin, action, end, when) for begin in begins)


def _at(
    states: tuple[str, ...], action: str, when: str, *, journalled: bool = True
) -> tuple[Transition, ...]:
    return tuple(Transition(state, action, state, when, journalled) for state in states)


TABLE: tuple[Transition, ...] = (
    *_from((*_IDLE, st.CREATED), act.START, st.LOADING, "wanted, and everything that can say no says yes"),
    *_from((*_IDLE, st.CREATED), act.HOLD, st.CREATED, "wanted, and something says no: tried again each pass"),
    *_from((*_IDLE, st.CREATED), act.WAIT, st.CREATED, "wanted, and room is being made for it"),
    Transition(st.CREATED, act.CANCEL, st.STOPPED, "held, and not wanted any more"),
    *_from((*_IDLE, st.CREATED), act.ADOPT, st.LOADING, "found alive without a row"),
    *_at((*_UP, st.STOPPING), act.ADOPT, "found alive by its launch id, its pid was not stored yet"),
    Transition(st.LOADING, act.READY, st.RUNNING, "the probe answers, and our process listens"),
    *_at((st.RUNNING, st.UNHEALTHY), act.FAILING, "a probe failed: counted", journalled=False),
    *_at((st.RUNNING,), act.HEALED, "a probe answers after some that failed", journalled=False),
    Transition(st.RUNNING, act.UNHEALTHY, st.UNHEALTHY, "`health.failures` probes failed, or it runs on the CPU"),
    *_from((st.RUNNING, st.UNHEALTHY), act.STUCK, st.UNHEALTHY, "busy for `health.stuck_after` without a new token"),
    Transition(st.UNHEALTHY, act.RECOVERED, st.RUNNING, "the probe answers again, and it is on its card"),
    *_at(_UP, act.HOLD, "a changed profile, or a restart, is refused: the old launch runs on"),
    *_at(_UP, act.WAIT, "room is being made for a changed profile or a restart: the old launch runs on"),
    *_at(_UP, act.GUARD, "too many would be retired at once: it runs on"),
    *_from(_UP, act.STOP, st.STOPPING, "not wanted, changed, unhealthy for too long, or it never became healthy"),
    *_from(_UP, act.EVICT, st.STOPPING, "a higher priority, or a lease that may evict, needs its room"),
    *_at((st.STOPPING,), act.SIGNAL, "the next signal is due"),
    *_at((st.STOPPING,), act.STUCK, "it lives on after SIGKILL: told, and it keeps what it holds"),
    *_from((*_UP, st.STOPPING), act.END, st.STOPPED, "gone as asked, or nothing was wrong (a reboot)"),
    *_from((*_UP, st.STOPPING), act.END, st.ERROR, "gone by itself, or stopped for a fault"),
    *_from((*_UP, st.STOPPING), act.DETACH, st.STOPPED, "an operator's detach: forgotten, left running"),
    Transition(st.CREATED, act.DETACH, st.STOPPED, "an operator's detach of what was held"),
    *_at((st.ERROR,), act.GIVE_UP, "`restart.give_up_after` is reached: not launched until something changes"),
    *_at((st.ERROR,), act.ROLLBACK, "a changed profile never became healthy: its last healthy revision is next"),
    *_from((st.STOPPED, st.ERROR), act.FORGET, st.DELETED, "an operator's rm of what no file declares"),
)  # fmt: skip
_ENDS: dict[tuple[str, str], tuple[str, ...]] = {}
for _row in TABLE:
    _ENDS[_row.begin, _row.action] = (*_ENDS.get((_row.begin, _row.action), ()), _row.end)


def follows(status: str | None, action: Action) -> str:
    """The state to which an action leads. status None: no launch yet.

    Raises LifecycleError when the table does not have it.
    """
    ends = _ENDS.get((status or NONE, action.kind), ())
    if len(ends) == 1:
        return ends[0]
    if action.status in ends:
        return str(action.status)
    raise LifecycleError(f"{action.profile}: no way from {status or NONE} by {action.kind} ({action.reason})")


def as_markdown() -> str:
    """The table for docs/lifecycle.md: rows with the same action, end and meaning share a line."""
    lines = ["| from | action | to | when |", "|---|---|---|---|"]
    shown: dict[tuple[str, str, str], list[str]] = {}
    for row in TABLE:
        end = "the same" if row.begin == row.end else row.end
        action = f"`{row.action}`" + ("" if row.journalled else " (counted only)")
        shown.setdefault((action, end, row.when), []).append(row.begin)
    lines += [f"| {', '.join(begins)} | {a} | {end} | {when} |" for (a, end, when), begins in shown.items()]
    return "\n".join(lines)
