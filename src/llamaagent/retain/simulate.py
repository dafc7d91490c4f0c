"""History that never happened, for measuring and for looking around: day by day, rolled up and pruned as a real one.

Where the settings would have deleted the samples by now, they are taken every five minutes only: all that is left of
them is their roll-ups.
"""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.retain.byhand import Wanted, cut_all, cuts
from llamaagent.retain.prune import DAY_S, kept
from llamaagent.retain.rollup import roll_up
from llamaagent.store.simulation import Simulation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.base.clock import Clock
    from llamaagent.domain.settings import Settings
    from llamaagent.store.types import Connection

_SPARSE_S = 300
_REQUEST_S = 432  # between two requests of a launch: two hundred a day
_LINE_S = 120


class Plan(NamedTuple):
    """What to make up, up to now."""

    days: int
    instances: int
    gpus: int


class _At:
    """The clock of the simulated day."""

    def __init__(self, clock: Clock, ts: int) -> None:
        self._clock, self._ts = clock, ts

    def now(self) -> int:
        return self._ts

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def boottime(self) -> float:
        return self._clock.boottime()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)


def simulate(
    db: Connection, plan: Plan, settings: Settings, clock: Clock, progress: Callable[[int], None]
) -> None:
    """Fill an empty database. progress: told the number of each day that is done.

    A transaction for each day; whoever stops it leaves a file that is marked and holds the days until then.
    """
    now = clock.now()
    step_s = max(1, settings.interval_s)
    first = (now - plan.days * DAY_S) // _SPARSE_S * _SPARSE_S
    made = Simulation(db)
    with db:
        made.mark(now, **plan._asdict())
        made.found(first, now + 1, plan.instances, plan.gpus)
    keep_s = {one.table: one.keep_s for one in kept(settings)}
    samples = max(_days(keep_s["instance_samples"]), _days(keep_s["system_samples"]))
    for day in range(plan.days):
        start = first + day * DAY_S
        end = min(start + DAY_S, now + 1) if day + 1 < plan.days else now + 1
        left = plan.days - day
        with db:
            fine = left <= samples + 1
            made.measure(start, end, step_s if fine else _SPARSE_S, plan.instances, first)
            if left <= _days(keep_s["generations"]) + 1:
                made.answer(start, end, _REQUEST_S)
            if left <= _days(keep_s["logs"]) + 1:
                made.say(start, end, _LINE_S)
        at = _At(clock, end)
        roll_up(db, at)
        cut_all(db, cuts(db, settings, end, Wanted(), counted=False), end)
        progress(day + 1)


def _days(seconds: int | None) -> int:
    return 1 << 30 if seconds is None else -(-seconds // DAY_S)
