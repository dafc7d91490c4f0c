"""What a server says of itself once it is healthy: its build and the context that a slot really has."""

from __future__ import annotations

import json

from llamaagent.collect.http import probe_all
from llamaagent.reconcile.wayin import target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context

_DEADLINE_S = 1.0


def learn_from_props(ctx: Context, row: Instance, profile: Profile | None) -> None:
    """Ask /props once, when the server became healthy. A server that does not answer it just stays unknown."""
    if row.host is None or row.port is None:
        return
    question = target(ctx, row, profile)._replace(key=row.id, path="/props")
    answer = probe_all([question], _DEADLINE_S, ctx.clock.monotonic).get(row.id)
    if answer is None or answer.status != 200:
        return
    try:
        props = json.loads(answer.body)
    except ValueError:
        return
    props = props if isinstance(props, dict) else {}
    generation = props.get("default_generation_settings")
    build = props.get("build_info")
    context = generation.get("n_ctx") if isinstance(generation, dict) else None
    with ctx.db:
        if isinstance(build, str):
            ctx.instances.build(row.id, build[:200])
        if isinstance(context, int) and 0 < context < 1 << 31:
            ctx.instances.effective(row.id, context, None)
