"""Time comes in through here and nowhere else.

Wall time (`now`) is for rows and for people; `monotonic` is for every wait and age inside one process;
`boottime` goes beside the wall time where an age must survive the process, because it cannot be set by hand.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Clock(Protocol):
        """What anything that needs time is handed."""

        def now(self) -> int:
            """Unix time, whole seconds, UTC."""

        def monotonic(self) -> float:
            """Seconds that only grow; meaningless between processes."""

        def boottime(self) -> float:
            """Seconds since boot, suspend included; comparable between processes of one boot."""

        def sleep(self, seconds: float) -> None:
            """Wait."""


class SystemClock:
    """The real one."""

    def now(self) -> int:
        """Unix time, whole seconds, UTC."""
        return int(time.time())

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def boottime(self) -> float:
        """Seconds since boot (CLOCK_BOOTTIME; monotonic where there is none)."""
        clock_id = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return time.clock_gettime(clock_id)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        if seconds > 0:
            time.sleep(seconds)


class ManualClock:
    """A clock that moves only when told; sleeping adds, so ten minutes cost nothing."""

    def __init__(self, now: int = 1_700_000_000) -> None:
        self._wall = float(now)
        self._monotonic = 1000.0

    def now(self) -> int:
        """Unix time, whole seconds, UTC."""
        return int(self._wall)

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return self._monotonic

    def boottime(self) -> float:
        """The same as `monotonic`: this clock is never suspended."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Move both clocks forward."""
        self._wall += max(0.0, seconds)
        self._monotonic += max(0.0, seconds)

    def jump(self, seconds: float) -> None:
        """Set the wall clock, as an administrator or NTP does; the others do not notice."""
        self._wall += seconds
