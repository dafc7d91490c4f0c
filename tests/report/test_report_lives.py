"""The life line of profiles that are young, and the years in what is said about long charts."""

from __future__ import annotations

import re
import zoneinfo
from typing import TYPE_CHECKING

import pytest
from report_sites import build_site
from small_database import NOW, add_launch, add_revision, insert

from llamaagent.report.charts import Point, Series, make_chart
from llamaagent.report.lives import live, say_life
from llamaagent.report.rows import LifeRow
from llamaagent.report.series import Window

if TYPE_CHECKING:
    from pathlib import Path

    from apsw import Connection

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
DAY = 86_400
YEAR = Window(NOW - 366 * DAY, NOW, DAY, 1.5 * DAY)


def launch(launched: int, ready: int | None, ended: int | None, *, first: int | None = None) -> LifeRow:
    """A launch by seconds before NOW."""
    given = (None if ts is None else NOW - ts for ts in (launched, ready, ended))
    return LifeRow("alpha", 1, *given, "running", None, None, NOW - (first or launched))  # type: ignore[arg-type]


def say(*launches: LifeRow, window: Window = YEAR, now: int = NOW) -> str:
    return say_life(live(launches, window, now, BERLIN))


def test_a_young_profile_is_measured_from_its_first_launch() -> None:
    """120 days of health are not a third of a year that it did not see."""
    assert say(launch(120 * DAY, 120 * DAY - 60, None)) == (
        "Healthy for 100% of the time since its first launch (Fri 24 Jul 12:30), in one stretch."
    )
    assert say(launch(330 * DAY, 330 * DAY, 165 * DAY)).startswith(
        "Healthy for 50% of the time since its first launch (Fri 26 Dec 2025 11:30), in one stretch."
    )


def test_one_that_ran_before_the_window_is_measured_from_its_begin() -> None:
    assert say(launch(183 * DAY, 183 * DAY, None, first=500 * DAY)) == (
        "Healthy for 50% of the time, in one stretch."
    )
    assert say(launch(500 * DAY, 499 * DAY, None)) == "Healthy for 100% of the time, in one stretch."


def test_the_part_of_a_window_that_is_still_to_come_does_not_count() -> None:
    window = Window(NOW - 3600, NOW + 400, 600, 900.0)

    assert say(launch(9000, 8000, None), window=window) == "Healthy for 100% of the time, in one stretch."


def test_one_that_never_became_healthy_says_so() -> None:
    assert say(launch(100 * DAY, None, 99 * DAY)) == (
        "Healthy for 0% of the time since its first launch (Thu 13 Aug 12:30)."
    )
    assert say() == "It did not run in this time."


def fill(db: Connection) -> None:
    """One that is 120 days old, one that is two years old and has stood still for the first half of the last."""
    with db:
        for ts in (NOW - 400 * DAY, NOW - 60):
            insert(db, "system_samples", ts=ts)
        for name, days in (("young", 120), ("old", 183)):
            add_revision(db, name)
            ago = NOW - days * DAY
            add_launch(db, name, launched_ts=ago, ready_ts=ago, since_ts=ago, created_ts=ago)
        ago = NOW - 700 * DAY
        fields = {"launched_ts": ago, "ready_ts": ago, "created_ts": ago, "ended_ts": NOW - 600 * DAY}
        add_launch(db, "old", "stopped", launch_id="old-0", **fields)


def test_the_page_of_the_year_says_since_when(tmp_path: Path) -> None:
    site = build_site(str(tmp_path), fill)

    young, old = (site.read(f"year/profiles/{name}.html") for name in ("young", "old"))
    share = re.search(r"Healthy for ([\d.]+)% of the time since its first launch \(Fri 24 Jul 12:30\)", young)
    assert share is not None
    assert float(share[1]) == pytest.approx(100, abs=1)
    share = re.search(r"Healthy for ([\d.]+)% of the time, in one stretch", old)
    assert share is not None
    assert float(share[1]) == pytest.approx(50, abs=1)
    assert "since its first launch" not in site.read("profiles/young.html")


def test_what_is_not_of_the_year_in_which_a_chart_ends_says_its_year() -> None:
    points = [Point(ts, 1.0, 1.0, 1.0) for ts in range(NOW - 100 * DAY, NOW, DAY)]
    points.insert(0, Point(NOW - 360 * DAY, 5.0, 5.0, 5.0))

    chart = make_chart(
        "cpu",
        "Processor",
        "%",
        (NOW - 366 * DAY, NOW),
        [Series("cpu", 0, tuple(points))],
        zone=BERLIN,
        longest_s=1.5 * DAY,
    )

    assert "peak 5% on Wed 26 Nov 2025, latest 1%" in chart.caption
    assert "No data from Wed 26 Nov 2025 to Thu 13 Aug" in chart.caption
    assert "Thu 20 Nov 2025 11:30 to Sat 21 Nov 11:30 CET" in chart.alt
