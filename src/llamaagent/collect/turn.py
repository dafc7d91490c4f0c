"""One reader of a driver at a time, for children that may never end."""

from __future__ import annotations

import os
import select
import socket
import sys


def claim_turn(what: str, wait_s: float = 2.0) -> object | None:
    """Hold a name that only one process of this user on this host can have; None when it stays taken.

    A process stuck inside the driver cannot be killed and keeps the name, so that passes under cron do
    not add one stuck process each. Freed by the kernel with the process; no file is left anywhere.
    """
    if not sys.platform.startswith("linux"):
        return sys
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    for _attempt in range(int(wait_s / 0.1)):
        try:
            holder.bind(f"\0llamaagent-{what}-{os.getuid()}")
        except OSError:
            select.select((), (), (), 0.1)
        else:
            return holder
    return None
