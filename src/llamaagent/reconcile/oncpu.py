"""A server that has a card and runs on the CPU: told, started once more if the policy lets it, then only told. Pure.

Nobody sees it from outside: it answers, slowly. What shows it is that no memory on its card is its, and that its log
names no layer there. Only a launch of which that is known is handed in; where a card could not be read, or holds
processes that cannot be told apart, nothing is said.
"""

from __future__ import annotations

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.plan import Action, Arithmetic
from llamaagent.domain.wish import Wish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile

GRACE_S = 30  # after it became healthy
REASON = "on-cpu"


def told(row: Instance, *, off_card: bool) -> list[Action] | None:
    """What follows for a healthy server; None = this rule has nothing to say.

    off_card: whether nothing of it is on its card.
    """
    if off_card and row.status == st.RUNNING:
        detail = "it has a card, and neither memory nor layers of it are there"
        figures = (Arithmetic("gpus", row.gpus), Arithmetic("measured_mib", 0))
        return [Action(act.UNHEALTHY, row.profile, row.id, REASON, detail, figures)]
    if off_card and row.status == st.UNHEALTHY and row.reason == REASON:
        return []
    return None


def start_again(profile: Profile, row: Instance, again: bool | None) -> Wish | None:
    """Why it is stopped now, to be started once more; None = it stays as it is.

    again: the launch before this one was ended for the same; None = something of it is on its card.
    """
    if again is None or again or row.status != st.UNHEALTHY or row.reason != REASON:
        return None
    if profile.restart.policy == "never":
        return None
    return Wish(wanted=False, reason=REASON, detail="it runs on the CPU; started once more")
