"""A clock that goes as the real one does and can be sent ahead, or have its wall time set."""

from __future__ import annotations

from llamaagent.base.clock import SystemClock


class ShiftedClock(SystemClock):
    """Waiting really waits, because the children are real; hours pass by `advance`."""

    def __init__(self, ahead_s: float = 0.0, wall_s: float = 0.0) -> None:
        self.ahead_s = ahead_s
        self.wall_s = wall_s

    def now(self) -> int:
        return int(super().now() + self.ahead_s + self.wall_s)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s

    def boottime(self) -> float:
        return super().boottime() + self.ahead_s

    def advance(self, seconds: float) -> None:
        """Time passes for every clock."""
        self.ahead_s += seconds

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.wall_s += seconds
