"""The drawing on the page: the path data of an outage, a spike and a change of summer time; texts stay texts."""

from __future__ import annotations

import re
import zoneinfo
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llamaagent.report import svg
from llamaagent.report.charts import Chart, Event, Limit, Point, Series, make_chart
from llamaagent.report.strips import draw_spark
from llamaagent.report.times import span_ticks

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
MIDNIGHT = 1_795_219_200  # 2026-11-21 00:00 UTC
DAY_S = 86400
NASTY = "<script>alert(1)</script>\"'&"


def chart_of(points: list[Point], *, unit: str = "%", begin: int = MIDNIGHT, **more: object) -> Chart:
    given_: dict[str, object] = {"zone": BERLIN, "longest_s": 375.0, **more}
    span = (begin, begin + DAY_S)
    return make_chart("x", "Traffic", unit, span, (Series("read", 0, tuple(points)),), **given_)  # type: ignore[arg-type]


def flat(value: float, *, every: int = 150, begin: int = MIDNIGHT, skip: range = range(0)) -> list[Point]:
    times = [begin + n * every for n in range(DAY_S // every) if n not in skip]
    return [Point(ts, value, value, value) for ts in times]


def paths(text: str, kind: str) -> list[str]:
    """The data of all paths of a class."""
    return [data for name, data in re.findall(r'<path class="([^"]*)" d="([^"]*)"', text) if name == kind]


def places(data: str) -> list[list[tuple[int, int]]]:
    """Every line of a path, as places: what a browser makes of it."""
    found = []
    for part in data.split("M")[1:]:
        start, _, steps = part.partition("l")
        x, y = (int(word) for word in start.split())
        line = [(x, y)]
        numbers = [int(word) for word in re.findall(r"-?\d+", steps)]
        for right, down in zip(numbers[::2], numbers[1::2], strict=True):
            x, y = x + right, y + down
            line.append((x, y))
        found.append(line)
    return found


def test_an_outage_breaks_the_line_and_is_marked_as_a_gap() -> None:
    drawn = svg.draw(chart_of(flat(50.0, skip=range(200, 300))), BERLIN)

    (data,) = paths(drawn, "s0")
    first, second = places(data)
    assert (first[0][0], first[-1][0]) == (0, round(199 * 150 / DAY_S * svg.WIDE))
    assert second[0][0] == round(300 * 150 / DAY_S * svg.WIDE)
    (gap,) = re.findall(r'<rect class="gap" x="([\d.]+)%" y="\d+" width="([\d.]+)%"', drawn)
    assert float(gap[0]) == pytest.approx(100 * 199 * 150 / DAY_S, abs=0.01)
    assert float(gap[1]) == pytest.approx(100 * 101 * 150 / DAY_S, abs=0.01)


def test_a_thousandfold_spike_flattens_nothing_and_is_told() -> None:
    points = flat(10.0)
    points[288] = points[288]._replace(mean=10_000.0, high=10_000.0)
    chart = chart_of(points, unit="B/s")

    drawn = svg.draw(chart, BERLIN)

    (line,) = places(paths(drawn, "s0")[0])
    calm = [y for _, y in line if y > 0]
    assert {svg.HIGH * 0.1 < y < svg.HIGH * 0.5 for y in calm} == {
        True
    }  # in the upper half, not on the floor
    assert min(y for _, y in line) == -9  # out of the picture, not a number of six digits
    assert "↑ 9.77 KiB/s" in drawn
    assert "One peak of 9.77 KiB/s is cut off." in chart.caption


def test_three_wild_samples_among_hundreds_are_cut_off_too() -> None:
    points = flat(10.0)
    for index in (100, 200, 300):
        points[index] = points[index]._replace(high=10_000.0)

    assert chart_of(points, unit="B/s").top < 20


def test_what_is_high_for_long_is_shown_whole() -> None:
    points = [p._replace(mean=900.0, high=910.0) if n > 540 else p for n, p in enumerate(flat(10.0))]

    chart = chart_of(points, unit="B/s")

    assert chart.top >= 910
    assert chart.cut is None


def test_a_change_of_summer_time_repeats_no_mark_and_moves_no_point() -> None:
    begin = 1_792_879_200  # 2026-10-25 00:00 in Berlin; the clocks go back three hours later
    drawn = svg.draw(chart_of(flat(5.0, begin=begin), begin=begin), BERLIN)

    labels = re.findall(r'<text class="x[^"]*" x="([\d.]+)%" y="\d+">([^<]*)<', drawn)
    assert [text for _, text in labels][:3] == ["Sun 25", "03:00", "06:00"]
    assert float(labels[1][0]) == pytest.approx(100 * 4 / 24, abs=0.01)  # four hours after midnight
    (line,) = places(paths(drawn, "s0")[0])
    assert [x for x, _ in line] == [0, round(575 * 150 / DAY_S * svg.WIDE)]  # one level line


def test_at_most_two_points_a_pixel_are_drawn() -> None:
    points = [Point(MIDNIGHT + n * 144, n % 7, n % 3, n % 11) for n in range(600)]

    (line,) = places(paths(svg.draw(chart_of(points), BERLIN), "s0")[0])

    assert len(line) <= 600 < 2 * 400  # a card on the page is at least 400 CSS pixels wide


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 100), st.booleans()), min_size=1, max_size=60))
def test_a_path_is_where_its_points_are(steps: list[tuple[int, float, bool]]) -> None:
    """Joining level steps loses no corner: each place of the points lies on the drawn line."""
    ts, points = MIDNIGHT, []
    for wait, value, gap in steps:
        ts += 150 * (wait + 1) + (5000 if gap else 0)
        if ts >= MIDNIGHT + DAY_S:
            break
        points.append(Point(ts, value, value, value))
    if not points:
        return
    chart = chart_of(points)
    drawn = [place for line in places(paths(svg.draw(chart, BERLIN), "s0")[0]) for place in line]
    for point in points:
        x = int((point.ts - MIDNIGHT) * svg.WIDE / DAY_S + 0.5)
        y = max(-9, int(svg.HIGH - point.mean * svg.HIGH / chart.top + 0.5))
        assert any(py == y for px, py in drawn if px >= x), (x, y)


def test_texts_from_outside_stay_texts_and_the_drawing_is_well_formed() -> None:
    event = Event(MIDNIGHT + 500, "crash", NASTY)
    drawn = svg.draw(chart_of(flat(5.0), events=(event,), limits=(Limit(5.0, NASTY),)), BERLIN)

    root = ET.fromstring(drawn)
    assert "<script" not in drawn
    texts = [node.text for node in root.iter() if node.text]
    assert texts.count(NASTY) == 2
    assert not [name for node in root.iter() for name in node.attrib if name in {"style", "onload"}]


def test_series_have_colour_and_dash_by_class_alone() -> None:
    series = tuple(Series(f"s{n}", n, tuple(flat(float(n)))) for n in range(6))
    chart = make_chart("x", "X", "", (MIDNIGHT, MIDNIGHT + DAY_S), series, zone=BERLIN, longest_s=375)

    drawn = svg.draw(chart, BERLIN)

    assert [len(paths(drawn, f"s{n}")) for n in range(6)] == [1] * 6
    assert "#" not in drawn.replace('href="#', "")


def test_long_spans_have_days_mondays_and_months() -> None:
    week = span_ticks(MIDNIGHT - 7 * DAY_S, MIDNIGHT, BERLIN)
    month = span_ticks(MIDNIGHT - 31 * DAY_S, MIDNIGHT, BERLIN)
    year = span_ticks(MIDNIGHT - 366 * DAY_S, MIDNIGHT, BERLIN)

    assert [tick.label for tick in week][-2:] == ["Fri 20", "Sat 21"]
    assert [tick.label for tick in month] == ["26 Oct", "2 Nov", "9 Nov", "16 Nov"]
    assert [tick.label for tick in year][:3] == ["Dec", "2026", "Feb"]
    assert len(year) == 12


def test_a_line_as_small_as_a_word_has_gaps_and_no_data_is_nothing() -> None:
    points = [Point(MIDNIGHT + n, 5.0, 5.0, 5.0) if n != 3 else None for n in range(6)]

    assert len(places(paths(draw_spark(points, "a & b"), "s0")[0])) == 2
    assert 'aria-label="a &amp; b: lowest 5, highest 5, latest 5"' in draw_spark(points, "a & b")
    assert not draw_spark([None, None], "x")
