"""The loop's ear for what the NVIDIA driver reports. Where the kernel's log may not be read it is the only one."""

from __future__ import annotations

import os

from llamaagent.base.paths import host_paths
from llamaagent.collect.gpu import has_nvidia

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.collect.xidevents import XidEvents
    from llamaagent.store.types import Connection

_AGAIN_S = 600.0  # before a child that ended is started anew


class Listening:
    """Started with the first beat on a host with such a card."""

    def __init__(self) -> None:
        self._events: XidEvents | None = None
        self._not_before = 0.0

    def beat(self, opened: Opened, db: Connection) -> None:
        """Store what was heard since the last beat. Under the lock of a pass; never waits for the driver."""
        host = host_paths(os.environ)
        if self._events is None and not self._begin(opened.clock.monotonic(), host_has=has_nvidia(host)):
            return
        from llamaagent.launch.identity import boot_id
        from llamaagent.store.cards import CardStore

        now = opened.clock.now()
        events = self._events
        if events is None:
            return
        heard = events.heard(now)
        if heard or events.listening:
            with db:
                CardStore(db).keep_events(heard, boot_id(host), now)
        if events.ended:
            self._events = None

    def _begin(self, monotonic: float, *, host_has: bool) -> bool:
        if not host_has or monotonic < self._not_before:
            return False
        from llamaagent.collect.xidevents import XidEvents

        self._not_before = monotonic + _AGAIN_S
        try:
            self._events = XidEvents()
        except OSError:
            return False
        return True

    def finish(self) -> None:
        """Let the child go."""
        if self._events is not None:
            self._events.stop()
            self._events = None
