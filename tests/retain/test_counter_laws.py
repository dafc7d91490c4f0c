"""Counters that restart, cannot be read, and a clock that comes by the same second twice: growth is counted once."""

from __future__ import annotations

import os
import tempfile
from typing import NamedTuple

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sampled import Sampled

from llamaagent.base.clock import ManualClock
from llamaagent.collect.instance import build_instance_sample
from llamaagent.collect.process import ProcessUsage
from llamaagent.collect.system import with_differences
from llamaagent.domain.sample import InstanceSample, SystemSample
from llamaagent.retain.rollup import roll_up
from llamaagent.store.samples import PassFacts

START = 1_700_000_000 // 86400 * 86400
HZ = os.sysconf("SC_CLK_TCK")


class Pass(NamedTuple):
    """step_s: by which the wall clock moves. grown: bytes since the pass before. what: what happened meanwhile."""

    step_s: int
    grown: int
    what: str = "nothing"
    rolls: bool = False


one_pass = st.builds(
    Pass,
    st.sampled_from([30, 30, 30, 0, -30, -60, 60, 3600, -3600, 86400, -86400, 40 * 86400]),
    st.sampled_from([0, 1, 1000, 10**6]),
    st.sampled_from(["nothing", "nothing", "nothing", "unread", "reset", "boot"]),
    st.booleans(),
)


def step(now: int | None, before: int | None) -> int:
    """What is known to have been read between two readings."""
    return now - before if now is not None and before is not None and now >= before else 0


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(one_pass, min_size=1, max_size=25))
@example([Pass(30, 0), *(Pass(30, 1000) for _ in range(4)), Pass(-60, 7), Pass(31, 5)])
@example([Pass(30, 0), *(Pass(30, 1000, rolls=True) for _ in range(15)), Pass(-360, 7), Pass(31, 5)])
@example([Pass(30, 0), Pass(0, 1000), Pass(30, 10)])
def test_growth_is_in_the_roll_ups_once(passes: list[Pass]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sampled = Sampled(os.path.join(folder, "a.db"))
        clock, reading, boot, ticks = ManualClock(START), 10**9, 0, 0
        before: int | None = None
        machine = server = 0
        for one in passes:
            clock.jump(one.step_s)
            ticks += 400 * HZ
            reading += one.grown
            if one.what == "reset":
                reading = one.grown
            if one.what == "boot":
                boot, reading, before = boot + 1, one.grown, None
            now = None if one.what == "unread" else reading
            machine += step(now, before)
            server += step(now, before)
            before = now
            store(sampled, clock.now(), now, f"boot-{boot}", ticks)
            if one.rolls:
                assert roll_up(sampled.db, clock)
        clock.jump(400 * 86400)
        assert roll_up(sampled.db, clock)
        for size in (300, 3600, 86400):
            found = "SELECT total(disk_read_bytes) FROM system_rollups WHERE resolution_s = ?"
            assert sampled.db.execute(found, (size,)).get == machine, size
            found = "SELECT total(read_bytes) FROM instance_rollups WHERE resolution_s = ?"
            assert sampled.db.execute(found, (size,)).get == server, size
        sampled.db.close()


def store(sampled: Sampled, ts: int, reading: int | None, boot: str, ticks: int) -> None:
    """A pass's samples, with the differences that reconcile/record.py takes. A boot is a launch of its own."""
    last = sampled.samples.last_system()
    machine = SystemSample(
        4, cpu_busy_ticks_total=ticks, cpu_ticks_total=ticks, disk_read_bytes_total=reading
    )
    if last is not None and last.boot_id == boot:
        counters = {name: value for name, value in last._asdict().items() if name not in {"ts", "boot_id"}}
        machine = with_differences(machine, SystemSample(**counters))
    number = 1 + int(boot.removeprefix("boot-"))
    with sampled.db:
        sampled.db.execute(
            "INSERT OR IGNORE INTO instances (id, profile, kind, status, since_ts, created_ts)"
            " VALUES (?, ?, 'process', 'stopped', 1, 1)",
            (number, f"p{number}"),
        )
    there = sampled.samples.last_instances().get(number)
    previous = None
    if there is not None:
        counters = {name: value for name, value in there._asdict().items() if name != "ts"}
        previous = InstanceSample(**counters)
    usage = ProcessUsage(processes=1, cpu_ticks_total=ticks, rss_kib=1, threads=1, read_bytes_total=reading)
    one = build_instance_sample(number, usage=usage, counters=None, previous=previous, elapsed_s=30)
    with sampled.db, sampled.in_time(ts):
        sampled.samples.add_system(machine, PassFacts(30, boot, 1, 0, 0), ts)
        sampled.samples.add_instance(one, ts)
