"""Retention as it runs after passes: what goes and what stays, whatever happens to clock, disk and readers."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import apsw
import pytest
from sampled import Moment, Sampled

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "proof"))

from disk import told_disk

from llamaagent.base.clock import ManualClock
from llamaagent.domain.settings import Settings
from llamaagent.retain.prune import prune
from llamaagent.retain.rollup import roll_up
from llamaagent.retain.upkeep import keep_up

if TYPE_CHECKING:
    from pathlib import Path

START = 1_700_000_100
SHORT = Settings(
    interval_s=30,
    retain_instance_samples_s=1800,
    retain_system_samples_s=3600,
    retain_logs_s=3600,
    retain_generations_s=3600,
)


def moment(ts: int, interval: int = 30) -> Moment:
    machine: dict[str, int | None] = {"cpu_permille": ts % 1000, "disk_read_bytes": 7, "requests": 1}
    one: dict[str, int | None] = {"cpu_permille": ts % 700, "rss_kib": 1000 + ts % 5, "read_bytes": 3}
    return Moment(
        ts, interval, machine, {1: one, 2: one}, {0: {"utilization_percent": ts % 100, "power_mw": 5}}
    )


def passes(
    sampled: Sampled, clock: ManualClock, count: int, limits: Settings = SHORT, step: int = 30
) -> None:
    """So many passes, each followed by what is due after it."""
    for _ in range(count):
        clock.jump(step)
        now = clock.now()
        sampled.take(moment(now, step))
        with sampled.db:
            sampled.samples.log("info", "test", "a line " * 5, now)
        if sampled.samples.upkeep_due(limits, now):
            keep_up(sampled.db, limits, clock)


def times(sampled: Sampled, table: str) -> list[int]:
    return [row[0] for row in sampled.db.execute(f"SELECT DISTINCT ts FROM {table} ORDER BY ts")]


def test_in_the_long_run_the_file_stays_as_large_as_it_is(tmp_path: Path) -> None:
    sampled, clock = Sampled(tmp_path / "a.db"), ManualClock(START)
    passes(sampled, clock, 300)
    first = sampled.db.pragma("page_count")
    passes(sampled, clock, 1500)
    assert sampled.db.pragma("page_count") <= first + 40  # 12 hours of 5-minute roll-ups, kept for 90 days
    assert len(times(sampled, "instance_samples")) <= 1800 / 30 + 10
    assert len(times(sampled, "gpu_samples")) <= 3600 / 30 + 10
    assert sampled.db.execute("SELECT count(*) FROM logs").get <= 3600 / 30 + 10
    sampled.check()
    assert sampled.rolled()[300] > clock.now() - 600


def test_what_is_inside_the_window_never_goes(tmp_path: Path) -> None:
    sampled, clock = Sampled(tmp_path / "a.db"), ManualClock(START)
    passes(sampled, clock, 400)
    now = clock.now()
    for table, keep in (("instance_samples", 1800), ("system_samples", 3600), ("gpu_samples", 3600)):
        there = times(sampled, table)
        assert [ts for ts in there if ts >= now - keep] == list(
            range(now - keep + (now - keep - now) % 30, now + 1, 30)
        )


@pytest.mark.parametrize("jump", [365 * 86400, 20 * 365 * 86400])
def test_a_clock_that_jumps_ahead_takes_five_intervals_a_pass_at_most(tmp_path: Path, jump: int) -> None:
    sampled, clock = Sampled(tmp_path / "a.db"), ManualClock(START)
    passes(sampled, clock, 100)
    before = times(sampled, "system_samples")
    clock.jump(jump)
    passes(sampled, clock, 1)
    assert len(set(before) - set(times(sampled, "system_samples"))) <= 5
    passes(sampled, clock, 3)
    clock.jump(-jump)
    passes(sampled, clock, 4)
    assert len(set(before) - set(times(sampled, "system_samples"))) <= 40
    assert len(set(before) & set(times(sampled, "system_samples"))) >= 60
    sampled.check()


def test_a_clock_that_is_set_back_empties_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    sampled, clock = Sampled(tmp_path / "a.db"), ManualClock(START)
    passes(sampled, clock, 150)
    there = times(sampled, "system_samples")
    clock.jump(-2 * 86400)
    passes(sampled, clock, 20)
    assert set(there) <= set(times(sampled, "system_samples"))
    clock.jump(2 * 86400)
    passes(sampled, clock, 30)
    sampled.check()


def test_samples_go_only_when_they_are_in_the_roll_ups(tmp_path: Path) -> None:
    sampled, clock = Sampled(tmp_path / "a.db"), ManualClock(START)
    for _ in range(200):
        clock.jump(30)
        sampled.take(moment(clock.now()))
    for _ in range(20):
        prune(sampled.db, SHORT, clock.now())
    assert len(times(sampled, "system_samples")) == 200
    roll_up(sampled.db, clock)
    prune(sampled.db, SHORT, clock.now())
    assert len(times(sampled, "system_samples")) == 195
    sampled.check()


def test_a_backlog_is_caught_up_over_passes_within_its_time(tmp_path: Path) -> None:
    sampled, clock = Sampled(tmp_path / "a.db"), ManualClock(START)
    for _ in range(3000):
        clock.jump(30)
        sampled.take(moment(clock.now()))
    assert not roll_up(sampled.db, clock, 0.0)  # a slice at least, whatever the time
    assert 0 < sampled.rolled()[300] <= START + 2 * 3600
    rounds = 0
    while not roll_up(sampled.db, clock, 0.0):
        rounds += 1
    assert rounds > 10
    sampled.check()
    assert sampled.rolled()[300] == clock.now() // 300 * 300


def test_nothing_due_costs_one_look(tmp_path: Path) -> None:
    sampled, clock = Sampled(tmp_path / "a.db"), ManualClock(START // 300 * 300)
    passes(sampled, clock, 10)
    clock.jump(30)
    assert not sampled.samples.upkeep_due(SHORT, clock.now())
    clock.jump(300)
    assert sampled.samples.upkeep_due(SHORT, clock.now())


def test_never_means_never(tmp_path: Path) -> None:
    sampled, clock = Sampled(tmp_path / "a.db"), ManualClock(START)
    kept = SHORT._replace(retain_instance_samples_s=None, retain_system_samples_s=None, retain_logs_s=None)
    passes(sampled, clock, 300, kept)
    assert len(times(sampled, "instance_samples")) == len(times(sampled, "system_samples")) == 300
    assert sampled.db.execute("SELECT count(*) FROM logs").get == 300


def test_on_a_very_short_disk_samples_go_before_their_time_but_not_the_last_day(tmp_path: Path) -> None:
    sampled, clock = Sampled(tmp_path / "a.db"), ManualClock(START)
    for _ in range(400):
        clock.jump(600)
        sampled.take(moment(clock.now(), 600))
    limits = Settings()
    keep_up(sampled.db, limits, clock, short=True)
    assert len(times(sampled, "system_samples")) == 400
    for _ in range(200):
        keep_up(sampled.db, limits, clock, short=True, early=True)
    assert min(times(sampled, "system_samples")) >= clock.now() - 86400 - 600
    sampled.check()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.case("sqlite 5.1")
@pytest.mark.parametrize("error", [apsw.FullError, apsw.IOError])
def test_upkeep_on_a_failing_disk_is_finished_by_the_next(tmp_path: Path, error: type[apsw.Error]) -> None:
    origin = Sampled(tmp_path / "origin.db")
    clock = ManualClock(START)
    for _ in range(500):
        clock.jump(30)
        origin.take(moment(clock.now()))
    origin.db.close()
    for number in range(1, 400):
        path = str(tmp_path / "a.db")
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(path + suffix):
                os.unlink(path + suffix)
        shutil.copyfile(tmp_path / "origin.db", path)
        with told_disk() as disk:
            broken = Sampled(path)
            disk.count, disk.fails_at, disk.once, disk.error = 0, number, False, error
            with suppress(apsw.Error):
                keep_up(broken.db, SHORT, clock)
            with suppress(apsw.Error):
                broken.db.close()
        again = Sampled(path)
        again.written = origin.written
        assert again.db.pragma("integrity_check") == "ok"
        again.check()
        keep_up(again.db, SHORT, clock)
        again.check()
        assert again.rolled()[300] == clock.now() // 300 * 300
        again.db.close()
        if not disk.failed:
            break
    assert 5 < number < 399


@pytest.mark.case("sqlite 5.9")
def test_the_wal_comes_back_after_a_long_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    sampled, clock = Sampled(path), ManualClock(START)
    passes(sampled, clock, 20)
    reader = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    rows = reader.execute("SELECT * FROM system_samples")
    next(rows)
    passes(sampled, clock, 600)
    assert os.stat(f"{path}-wal").st_size > 4 << 20
    assert len(times(sampled, "instance_samples")) <= 100, "the reader stops no retention"
    rows.close()
    reader.close()
    clock.jump(86400)
    passes(sampled, clock, 1)
    assert os.stat(f"{path}-wal").st_size <= 64 << 10
