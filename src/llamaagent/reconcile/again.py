"""What follows the end of a launch that failed: wait, try again, go back to what was healthy, or give up. Pure."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain import plan as act
from llamaagent.domain.backoff import gives_up, longest_s
from llamaagent.domain.faults import PERMANENT, blames_the_change
from llamaagent.domain.plan import Action, Arithmetic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.wish import Override, Wish
    from llamaagent.reconcile.decide import Subject


class Past(NamedTuple):
    """What the database and the disk say of a failed launch; asked only for those."""

    recent: int = 0  # failures of this launch hash within give_up_after.within, since an operator's word
    healthy_hash: str | None = None  # profile hash of the revision to go back to, None = there is none
    declared_at: str | None = None  # when that one was first declared, for people
    ever_healthy: bool = False  # whether the declared revision ever was
    changed: str | None = None  # the first file that is another one than at the launch


def after_failure(subject: Subject, profile: Profile, row: Instance, want: Wish, now: int) -> list[Action]:
    """The next step for a wanted profile whose newest launch reads `error`."""
    fresh = _fresh(subject, profile, row, want)
    if fresh is not None:
        return [fresh]
    past = subject.past or Past()
    if _stays_down(profile, row):
        return []
    if past.healthy_hash is not None and _goes_back(profile, row, past):
        return [_rollback(row, past)]
    if row.reason in PERMANENT or row.gave_up_ts is not None:
        if past.changed is None:
            return []
        return [Action(act.START, row.profile, None, "changed-file", f"{past.changed} changed")]
    if gives_up(profile.restart, past.recent):
        return [_give_up(profile, row, past)]
    # A longer wait than any we set was written before the clock was set back.
    if row.retry_ts is not None and now < row.retry_ts <= now + longest_s(profile.restart):
        return []
    return [Action(act.START, row.profile, None, row.reason or want.reason, want.detail)]


def _fresh(subject: Subject, profile: Profile, row: Instance, want: Wish) -> Action | None:
    """A start that owes nothing to the failure: an operator asks for it, or what is launched is another thing."""
    if want.reason == "override" and asked_since(subject.override, row):
        return Action(act.START, row.profile, None, "override", want.detail)
    if row.launch_hash is None or row.launch_hash == profile.launch_hash:
        return None
    if subject.rolled_back:
        return Action(act.START, row.profile, None, "rollback", "the last healthy revision")
    return Action(act.START, row.profile, None, "update", "the profile changed")


def asked_since(override: Override | None, row: Instance) -> bool:
    """Did an operator speak after this launch ended? A word that led to a launch is done and does not count."""
    if override is None or override.done_ts is not None:
        return False
    return override.action == "restart" or override.created_ts >= (row.ended_ts or 0)


def _stays_down(profile: Profile, row: Instance) -> bool:
    if profile.restart.policy == "never":
        return True
    return profile.restart.policy == "on-failure" and row.reason == "exited"


def _goes_back(profile: Profile, row: Instance, past: Past) -> bool:
    """Whether this end, of a revision that was never healthy, leads back to one that was."""
    if not profile.update.rollback or past.ever_healthy or row.ready_ts is not None:
        return False
    return blames_the_change(row.reason, row.restarts + 1)


def _rollback(row: Instance, past: Past) -> Action:
    detail = (
        f"the changed profile never became healthy ({row.reason}: {row.detail or '-'}); "
        f"back to the revision declared {past.declared_at}, which was healthy"
    )
    figures = (
        Arithmetic("failures", row.restarts + 1),
        Arithmetic("refused_hash", (row.profile_hash or "")[:12]),
        Arithmetic("healthy_hash", (past.healthy_hash or "")[:12]),
    )
    return Action(act.ROLLBACK, row.profile, row.id, row.reason or "crash", detail, figures)


def _give_up(profile: Profile, row: Instance, past: Past) -> Action:
    rule = profile.restart
    figures = (
        Arithmetic("failures", past.recent),
        Arithmetic("limit", rule.give_up_failures),
        Arithmetic("within_s", rule.give_up_within_s),
    )
    detail = f"{past.recent} failures within {rule.give_up_within_s} s; the last: {row.detail or row.reason}"
    return Action(act.GIVE_UP, row.profile, row.id, row.reason or "crash", detail, figures)
