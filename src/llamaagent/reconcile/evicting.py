"""How one that makes way is stopped: the action, for whomever it makes way."""

from __future__ import annotations

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.plan import Action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.eviction import Running
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.plan import Arithmetic
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context


def eviction_of(
    ctx: Context,
    victim: Running,
    row: Instance,
    profile: Profile,
    detail: str,
    figures: tuple[Arithmetic, ...],
) -> Action:
    """Stop it to make room. detail: for whom, up to the first semicolon."""
    now = ctx.clock.now()
    # As with idleness, the next look asks again for requests before a signal; one that loads cannot have any.
    loads = row.status == st.LOADING
    signal, due = ("TERM", now + profile.stop.grace_s) if loads else (None, now + profile.stop.drain_s)
    frees = tuple((share.uuid, share.memory_mib) for share in victim.shares)
    return Action(act.EVICT, victim.name, row.id, "evicted", detail, figures, signal, due, cards=frees)
