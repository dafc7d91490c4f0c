"""A launch whose first process has ended and left others behind.

A script put the server into the background, or a server died before its children.
"""

from __future__ import annotations

from llamaagent.domain import instance as st
from llamaagent.launch.listeners import listener_pids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from llamaagent.base.paths import HostPaths
    from llamaagent.domain.instance import Identity, Instance


def heir(row: Instance, left: Sequence[Identity], exit_code: int | None, host: HostPaths) -> Identity | None:
    """Which of the processes that are left, oldest first, is the server now; None = they are only remains.

    It is the one that listens on the launch's port. While it loads nobody may listen yet: then a first process that
    ended well has handed over to the oldest of them.
    """
    holders = {one.pid for one in listener_pids(row.port, host)} if row.port is not None else set()
    for one in left:
        if one.pid in holders:
            return one
    return left[0] if left and row.status == st.LOADING and exit_code == 0 else None
