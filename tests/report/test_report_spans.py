"""Charts of any span: from which resolution they come, and that they tell the same."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamaagent.base.clock import ManualClock
from llamaagent.domain.settings import Settings
from llamaagent.report import paths
from llamaagent.report.definitions import read_definitions
from llamaagent.report.series import read_columns, span_window
from llamaagent.report.spans import choose_parts
from llamaagent.retain.simulate import Plan, simulate
from llamaagent.sql import statements
from llamaagent.store.connect import open_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from apsw import Connection

NOW = 1_795_257_000
DAY_S = 86400
DEFINITIONS = read_definitions(paths.read_site_file("charts.toml"))


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A hundred and twenty days of two servers and a card, with a pass every five minutes."""
    path = str(tmp_path_factory.mktemp("spans") / "a.db")
    made = open_database(path)
    simulate(made, Plan(120, 2, 1), Settings(interval_s=300), ManualClock(NOW), lambda _day: None)
    yield made
    made.close()


@pytest.mark.parametrize("days", [1, 7, 30, 120, 365])
@pytest.mark.parametrize("page", ["system", "gpu", "profile"])
def test_each_span_has_its_chart_from_end_to_end(db: Connection, days: int, page: str) -> None:
    window = span_window(NOW - days * DAY_S, NOW, 300)
    assert (window.to_ts - window.from_ts) / window.bucket_s <= 602
    found = read_columns(db, DEFINITIONS, page, statements("report"), window)
    assert len(found) == {"system": 1, "gpu": 1, "profile": 2}[page]
    column = {"system": "cpu_percent", "gpu": "utilization_percent", "profile": "memory_mib"}[page]
    for columns in found.values():
        points = columns[column]
        times = [point.ts for point in points]
        assert times == sorted(times)
        assert min(times) <= max(window.from_ts, NOW - 120 * DAY_S) + 2 * window.bucket_s
        assert max(times) >= NOW - 2 * window.bucket_s
        assert all(point.low <= point.mean <= point.high for point in points)
        longest = max(b - a for a, b in pairwise(times))
        assert longest <= window.longest_s


def test_a_month_by_roll_ups_is_the_month_by_samples(db: Connection) -> None:
    end = NOW // DAY_S * DAY_S
    window = span_window(end - 20 * DAY_S, end, 300)
    assert window.bucket_s == 3600
    rolled = read_columns(db, DEFINITIONS, "system", statements("report"), window)[""]
    bindings = {**window.bindings(), "bucket_s": window.bucket_s}
    measured = db.execute(statements("report")["read_system_buckets"], bindings).fetchall()
    assert len(measured) == len(rolled["cpu_percent"]) == 480
    for point, row in zip(rolled["cpu_percent"], measured, strict=True):
        assert (point.mean, point.low, point.high) == pytest.approx((row[2], row[3], row[4]), rel=1e-5)
    for point, row in zip(rolled["network_rx_bytes_per_s"], measured, strict=True):
        assert point.mean == pytest.approx(row[26], rel=1e-5)


def test_a_card_in_a_month_is_what_its_samples_are(db: Connection) -> None:
    """Its clock, how much of the time it was held back, and the limit of its power, which is that of today."""
    end = NOW // DAY_S * DAY_S
    window = span_window(end - 20 * DAY_S, end, 300)
    (rolled,) = read_columns(db, DEFINITIONS, "gpu", statements("report"), window).values()
    bindings = {**window.bindings(), "bucket_s": window.bucket_s}
    measured = db.execute(statements("report")["read_gpu_buckets"], bindings).fetchall()
    for column, place in (("power_limit_watts", 17), ("throttled_percent", 20), ("sm_clock_mhz", 23)):
        expected = [row[place] for row in measured]
        assert [point.mean for point in rolled[column]] == pytest.approx(expected, rel=1e-5), column
        assert len(expected) == 480
    clocks = rolled["sm_clock_mhz"]
    assert [(point.low, point.high) for point in clocks] == [(row[24], row[25]) for row in measured]
    assert len({round(point.mean, 3) for point in rolled["throttled_percent"]}) > 2


def test_a_year_of_requests_goes_back_beyond_those_that_are_kept(db: Connection) -> None:
    """By the machine's count and the servers' counters, which the roll-ups have."""
    ((kept_from,),) = db.execute("SELECT min(ts) FROM generations").fetchall()
    assert NOW - 100 * DAY_S < kept_from < NOW - 80 * DAY_S
    window = span_window(NOW - 366 * DAY_S, NOW, 300)
    assert window.bucket_s == DAY_S
    (found,) = read_columns(db, DEFINITIONS, "requests", statements("report"), window).values()
    for column in ("requests_per_minute", "generated_per_s", "prompt_per_s"):
        times = [point.ts for point in found[column]]
        assert min(times) < NOW - 118 * DAY_S
        assert max(b - a for a, b in pairwise(times)) <= window.longest_s
        assert min(point.mean for point in found[column]) > 0
    ((since, upto),) = db.execute(
        "SELECT min(ts), max(ts) + 300 FROM system_rollups WHERE resolution_s = 86400"
    )
    counted = "SELECT sum(requests) * 60.0 / sum(covered_s) FROM system_rollups WHERE resolution_s = 86400 AND ts < ?"
    expected = [row[0] for row in db.execute(f"{counted} AND ts > {since}", (kept_from // DAY_S * DAY_S,))]
    before = [
        p.mean for p in found["requests_per_minute"] if since + DAY_S < p.ts < kept_from // DAY_S * DAY_S
    ]
    assert sum(before) / len(before) == pytest.approx(expected[0], rel=1e-3)
    assert upto > since
    profiles = read_columns(db, DEFINITIONS, "profile", statements("report"), window)
    assert len(profiles) == 2
    for columns in profiles.values():
        assert min(point.ts for point in columns["generation_speed"]) < NOW - 118 * DAY_S
        assert min(point.ts for point in columns["prompt_speed"]) < NOW - 118 * DAY_S
        first = min(point.ts for point in columns["requests_per_minute"])
        assert kept_from <= first + DAY_S, "of single profiles nobody counted them"
        assert first < kept_from + 2 * DAY_S


def test_where_no_request_ended_is_no_gap_but_none(tmp_path: Path) -> None:
    """Requests eight hours apart, watched all the time: a week and a day say the same of the same hours."""
    made = open_database(str(tmp_path / "a.db"))
    simulate(made, Plan(8, 1, 0), Settings(interval_s=300), ManualClock(NOW), lambda _day: None)
    made.execute("DELETE FROM generations WHERE ts % 28800 >= 432")
    week = span_window(NOW // 1200 * 1200 - 7 * DAY_S, NOW // 1200 * 1200, 300)
    end = week.to_ts
    ((count,),) = made.execute(
        "SELECT count(*) FROM generations WHERE ts >= ? AND ts < ?", (week.from_ts, end)
    )
    assert 18 <= count <= 24
    for page in ("requests", "profile"):
        (found,) = read_columns(made, DEFINITIONS, page, statements("report"), week).values()
        points = found["requests_per_minute"]
        assert len(points) == (end - week.from_ts) // week.bucket_s
        assert sum(point.mean for point in points) * week.bucket_s / 60 == pytest.approx(count)
        assert max(b.ts - a.ts for a, b in pairwise(points)) <= week.longest_s
        day = span_window(end - DAY_S, end, 300)
        (short,) = read_columns(made, DEFINITIONS, page, statements("report"), day).values()
        total = sum(point.mean for point in short["requests_per_minute"]) * day.bucket_s
        assert total == pytest.approx(sum(p.mean for p in points if p.ts >= end - DAY_S) * week.bucket_s)
    made.close()


def test_a_day_whose_samples_are_gone_is_drawn_from_roll_ups(db: Connection) -> None:
    window = span_window(NOW - 61 * DAY_S, NOW - 60 * DAY_S, 300)
    found = read_columns(db, DEFINITIONS, "profile", statements("report"), window)
    assert len(found["sim-00"]["cpu_percent"]) > 200
    older = span_window(NOW - 111 * DAY_S, NOW - 110 * DAY_S, 300)
    assert (
        20
        <= len(read_columns(db, DEFINITIONS, "profile", statements("report"), older)["sim-00"]["cpu_percent"])
        <= 26
    )


@given(
    st.integers(0, 10**6), st.integers(1, 10**6), st.sampled_from([60, 300, 3600, 7200, 86400]),
    st.lists(st.integers(0, 10**6), min_size=4, max_size=4), st.lists(st.integers(0, 10**6), min_size=4, max_size=4),
)  # fmt: skip
def test_parts_follow_one_another_and_overlap_nowhere(
    begin: int, span: int, bucket: int, starts: list[int], lengths: list[int]
) -> None:
    reach = {
        size: (start, start + length)
        for size, start, length in zip((0, 300, 3600, 86400), starts, lengths, strict=True)
    }
    parts = choose_parts(reach, begin, begin + span, bucket)
    for (_, _, end), (_, start, _) in pairwise(parts):
        assert end == start
    assert all(begin <= start < end <= begin + span for _, start, end in parts)


@pytest.mark.parametrize("name", ["read_system_buckets", "read_gpu_buckets", "read_instance_buckets"])
def test_a_long_chart_reads_its_part_of_the_roll_ups_only(db: Connection, name: str) -> None:
    plan = [
        row[3]
        for row in db.execute(
            f"EXPLAIN QUERY PLAN {statements('longreport')[name]}", {"parts": "[]", "bucket_s": 1}
        )
    ]
    assert any("resolution_s=? AND ts>? AND ts<?" in line for line in plan), plan
