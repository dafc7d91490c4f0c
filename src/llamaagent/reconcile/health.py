"""What a health probe says about a launch, and what follows from it. Pure."""

from __future__ import annotations

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain import sight as seen
from llamaagent.domain.plan import Action, Arithmetic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.sight import Sight
    from llamaagent.reconcile.decide import Subject


def healthy(sight: Sight | None) -> bool:
    """The server answers well, and it is our server that answers."""
    return sight is not None and sight.health == seen.OK and sight.listener in {"ours", "unknown"}


def judge(subject: Subject, row: Instance, sight: Sight, now: int) -> list[Action]:
    """What one probe leads to: ready, unhealthy, recovered, a count that moves, or nothing."""
    well = healthy(sight)
    figures = (Arithmetic("http_status", sight.http_status), Arithmetic("health_ms", sight.health_ms))
    if row.status == st.LOADING:
        if well:
            took = now - (row.launched_ts or now)
            return [
                Action(
                    act.READY,
                    row.profile,
                    row.id,
                    "healthy",
                    f"seen healthy {took} s after the launch",
                    figures,
                )
            ]
        return []
    if sight.health == seen.NOT_ASKED:
        return []
    limit = subject.profile.health.failures if subject.profile is not None else 3
    if well:
        if row.status == st.UNHEALTHY:
            return [Action(act.RECOVERED, row.profile, row.id, "healthy", None, figures)]
        return [Action(act.HEALED, row.profile, row.id, "healthy")] if row.failures else []
    if not subject.counts:
        return []
    detail = _sick(sight)
    counted = (*figures, Arithmetic("failures", row.failures + 1), Arithmetic("limit", limit))
    if row.status == st.RUNNING and row.failures + 1 >= limit:
        return [Action(act.UNHEALTHY, row.profile, row.id, "health", detail, counted)]
    return [Action(act.FAILING, row.profile, row.id, "health", detail, counted)]


def _sick(sight: Sight) -> str:
    if sight.listener == "stranger":
        return "another program answers on its port"
    if sight.http_status is not None:
        return f"health answered {sight.http_status}"
    return f"health probe: {sight.health}"
