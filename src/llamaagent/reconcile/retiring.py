"""Retirement and its guard: what nobody declares any more goes, but never many at once without a word.

What the guard spares stays in force, restarts included, until `run --once --yes`; the approval counts for
exactly what it was given for.
"""

from __future__ import annotations

import json

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.domain.instance import Instance
    from llamaagent.domain.plan import Plan
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.decide import Subject
    from llamaagent.reconcile.declared import Declared

_APPROVED = "approved_retirements"
_HELD_BACK = "held_back_retirements"


def held_back(ctx: Context) -> frozenset[str]:
    """Profiles whose retirement the guard has stopped, and nobody has approved."""
    stored = None if ctx.approved else ctx.samples.metadata(_HELD_BACK)
    return frozenset(json.loads(stored)) if stored is not None else frozenset()


def hold_back(ctx: Context, plan: Plan, declared: Declared) -> None:
    """When the guard stops a retirement, everything that is gone stays in force until it is approved."""
    guarded = any(action.kind == act.GUARD for action in plan.actions)
    done = ctx.approved and ctx.only is None and ctx.samples.metadata(_HELD_BACK) is not None
    if not guarded and not done:
        return
    names = {name for name, reason in declared.gone.items() if reason == "retired"} if guarded else set()
    with ctx.db:
        ctx.samples.set_metadata(_HELD_BACK, json.dumps(sorted(names | held_back(ctx))), ctx.clock.now())


def approved(ctx: Context, subjects: Iterable[Subject]) -> bool:
    """`--yes` approves what would be retired now, and is remembered for exactly that."""
    retired = sorted(s.name for s in subjects if s.profile is None)
    if len(retired) < 3:
        return ctx.approved
    if not ctx.approved:
        return frozenset(retired) <= frozenset(json.loads(ctx.samples.metadata(_APPROVED) or "[]"))
    with ctx.db:
        ctx.samples.set_metadata(_APPROVED, json.dumps(retired), ctx.clock.now())
    return True


def retire(ctx: Context, declared: Declared, rows: Iterable[Instance]) -> None:
    """What no file declares any more and does not run is not looked for again."""
    live = {row.profile for row in rows if row.status not in st.OVER}
    if not any(name in live for name in declared.gone) and ctx.samples.metadata(_APPROVED) is not None:
        with ctx.db:  # carried out: the same folder emptied again is another matter
            ctx.samples.delete_metadata(_APPROVED)
    live |= held_back(ctx)
    for name, reason in declared.gone.items():
        if reason == "retired" and name not in live and ctx.chosen(name):
            ctx.wishes.retire(name, ctx.clock.now())
