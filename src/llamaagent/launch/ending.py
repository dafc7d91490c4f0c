"""Signals, to our own processes and to nobody else.

Every target is verified by identity while a pidfd holds on to it, so that neither a pid nor a group number
that was handed out again is ever signalled. SIGKILL spares the wrapper for as long as there is something
under it: the wrapper ends by itself once its server is gone, and leaves the exit record.
"""

from __future__ import annotations

import errno
import os

from llamaagent.launch.adopt import members
from llamaagent.launch.identity import LINUX, identify, read_stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.domain.instance import Identity

_WHOLE_GROUP = 4  # PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9
_NO_PIDFD = frozenset({errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.EMFILE, errno.ENFILE})


def signal_launch(
    wrapper: Identity | None, server: Identity | None, launch_id: str | None, signum: int
) -> bool:
    """Send a signal to every process of a launch; False when nothing of it is there to be reached.

    The wrapper's process group gets it at once; whoever left the group gets it one by one. A server that we
    did not launch (no wrapper, no launch id) gets it alone.
    """
    present = members(wrapper, server, launch_id)
    if signum == 9:  # SIGKILL
        return _kill(wrapper, server, launch_id, present)
    group = wrapper.pid if wrapper else None
    reached: set[Identity] = set()
    if group is not None:
        inside = [one for one in present if _pgrp(one) == group]
        if any(signal_one(one, signum, group=group) for one in inside):
            reached.update(inside)
    for one in present:
        if one not in reached and signal_one(one, signum):
            reached.add(one)
    return bool(reached)


def _kill(
    wrapper: Identity | None, server: Identity | None, launch_id: str | None, present: tuple[Identity, ...]
) -> bool:
    """Kill all but the wrapper, twice because one may have forked meanwhile; a wrapper alone is killed."""
    reached = False
    for _ in range(2):
        targets = [one for one in present if one != wrapper]
        if not targets:
            break
        reached = _each(targets) or reached
        present = members(wrapper, server, launch_id)
    if reached or wrapper is None:
        return reached
    return signal_one(wrapper, 9)


def _each(targets: Iterable[Identity]) -> bool:
    return sum(signal_one(one, 9) for one in targets) > 0  # every one of them, not up to the first


def _pgrp(identity: Identity) -> int | None:
    stat = read_stat(identity.pid)
    return stat.pgrp if stat is not None and stat.start_ticks == identity.start_ticks else None


def signal_one(identity: Identity, signum: int, *, group: int | None = None) -> bool:
    """Signal one process if it is still the same, with `group` the whole group that it stands in.

    False when it is gone or may not be signalled by us.
    """
    try:
        pidfd = os.pidfd_open(identity.pid)
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_PIDFD:
            return False
        return identify(identity.pid, LINUX) == identity and _by_number(identity.pid, signum, group)
    try:
        # Alive and the same now, hence so when the pidfd was opened: that is whom the pidfd holds.
        return identify(identity.pid, LINUX) == identity and _by_pidfd(pidfd, identity.pid, signum, group)
    finally:
        os.close(pidfd)


def _by_pidfd(pidfd: int, pid: int, signum: int, group: int | None) -> bool:
    import signal

    try:
        signal.pidfd_send_signal(pidfd, signum, None, 0 if group is None else _WHOLE_GROUP)
    except OSError as error:
        if error.errno == errno.EINVAL and group is not None:  # an older kernel: the group by its number
            return _by_number(pid, signum, group)
        return False
    return True


def _by_number(pid: int, signum: int, group: int | None) -> bool:
    try:
        os.kill(pid, signum) if group is None else os.killpg(group, signum)
    except OSError:
        return False
    return True
