"""What a verb does once its wish is recorded: passes for its profiles, until they are as wished or the answer is no."""

from __future__ import annotations

import sys

from llamaagent.base.errors import NOT_FINE, REFUSED, UNAVAILABLE
from llamaagent.cli.output import clean, say
from llamaagent.cli.run import timeout_s
from llamaagent.cli.site import context
from llamaagent.domain import instance as st
from llamaagent.domain.plan import HOLD, WAIT
from llamaagent.domain.wish import wish
from llamaagent.reconcile.passes import run_pass
from llamaagent.store.locks import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.plan import Action
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.passes import PassResult
    from llamaagent.store.types import Connection

_POLL_S = 0.1
_SOON = frozenset({"gpu-releasing", "pulling"})  # holds that are over by themselves
_NOT_REACHED = frozenset({"no-engine", "missing-image"})


def reach(
    values: Values,
    opened: Opened,
    db: Connection,
    names: frozenset[str],
    reached: Callable[[Instance, bool], bool],
    *,
    approved: bool = False,
    evicts: bool = False,
    anew: bool = False,
) -> int:
    """Pass for these names until they are as wished, refused, or the time is up.

    reached: asked of a row, and of whether its profile as it is in force is wanted. evicts: others make way for them
    as in a pass for all. anew: what runs counts only when it is a launch of this time.
    """
    until = opened.clock.monotonic() + timeout_s(values)
    ctx = context(opened, db, only=names, approved=approved)._replace(evicts=evicts)
    while True:
        with Lock(opened.database, "pass").take(opened.clock, max(0.0, until - opened.clock.monotonic())):
            result = run_pass(ctx, sample=False)
        ctx = ctx._replace(counting=False)
        running = _wanted(ctx, result)
        rows = [row for row in result.rows if row.profile in names]
        said = _not_now(result, rows)
        missing = [
            row for row in rows if not reached(row, row.profile in running) or (anew and row.profile in said)
        ]
        if not missing:
            _say_reached(values, rows)
            return 0
        if _tell_fetching(values, missing):  # an image takes as long as it takes
            until = max(until, opened.clock.monotonic() + _POLL_S)
        late = opened.clock.monotonic() >= until
        answers = {row.profile: _refusal(row, said.get(row.profile), late=late) for row in missing}
        if all(answers.values()):
            for answer in answers.values():
                say(str(answer))
            return UNAVAILABLE if all(row.reason in _NOT_REACHED for row in missing) else REFUSED
        if late or all(
            answers[row.profile] or row.status == st.ERROR for row in missing
        ):  # passes change nothing
            for row in missing:
                say(f"{row.profile}: {row.status}, {row.reason}: {row.detail or ''}".rstrip(": "))
            return NOT_FINE
        opened.clock.sleep(_POLL_S)


def _tell_fetching(values: Values, rows: list[Instance]) -> bool:
    """Whether images are being fetched; how far they are is shown on a terminal."""
    fetched = [row for row in rows if row.status == st.CREATED and row.reason == "pulling"]
    if fetched and sys.stderr.isatty() and not values.flag("quiet"):
        text = f"{fetched[0].profile}: {clean(fetched[0].detail or '')}"
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    return bool(fetched)


def _say_reached(values: Values, rows: list[Instance]) -> None:
    for row in () if values.flag("quiet") else rows:
        say(
            f"{row.profile}: {row.status}"
            + (f" at {row.host}:{row.port}" if row.status == st.RUNNING else "")
        )


def _not_now(result: PassResult, rows: list[Instance]) -> dict[str, Action]:
    """What was said last of those that are not launched now: held, or waiting for room that is being made."""
    last = {action.profile: action for action in result.actions}
    names = {row.profile for row in rows if row.status in {st.CREATED, *st.LIVE}}
    return {name: last[name] for name in names if name in last and last[name].kind in {HOLD, WAIT}}


def _refusal(row: Instance, said: Action | None, *, late: bool) -> str | None:
    """The answer to whoever asked, when it is no; None while it may still become yes."""
    lives = row.status in st.LIVE
    if not lives and row.status != st.CREATED:
        return None
    reason, detail = (said.reason, said.detail) if lives and said is not None else (row.reason, row.detail)
    comes = reason in _SOON or (said is not None and said.kind == WAIT)  # that is over soon
    if (lives and said is None) or (comes and not late):
        return None
    runs_on = "what ran runs on" if said is None or said.kind == HOLD else "what ran runs on until then"
    return f"{row.profile}: refused, {reason}: {detail}" + (f"; {runs_on}" if lives else "")


def _wanted(ctx: Context, result: PassResult) -> frozenset[str]:
    """The profiles that are wanted now, by whoever says so."""
    said, rows = ctx.wishes.overrides(), {row.profile: row for row in result.rows}
    profiles, now = result.declared.profiles.items(), ctx.clock.now()
    return frozenset(name for name, p in profiles if wish(p, said.get(name), now, rows.get(name)).wanted)
