"""Whatever is measured, and whatever the clock does: roll-ups hold exactly the sums of the samples."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sampled import Moment, Sampled

from llamaagent.base.clock import ManualClock
from llamaagent.domain.settings import Settings
from llamaagent.retain.prune import prune
from llamaagent.retain.rollup import roll_up

START = 1_700_000_000
value = st.one_of(st.none(), st.integers(0, 1000))
growth = st.one_of(st.none(), st.just(0), st.integers(0, 10**12))
system = st.fixed_dictionaries(
    {
        "cpu_permille": value,
        "memory_used_mib": value,
        "load_1min_centi": value,
        "disk_read_bytes": growth,
        "network_tx_bytes": growth,
        "requests": st.integers(0, 9),
    }
)
instance = st.fixed_dictionaries(
    {
        "cpu_permille": value,
        "rss_kib": value,
        "requests_processing": value,
        "read_bytes": growth,
        "predicted_tokens": growth,
    }
)
card = st.fixed_dictionaries({"utilization_percent": value, "power_mw": value})
step = st.one_of(
    st.integers(1, 400),
    st.integers(1, 400),
    st.sampled_from([0, 3600, 50_000, 8 * 86400, 100 * 86400, 3 * 365 * 86400]),
    st.integers(-4000, 0),
    st.sampled_from([-86400, -10 * 86400, -100 * 86400, -3 * 365 * 86400]),
)
one_pass = st.tuples(
    step,
    system,
    st.dictionaries(st.integers(1, 3), instance, max_size=3),
    st.dictionaries(st.integers(0, 1), card, max_size=2),
    st.booleans(),  # roll up after it
    st.booleans(),  # and delete
    st.integers(0, 3),
)
KEEP = st.sampled_from([0, 600, 86400, 7 * 86400, 200 * 86400, None])


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # making an example smaller takes minutes here
)
@given(st.lists(one_pass, min_size=1, max_size=25), KEEP, KEEP)
def test_roll_ups_are_the_sums_of_what_was_measured(
    passes: list[tuple[Any, ...]], instances_s: int | None, system_s: int | None
) -> None:
    limits = Settings(retain_instance_samples_s=instances_s, retain_system_samples_s=system_s)
    with tempfile.TemporaryDirectory() as folder:
        sampled = Sampled(os.path.join(folder, "a.db"))
        clock = ManualClock(START)
        last: int | None = None
        for delta, machine, instances, cards, rolls, prunes, late in passes:
            clock.jump(delta)
            interval = None if last is None or clock.now() <= last else clock.now() - last
            jumped = delta if abs(delta) > 400 else None
            sampled.take(Moment(clock.now(), interval, machine, instances, cards, jumped, late))
            last = clock.now()
            if rolls:
                assert roll_up(sampled.db, clock)
                sampled.check()
            if prunes:
                prune(sampled.db, limits, clock.now())
                sampled.check()
        clock.jump(2 * 86400)
        for _ in range(2):
            assert roll_up(sampled.db, clock)
            sampled.check()
            before = [sampled.stored(table, 300, 1 << 60) for table in ("system", "gpu", "instance")]
            assert roll_up(sampled.db, clock)
            assert [sampled.stored(table, 300, 1 << 60) for table in ("system", "gpu", "instance")] == before
        sampled.db.close()
