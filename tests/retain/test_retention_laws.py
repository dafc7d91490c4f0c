"""Whatever the clock does and whatever is measured: what is inside its window stays."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sampled import Moment, Sampled

from llamaagent.base.clock import ManualClock
from llamaagent.domain.settings import Settings
from llamaagent.retain.upkeep import keep_up

START = 1_700_000_000 // 86400 * 86400
TABLES = ("system_samples", "instance_samples", "gpu_samples", "generations", "logs")
STEP = st.sampled_from(
    [30, 30, 30, 60, 300, 3600, 86400, 30 * 86400, 400 * 86400, 0, -30, -3600, -86400, -90 * 86400]
)
KEEP = st.sampled_from([0, 60, 3600, 86400, 30 * 86400, None])


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(st.tuples(STEP, st.booleans()), min_size=1, max_size=30),
    keeps=st.tuples(KEEP, KEEP, KEEP, KEEP),
)
def test_nothing_inside_its_window_goes_and_no_pass_takes_more_than_five_intervals(
    steps: list[tuple[int, bool]], keeps: tuple[int | None, ...]
) -> None:
    limits = Settings(
        interval_s=30,
        retain_instance_samples_s=keeps[0],
        retain_system_samples_s=keeps[1],
        retain_generations_s=keeps[2],
        retain_logs_s=keeps[3],
    )
    windows = dict(zip(TABLES, (keeps[1], keeps[0], keeps[1], keeps[2], keeps[3]), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        sampled = Sampled(os.path.join(folder, "a.db"))
        clock = ManualClock(START)
        last: int | None = None
        for delta, several in steps:
            clock.jump(delta)
            for _ in range(5 if several else 1):
                _pass(sampled, clock, last)
                last = clock.now()
                _check(sampled, clock, limits, windows)
                clock.jump(30)
        sampled.db.close()


def _pass(sampled: Sampled, clock: ManualClock, last: int | None) -> None:
    now = clock.now()
    interval = now - last if last is not None and now > last else None
    machine: dict[str, int | None] = {"cpu_permille": 5, "disk_read_bytes": 7, "requests": 1}
    one: dict[str, int | None] = {"cpu_permille": 3, "rss_kib": 9}
    sampled.take(Moment(now, interval, machine, {1: one}, {0: {"utilization_percent": 4}}))
    with sampled.db:
        sampled.db.execute("INSERT INTO generations (ts, generated_tokens) VALUES (?, 1)", (now,))
        sampled.samples.log("info", "test", "a line", now)


def _times(sampled: Sampled) -> dict[str, list[int]]:
    return {
        name: [row[0] for row in sampled.db.execute(f"SELECT ts FROM {name} ORDER BY ts")] for name in TABLES
    }


def _check(sampled: Sampled, clock: ManualClock, limits: Settings, windows: dict[str, Any]) -> None:
    now, before = clock.now(), _times(sampled)
    newest = max(before["system_samples"])
    found = sampled.db.execute("SELECT interval_s FROM system_samples WHERE interval_s > 0").fetchall()
    widest = max((row[0] for row in found), default=30)
    keep_up(sampled.db, limits, clock)
    after = _times(sampled)
    sampled.check()
    for name, keep in windows.items():
        gone = sorted(set(before[name]) - set(after[name]))
        if keep is None:
            assert not gone, name
        if gone:
            assert max(gone) < now - keep, name
            assert max(gone) < newest + 2 * widest - keep, name
            assert max(gone) - min(gone) <= 5 * widest, name
