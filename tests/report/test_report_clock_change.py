"""An outage, a thousand-fold spike and a change of the clock in one day: from the database to the page's paths."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import pytest
from report_sites import Built, build_site
from small_database import insert

from llamaagent.report.choices import Choices
from llamaagent.report.scope import Scope

if TYPE_CHECKING:
    from pathlib import Path

    from apsw import Connection

RECEIVED, SENT, SPIKE = 1000, 500, 1_000_000  # bytes a second


class Day(NamedTuple):
    """One day of Berlin, all in seconds from its begin: a sample a minute but for the outage, one of them wild."""

    begin: int  # local midnight, seconds UTC
    length: int
    out_from: int
    out_to: int
    spike: int

    def fill(self, db: Connection) -> None:
        """What the agent would have stored: the bytes of an interval, which an outage makes long."""
        before = -60
        with db:
            for at in range(0, self.length, 60):
                if self.out_from <= at < self.out_to:
                    continue
                passed, before = at - before, at
                received = (SPIKE if at == self.spike else RECEIVED) * passed
                row = {"interval_s": passed, "network_rx_bytes": received, "network_tx_bytes": SENT * passed}
                insert(db, "system_samples", ts=self.begin + at, **row)

    def build(self, folder: Path, length: int | None = None) -> Built:
        """The site of this day, or of its first `length` seconds."""
        end = self.begin + (self.length if length is None else length)
        choices = Choices(pictures="none", scope=Scope(since_ts=self.begin, until_ts=end))
        return build_site(str(folder), self.fill, now=end, choices=choices)


# Clocks go on from 02:00 to 03:00; nothing is measured from 01:20 to 03:40, which are 80 minutes.
SPRING = Day(1_774_738_800, 23 * 3600, 4800, 9600, 14 * 3600)
# Clocks go back from 03:00 to 02:00; nothing is measured from 02:20 to the second 02:40, which are 80 minutes too.
AUTUMN = Day(1_792_879_200, 25 * 3600, 8400, 13_200, 16 * 3600)
THREE_HOURS = ["03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00"]


def network(site: Built) -> str:
    """The figure of the machine's network, with its table."""
    found = re.search(
        r"<figure class=\"chart\">\s*<h\d>Network traffic</h\d>.*?</figure>",
        site.read("system.html"),
        re.DOTALL,
    )
    assert found is not None
    return found[0]


def ticks(figure: str) -> list[tuple[str, float]]:
    """The marks of the axis of time: (label, percent of the width)."""
    found = re.findall(r'<text class="x[^"]*" x="([\d.]+)%" y="175">(.*?)</text>', figure)
    return [(label, float(x)) for x, label in found]


def hours(figure: str) -> list[tuple[str, str]]:
    """(exact instant, hour) of each row of the table."""
    return re.findall(r'<th scope="row"><time datetime="(.*?)">(.*?)</time></th>', figure)


@pytest.mark.parametrize(
    ("day", "received", "sent", "gap", "words"),
    [
        (
            SPRING,
            "M2 84l65 0M141 84l587 0 4-93 5 93 460 0",
            "M2 162l65 0M141 162l1056 0",
            (4620, 9720),
            "No data from 01:17 CET to 03:42 CEST.",
        ),
        (
            AUTUMN,
            "M2 84l108 0M178 84l588 0 4-93 4 93 424 0",
            "M2 162l108 0M178 162l1020 0",
            (8220, 13_320),
            "No data from 02:17 CEST to 02:42 CET.",
        ),
    ],
    ids=["spring", "autumn"],
)
def test_the_paths_break_at_the_outage_and_leave_out_the_spike(
    day: Day, received: str, sent: str, gap: tuple[int, int], words: str, tmp_path: Path
) -> None:
    """A bucket has five minutes and stands at the middle of its five samples; the axis ends at 1.5 KiB/s."""
    figure = network(day.build(tmp_path))

    assert dict(
        re.findall(r'<path class="(s\d)" d="(.*?)"/>', figure.split('viewBox="0 0 1200 240"', 1)[1])
    ) == {
        "s0": received,
        "s1": sent,
    }
    rects = re.findall(r'<rect class="gap" x="([\d.]+)%" y="14" width="([\d.]+)%" height="144"/>', figure)
    assert [(float(x), float(width)) for x, width in rects] == [
        (
            pytest.approx(100 * gap[0] / day.length, abs=0.001),
            pytest.approx(100 * (gap[1] - gap[0]) / day.length, abs=0.001),
        )
    ]
    place = 100 * (day.spike + 120) / day.length
    cut = re.findall(r'<text class="x cut e" x="([\d.]+)%" y="10">(.*?)</text>', figure)
    assert [(float(x), text) for x, text in cut] == [
        (pytest.approx(place, abs=0.001), "\N{UPWARDS ARROW} 977 KiB/s")
    ]
    assert '<text class="y" x="2" y="25">1.5 KiB/s</text>' in figure
    caption = re.search(r"<figcaption>\s*<p>(.*?)</p>", figure, re.DOTALL)
    assert caption is not None
    assert "received: mean" in caption[1].lower()
    assert "peak 977 KiB/s at 15:02" in caption[1]
    assert "One peak of 977 KiB/s is cut off." in caption[1]
    assert words in caption[1]


def test_the_day_on_which_clocks_go_on_has_23_hours(tmp_path: Path) -> None:
    figure = network(SPRING.build(tmp_path))

    marks = ticks(figure)
    assert [label for label, _ in marks] == ["Sun 29", *THREE_HOURS, "Mon 30"]
    assert marks[1][1] == pytest.approx(100 * 2 / 23, abs=0.001)  # two hours after midnight it is three
    assert marks[2][1] == pytest.approx(100 * 5 / 23, abs=0.001)
    rows = hours(figure)
    assert [hour for _, hour in rows] == [f"{hour:02d}:00" for hour in range(24) if hour != 2]
    assert rows[1][0] == "2026-03-29T01:00:00+01:00"
    assert rows[2][0] == "2026-03-29T03:00:00+02:00"
    assert "CET, then CEST" in figure


def test_the_day_on_which_clocks_go_back_has_25_hours(tmp_path: Path) -> None:
    figure = network(AUTUMN.build(tmp_path))

    marks = ticks(figure)
    assert [label for label, _ in marks] == ["Sun 25", *THREE_HOURS, "Mon 26"]
    assert marks[1][1] == pytest.approx(100 * 4 / 25, abs=0.001)
    rows = hours(figure)
    assert len(rows) == len({instant for instant, _ in rows}) == 25
    assert [hour for _, hour in rows] == [f"{hour:02d}:00" for hour in (0, 1, 2, 2, *range(3, 24))]
    assert [instant for instant, hour in rows if hour == "02:00"] == [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
    ]
    assert "CEST, then CET" in figure


def test_marks_of_single_hours_leave_out_the_one_that_is_not_and_repeat_none(tmp_path: Path) -> None:
    spring = [label for label, _ in ticks(network(SPRING.build(tmp_path / "spring", 5 * 3600)))]
    autumn = ticks(network(AUTUMN.build(tmp_path / "autumn", 7 * 3600)))

    assert spring == ["Sun 29", "01:00", "03:00", "04:00", "05:00", "06:00"]
    assert [label for label, _ in autumn] == ["Sun 25", "01:00", "02:00", "03:00", "04:00", "05:00", "06:00"]
    assert autumn[3][1] - autumn[2][1] == pytest.approx(
        2 * 100 / 7, abs=0.01
    )  # from two to three it is two hours
