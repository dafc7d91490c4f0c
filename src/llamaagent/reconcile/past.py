"""What the database and the disk say of a launch that failed. Imported only when there is one."""

from __future__ import annotations

from llamaagent.domain.faults import PERMANENT
from llamaagent.reconcile.again import Past
from llamaagent.reconcile.inputs import first_changed
from llamaagent.store.supervision import SupervisionStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context


def past_of(ctx: Context, row: Instance, profile: Profile) -> Past:
    """Ask for what the rules need to know of this failed launch, and for no more."""
    recent = SupervisionStore(ctx.db).recent_failures(row, profile.restart.give_up_within_s, ctx.clock.now())
    past = Past(recent)
    if row.reason in PERMANENT or row.gave_up_ts is not None:
        past = past._replace(changed=first_changed(ctx, row, profile))
    if row.ready_ts is not None or not profile.update.rollback:
        return past
    found = ctx.wishes.healthy_before(row.profile, row.launch_hash or "")
    if found is not None:
        past = past._replace(healthy_hash=found.profile_hash, declared_at=found.declared_at)
    return past._replace(ever_healthy=ctx.wishes.ever_healthy(row.profile, row.launch_hash or ""))
