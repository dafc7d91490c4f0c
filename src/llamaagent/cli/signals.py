"""Signals of the loop as bytes in a pipe, so that a wait ends at once and none is lost, not even during a pass."""

from __future__ import annotations

import contextlib
import os
import select
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

_WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class Signals:
    """ending: the loop was asked to end. Made on the main thread, once."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.ending = False
        for number in _WATCHED:
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number in {signal.SIGTERM, signal.SIGINT}:
            self.ending = True
        with contextlib.suppress(BlockingIOError):  # thousands wait there already, and one is enough
            os.write(self._write, bytes((number,)))

    def wait(self, seconds: float) -> frozenset[int]:
        """Wait at most so long for signals; those that came, also before the wait."""
        ready, _, _ = select.select([self._read], [], [], max(0.0, seconds))
        return frozenset(os.read(self._read, 1 << 16)) if ready else frozenset()
