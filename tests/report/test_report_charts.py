"""Charts by the data in them."""

from __future__ import annotations

import doctest
import zoneinfo
from datetime import datetime

import pytest

from llamaagent.base.errors import UsageError
from llamaagent.report import arithmetic, differences, figures, spreads, words
from llamaagent.report.charts import (
    Chart,
    Event,
    Gap,
    Limit,
    Point,
    Series,
    break_gaps,
    find_gaps,
    make_chart,
)
from llamaagent.report.tables import tabulate
from llamaagent.report.times import find_zone, time_ticks, zone_label

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
UTC = zoneinfo.ZoneInfo("UTC")
MIDNIGHT = 1_795_219_200  # 2026-11-21 00:00 UTC
SPAN = (MIDNIGHT, MIDNIGHT + 86400)


def points(*pairs: tuple[int, float]) -> tuple[Point, ...]:
    return tuple(Point(MIDNIGHT + offset, value, value - 1, value + 1) for offset, value in pairs)


def chart_of(*series: Series, **more: object) -> Chart:
    settings: dict[str, object] = {"zone": UTC, "longest_s": 3600.0, **more}
    return make_chart("cpu", "Processor", "%", SPAN, series, **settings)  # type: ignore[arg-type]


def steady(value: float, *, every: int = 600) -> Series:
    return Series("busy", 0, points(*((offset, value) for offset in range(0, 86400, every))))


@pytest.mark.parametrize(
    "module", [arithmetic, differences, figures, spreads, words], ids=lambda module: module.__name__
)
def test_the_examples_in_the_docstrings_hold(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]

    assert result.attempted > 0
    assert result.failed == 0


def test_a_silence_longer_than_allowed_breaks_the_line() -> None:
    given = points((0, 5), (75, 5), (151, 5))

    assert break_gaps(given, 75) == (given[0], given[1], None, given[2])


def test_gaps_are_found_within_and_at_both_ends() -> None:
    gaps = find_gaps([100, 200, 500], 0, 1000, 99)

    assert gaps == (Gap(0, 100), Gap(100, 200), Gap(200, 500), Gap(500, 1000))
    assert find_gaps([100, 200, 500], 0, 1000, 300) == (Gap(500, 1000),)


def test_the_caption_gives_mean_peak_and_latest() -> None:
    chart = chart_of(Series("busy", 0, points(*((h * 3600, 10 + h) for h in range(24)))))

    assert chart.caption == "Mean 21.5%, peak 34% at 23:00, latest 33%."
    assert chart.alt == (
        "Line chart of processor in %, Sat 21 Nov 00:00 to Sun 22 Nov 00:00 UTC. "
        "Mean 21.5%, peak 34% at 23:00, latest 33%."
    )


def test_the_caption_names_the_longest_gap_and_counts_the_others() -> None:
    early = [(offset, 5.0) for offset in range(0, 20_000, 600)]
    late = [(offset, 5.0) for offset in range(40_000, 86_400, 600) if not 50_000 < offset < 60_000]
    chart = chart_of(Series("busy", 0, points(*early, *late)))

    assert chart.caption.endswith("No data from 05:30 to 11:06, and in 1 shorter gap.")
    assert chart.series[0].points.count(None) == 2


def test_events_are_told_in_the_alternative_text() -> None:
    event = Event(MIDNIGHT + 3600, "crash", "ended by itself")
    outside = Event(MIDNIGHT - 5, "start", "started")

    chart = chart_of(steady(5), events=(event, outside))

    assert chart.events == (event,)
    assert chart.alt.endswith("Marked: ended by itself at 01:00.")


def test_no_data_is_a_sentence() -> None:
    chart = chart_of(Series("busy", 0, ()))

    assert chart.empty
    assert chart.caption == "No processor data between Sat 21 Nov 00:00 and Sun 22 Nov 00:00."
    assert chart.gaps == ()


def test_one_wild_sample_does_not_flatten_the_rest() -> None:
    calm = [(offset, 10.0) for offset in range(0, 86400, 600)]
    calm[50] = (calm[50][0], 10_000.0)

    chart = make_chart(
        "x", "Traffic", "B/s", SPAN, (Series("read", 0, points(*calm)),), zone=UTC, longest_s=3600
    )

    assert 13 <= chart.top <= 20
    assert "One peak of 9.77 KiB/s is cut off." in chart.caption


def test_the_axis_reaches_a_limit_and_ends_on_a_tick() -> None:
    chart = chart_of(steady(5), limits=(Limit(64.0, "limit"),))
    memory = make_chart("m", "Memory", "MiB", SPAN, (steady(9000),), zone=UTC, longest_s=3600)

    assert (chart.top, chart.tick) == (100.0, 25.0)
    assert (memory.top, memory.tick) == (10 * 1024, 2.5 * 1024)


def test_dots_say_nothing_about_gaps() -> None:
    dots = Series("one request", 0, points((100, 5.0), (80_000, 6.0)), "dots")

    assert chart_of(dots).gaps == ()


def test_the_table_has_a_row_for_each_hour_of_the_wall_clock() -> None:
    autumn = 1_792_882_800  # 2026-10-24 23:00 UTC; clocks go back in Berlin at 01:00 UTC
    given = tuple(Point(autumn + 1800 * n, float(n), float(n), float(n)) for n in range(8))
    chart = make_chart(
        "x", "X", "", (autumn, autumn + 14_400), (Series("a", 0, given),), zone=BERLIN, longest_s=9000
    )

    rows = tabulate(chart, BERLIN)

    assert [row.from_ts - autumn for row in rows] == [0, 3600, 7200, 10_800]
    assert rows[0].cells == ((0.0, 0.5, 1.0),)


def test_ticks_follow_the_wall_clock_over_a_change_of_summer_time() -> None:
    start = 1_792_879_200  # 2026-10-25 00:00 in Berlin, summer time

    ticks = time_ticks(start, start + 25 * 3600, BERLIN)

    assert [tick.label for tick in ticks] == [
        "Sun 25", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "Mon 26",
    ]  # fmt: skip
    assert ticks[1].ts - ticks[0].ts == 4 * 3600
    assert zone_label(start, start + 86400, BERLIN) == "CEST, then CET"


def test_an_unknown_zone_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="Mars/Olympus"):
        find_zone("Mars/Olympus")


def test_the_fingerprint_changes_with_what_is_drawn_and_only_then() -> None:
    chart = chart_of(steady(5))
    other = chart_of(steady(6))

    assert chart.fingerprint(UTC) == chart_of(steady(5)).fingerprint(UTC)
    assert len({chart.fingerprint(UTC), chart.fingerprint(BERLIN), other.fingerprint(UTC)}) == 3


def test_an_hour_is_marked_every_ten_minutes_and_midnight_by_its_day() -> None:
    start = int(datetime(2026, 11, 20, 22, 32, tzinfo=UTC).timestamp())  # 23:32 in Berlin

    labels = [tick.label for tick in time_ticks(start, start + 3600, BERLIN, 10)]

    assert labels == ["23:40", "23:50", "Sat 21", "00:10", "00:20", "00:30"]
