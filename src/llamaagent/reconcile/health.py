"""What a health probe says about a launch, and what follows from it. Pure."""

from __future__ import annotations

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain import sight as seen
from llamaagent.domain.plan import Action, Arithmetic
from llamaagent.domain.profile import Health
from llamaagent.domain.wish import Wish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.sight import Sight
    from llamaagent.reconcile.decide import Subject


def healthy(sight: Sight | None) -> bool:
    """The server answers well, and it is our server that answers."""
    return sight is not None and sight.health == seen.OK and sight.listener in {"ours", "unknown"}


def judge(subject: Subject, row: Instance, sight: Sight, now: int) -> list[Action]:
    """What one probe leads to: ready, unhealthy, recovered, stuck, a count that moves, or nothing."""
    rule = subject.profile.health if subject.profile is not None else Health()
    if row.status == st.LOADING:
        return [_ready(row, sight, now)] if healthy(sight) else []
    if is_stuck(rule, sight):
        return _stuck(row, rule, sight)
    if sight.health in {seen.NOT_ASKED, seen.UNSURE}:
        return []
    if healthy(sight):
        if subject.off_card is not None:
            from llamaagent.reconcile.oncpu import told

            on_cpu = told(row, off_card=True)
            if on_cpu is not None:
                return on_cpu
        if row.status == st.UNHEALTHY:
            return [Action(act.RECOVERED, row.profile, row.id, "healthy", None, _figures(sight))]
        return [Action(act.HEALED, row.profile, row.id, "healthy")] if row.failures else []
    if not subject.counts:
        return []
    counted = (
        *_figures(sight),
        Arithmetic("failures", row.failures + 1),
        Arithmetic("limit", rule.failures),
    )
    kind = act.FAILING
    if row.status == st.RUNNING and row.failures + 1 >= rule.failures:
        kind = act.UNHEALTHY
    return [Action(kind, row.profile, row.id, "health", _sick(sight), counted)]


def _ready(row: Instance, sight: Sight, now: int) -> Action:
    detail = f"seen healthy {now - (row.launched_ts or now)} s after the launch"
    return Action(act.READY, row.profile, row.id, "healthy", detail, _figures(sight))


def _figures(sight: Sight) -> tuple[Arithmetic, ...]:
    return Arithmetic("http_status", sight.http_status), Arithmetic("health_ms", sight.health_ms)


def is_stuck(rule: Health, sight: Sight) -> bool:
    """Busy for longer than the profile allows without getting on."""
    limit = rule.stuck_after_s
    return (
        rule.probe != "none"
        and limit is not None
        and sight.stalled_s is not None
        and sight.stalled_s >= limit
    )


def _stuck(row: Instance, rule: Health, sight: Sight) -> list[Action]:
    """Said once; what follows is decided by `past_bearing` in the next pass."""
    if row.status == st.UNHEALTHY and row.reason == "stuck":
        return []
    detail = f"busy for {sight.stalled_s} s without a new token"
    figures = (
        Arithmetic("stalled_s", sight.stalled_s),
        Arithmetic("stuck_after_s", rule.stuck_after_s),
        Arithmetic("requests_processing", sight.requests_processing),
    )
    return [Action(act.STUCK, row.profile, row.id, "stuck", detail, figures)]


def past_bearing(
    profile: Profile, row: Instance, sight: Sight | None, off_card: bool | None = None
) -> Wish | None:
    """Why an unhealthy server is stopped now, to be started again; None = it is borne with.

    off_card: nothing of it is on its card; whether the launch before it was ended for that.
    """
    if off_card is not None and row.reason == "on-cpu":
        from llamaagent.reconcile.oncpu import start_again

        again = start_again(profile, row, off_card)
        if again is not None:
            return again
    if row.status != st.UNHEALTHY or profile.restart.policy == "never":
        return None
    if row.reason == "stuck" and sight is not None and is_stuck(profile.health, sight):
        return Wish(wanted=False, reason="stuck", detail=f"busy for {sight.stalled_s} s without a new token")
    if row.failures > profile.health.failures:
        return Wish(wanted=False, reason="health", detail=f"{row.failures} health probes failed in a row")
    return None


def remains(sight: Sight) -> Wish | None:
    """Why what a launch left behind is stopped: its server is gone, and how that ended is told when all is gone."""
    if sight.server_alive or not sight.others_alive:
        return None
    reason = sight.end_reason or ("crash" if sight.exit_known else "lost")
    return Wish(wanted=False, reason=reason, detail="its server has ended and left processes behind")


def unkillable(row: Instance, sight: Sight, grace_s: int, now: int) -> Action:
    """It was sent SIGKILL and is there yet: told, sent another, and left with all that it holds."""
    where = {"D": "waits in the kernel", "Z": "is a zombie"}.get(sight.kernel_state or "", "lives on")
    detail = f"pid {row.pid or row.wrapper_pid} {where} after SIGKILL; it keeps what it holds"
    figures = (Arithmetic("pid", row.pid), Arithmetic("kernel_state", sight.kernel_state))
    return Action(
        act.STUCK, row.profile, row.id, "unkillable", detail, figures, signal="KILL", due_ts=now + grace_s
    )


def _sick(sight: Sight) -> str:
    if sight.listener == "stranger":
        return "another program answers on its port"
    if sight.detail is not None:
        return sight.detail
    if sight.http_status is not None:
        return f"health answered {sight.http_status}"
    return f"health probe: {sight.health}"
