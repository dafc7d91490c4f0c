"""What follows for a server that somebody else runs (`runtime.kind: external`): seen, counted, lost. Pure.

No rule here leads to a start, a stop or a signal: the only things that happen to it are rows.
"""

from __future__ import annotations

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain import sight as seen
from llamaagent.domain.plan import Action
from llamaagent.reconcile.health import healthy, judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.wish import Wish
    from llamaagent.reconcile.decide import Subject


def follow(subject: Subject, want: Wish, now: int) -> list[Action]:
    """The next step of a watched server."""
    row, sight = subject.row, subject.sight
    if row is None or row.status not in st.LIVE:
        return _look_for(subject, want)
    if sight is None:
        return []
    if not sight.same_boot:
        return [_end(row, "reboot", "the machine was started again")]
    if not sight.server_alive:
        return [_end(row, "lost", "it is gone; whoever runs it has to start it", st.ERROR)]
    if not want.wanted:
        return [_end(row, want.reason, f"{want.detail or 'not wanted'}; left running")]
    profile = subject.profile
    if profile is not None and row.launch_hash not in {None, profile.launch_hash}:
        return [_end(row, "update", "the profile changed; left running")]
    if row.status == st.LOADING and not healthy(sight) and sight.health not in {seen.LOADING, seen.NOT_ASKED}:
        row = row._replace(status=st.RUNNING)  # it may have run for days: its failures count from the first
    return judge(subject, row, sight, now)


def _look_for(subject: Subject, want: Wish) -> list[Action]:
    row, found, name = subject.row, subject.outside, subject.name
    held = row if row is not None and row.status == st.CREATED else None
    if not want.wanted:
        return [Action(act.CANCEL, name, held.id, want.reason, want.detail)] if held is not None else []
    if found is None:
        return []
    if found.server is not None:
        detail = (
            f"pid {found.server.pid} listens on port {found.port}"
            if found.port
            else f"pid {found.server.pid}"
        )
        return [Action(act.ADOPT, name, None, "watched", detail)]
    if row is not None and row.status == st.ERROR:
        return []  # lost, and said so
    if held is not None and (held.reason, held.detail) == ("not-found", found.fault):
        return []
    return [Action(act.HOLD, name, None, "not-found", found.fault)]


def _end(row: Instance, reason: str, detail: str, status: str = st.STOPPED) -> Action:
    return Action(act.END, row.profile, row.id, reason, detail, status=status)
