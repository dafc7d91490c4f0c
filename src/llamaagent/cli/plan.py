"""`plan`: what a pass would do now, decided by the same function, done by nobody."""

from __future__ import annotations

from llamaagent.base.errors import WORK_TO_DO
from llamaagent.cli.output import emit, say
from llamaagent.cli.run import refuse_broken_settings
from llamaagent.cli.site import context, load, matching, reading
from llamaagent.reconcile.passes import preview

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values

_COLUMNS = ("action", "profile", "reason", "detail", "instance_id", "signal", "arithmetic")


def run(values: Values) -> int:
    """Print the plan; with --exit-code, 10 when there is something to do."""
    opened = load(values)
    refuse_broken_settings(opened)
    with reading(opened) as db:
        ctx = context(opened, db)
        names = values.many("name")
        if names:
            known = {p.name for p in opened.site.profiles} | {row.profile for row in ctx.instances.newest()}
            ctx = ctx._replace(only=matching(names, known))
        plan, _, _, declared = preview(ctx)
    actions = plan.journalled()
    rows = [
        {
            "action": action.kind,
            "profile": action.profile,
            "reason": action.reason,
            "detail": action.detail,
            "instance_id": action.instance_id,
            "signal": action.signal,
            "arithmetic": {figure.name: figure.value for figure in action.arithmetic},
        }
        for action in actions
    ]
    for fault in opened.site.faults:
        say(str(fault))
    for name, text in declared.kept.items():
        say(f"{name}: {text}")
    emit(values, rows, _COLUMNS, shown=("action", "profile", "reason", "detail"), empty="nothing to do")
    return WORK_TO_DO if actions and values.flag("exit_code") else 0
