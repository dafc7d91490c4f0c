"""What stands beside figures for those who do not see them: instants of files, and small lines in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from report_sites import build_site
from small_database import NOW, add_launch, add_revision, add_samples, insert

from llamaagent.report.charts import Point
from llamaagent.report.strips import draw_spark

if TYPE_CHECKING:
    from pathlib import Path

    from apsw import Connection


def fill(db: Connection) -> None:
    with db:
        for number, used in enumerate((NOW - 7200, None)):
            insert(
                db,
                "model_files",
                path=f"/models/{number}.gguf",
                filename=f"{number}.gguf",
                size_bytes=1024,
                first_seen_ts=NOW - 9000,
                last_seen_ts=NOW,
                last_used_ts=used,
            )
        insert(db, "gpus", id=1, uuid="GPU-1", idx=0, name="Card", first_seen_ts=NOW - 9000, last_seen_ts=NOW)
        add_revision(db, "alpha")
        add_samples(db, add_launch(db, "alpha"))


def test_when_a_file_was_used_is_an_instant_of_the_page(tmp_path: Path) -> None:
    page = build_site(str(tmp_path), fill).read("models.html")

    assert '<th scope="col">Last used</th>' in page
    assert '<td><time datetime="2026-11-21T09:30:00+01:00">Sat 21 Nov 09:30</time></td></tr>' in page
    assert "<td>never</td></tr>" in page


def test_a_small_line_tells_its_figures(tmp_path: Path) -> None:
    page = build_site(str(tmp_path), fill).read("index.html")

    labels = re.findall(r'<svg class="spark" role="img" aria-label="(.*?)"', page)
    assert labels == [
        "Tokens per second of alpha over the day: lowest 10, highest 10, latest 10",
        "Use of 0 Card over the day: lowest 40%, highest 40%, latest 40%",
    ]


def test_lowest_highest_and_latest_are_those_of_what_is_drawn() -> None:
    points = [Point(1, 5.0, 1.0, 9.0), None, Point(2, 80.4, 2.0, 99.0), Point(3, 7.0, 7.0, 7.0), None]

    assert 'aria-label="Use: lowest 5%, highest 80.4%, latest 7%"' in draw_spark(points, "Use", "%")
    assert draw_spark([None], "Use", "%") == ""
