"""The page about the data: rows, sizes, how long what is kept; and what it costs to know."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import small_database
from report_sites import Built, build_again, build_site
from small_database import NOW, add_launch, insert

from llamaagent.domain.settings import Settings
from llamaagent.report.child import _choices, _parse, child_argv
from llamaagent.report.choices import Choices
from llamaagent.report.figures import DASH
from llamaagent.report.stored import read_stored
from llamaagent.retain.prune import periods
from llamaagent.sql import statements
from llamaagent.store.backup import back_up_to
from llamaagent.store.connect import open_database
from llamaagent.store.info import table_sizes

if TYPE_CHECKING:
    from pathlib import Path

    from apsw import Connection

KEPT = Choices(kept=periods(Settings(retain_logs_s=None, retain_generations_s=7 * 86_400)))


def fill_much(db: Connection) -> None:
    """Some 75 MB: more than a build counts by itself."""
    small_database.fill(db)
    with db:
        for number in range(150):
            insert(db, "logs", ts=NOW - 1000 + number, level="info", message="x" * 500_000)


def table(site: Built) -> dict[str, list[str]]:
    """The cells of the page's first table by the table's name."""
    page = re.sub(r"\s+", " ", site.read("care.html").partition("</table>")[0])
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', page)
    return {
        name: [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<td.*?>(.*?)</td>", cells)]
        for name, cells in rows
    }


def test_each_table_says_its_rows_its_size_and_how_long_it_is_kept(tmp_path: Path) -> None:
    site = build_site(str(tmp_path), small_database.fill, choices=KEPT)

    found = table(site)
    assert found["system_samples"][::4] == ["21", "30 d retention.system_samples"]
    assert found["instance_samples"][::4] == ["20", "7 d retention.instance_samples"]
    assert found["generations"][::4] == ["10", "7 d retention.generations"]
    assert found["decisions"][::4] == ["3", "365 d"]
    assert found["instances"][::4] == ["3", "for ever"]
    assert "logs" not in found  # nothing in it
    db = open_database(site.database, write=False)
    sizes = {one.name: one.size_bytes for one in table_sizes(db)}
    db.close()
    for name in ("system_samples", "instance_samples", "generations", "decisions", "instances"):
        assert found[name][1] == f"{sizes[name] / 1024:.0f} KiB", name


def test_roll_ups_are_kept_for_90_days_two_years_and_for_ever(tmp_path: Path) -> None:
    def fill(db: Connection) -> None:
        small_database.fill(db)
        with db:
            for size in (300, 3600, 86_400):
                insert(db, "system_rollups", resolution_s=size, ts=NOW // size * size - size, n=1)
                insert(db, "metadata", key=f"rollup_{size}_ts", value=str(NOW // size * size), updated_at=NOW)

    found = table(build_site(str(tmp_path), fill, choices=KEPT))

    assert [found[f"roll-ups of {name}"][4] for name in ("5 min", "1 h", "1 d")] == [
        "90 d",
        "730 d",
        "for ever",
    ]


def test_a_page_that_nobody_told_the_settings_names_the_setting_alone(tmp_path: Path) -> None:
    found = table(build_site(str(tmp_path), small_database.fill))

    assert found["system_samples"][4] == "retention.system_samples"
    assert found["decisions"][4] == DASH


def test_the_child_is_told_how_long_what_is_kept() -> None:
    argv = child_argv("db", "out", public=False, choices=KEPT)

    assert _choices(_parse(argv[argv.index("--database=db") :])).kept == KEPT.kept
    assert dict(KEPT.kept)["logs"] is None


def test_a_large_file_is_not_read_for_each_build(tmp_path: Path) -> None:
    """Until the first backup there are no figures; from then on those of the last one, with its time."""
    site = build_site(str(tmp_path), fill_much, choices=KEPT)
    assert os.path.getsize(site.database) > 64 * 1024 * 1024
    assert table(site)["logs"][:2] == [DASH, DASH]
    assert "there was none yet" in site.read("care.html")

    db = open_database(site.database)
    back_up_to(db, str(tmp_path / "copy.db"), NOW + 10)
    with db:
        insert(db, "logs", ts=NOW, level="info", message="one more")
    db.close()
    build_again(site.database, site.directory, NOW + 60, choices=KEPT)

    rows, size, *_, kept = table(site)["logs"]
    assert (rows, kept) == ("150", "for ever retention.logs")
    assert re.fullmatch(r"7\d\.\d MiB", size)
    assert "Rows and sizes were counted at <time" in site.read("care.html")


def test_a_file_is_counted_once_a_day_or_when_it_has_grown(tmp_path: Path) -> None:
    site = build_site(str(tmp_path), small_database.fill, choices=KEPT)

    def after(seconds: int, lines: int, text: str) -> str:
        """Rows of `logs` as the page has them, after so many more."""
        db = open_database(site.database)
        with db:
            for number in range(lines):
                insert(db, "logs", ts=NOW - 100 + number, level="info", message=text)
        db.close()
        build_again(site.database, site.directory, NOW + seconds, choices=KEPT)
        return table(site)["logs"][0]

    first = re.search(r"were counted at <time[^>]*>([^<]*)", site.read("care.html"))
    assert after(300, 3, "x") == "0", "what was counted is told"
    assert re.search(r"were counted at <time[^>]*>([^<]*)", site.read("care.html"))[1] == first[1]  # type: ignore[index]
    assert after(600, 1, "x" * 400_000) == "4", "the file has grown"
    assert after(900, 1, "x") == "4"
    assert after(600 + 86_400, 0, "") == "5", "a day is over"
    (note,) = (tmp_path / "state" / "matplotlib").glob("tables.json")
    note.write_text('{"ts": "damaged"')
    assert after(700 + 86_400, 1, "x") == "6", "a damaged note is none"


def test_no_statement_of_that_page_scans_a_table_that_grows(tmp_path: Path) -> None:
    db = open_database(str(tmp_path / "state" / "llamaagent.db"))
    for text in (statements("report")["read_tables"], statements("report")["read_table_sizes"]):
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {text}")]
        assert not [
            step for step in plan if step.startswith("SCAN") and re.search("samples|logs|generations", step)
        ]
    db.close()


def test_rows_of_tables_without_rowids_are_counted_in_full(tmp_path: Path) -> None:
    """Their inner pages hold rows too; `db info` used to lose one in a hundred."""
    db = open_database(str(tmp_path / "state" / "llamaagent.db"))
    with db:
        launch = add_launch(db, "alpha")
        for number in range(20_000):
            insert(db, "instance_samples", ts=number, instance_id=launch)
        for number in range(5_000):
            insert(db, "logs", ts=number, level="info", message="x")
    rows = {one.name: one.rows for one in table_sizes(db)}
    db.close()

    assert (rows["instance_samples"], rows["logs"], rows["instances"]) == (20_000, 5000, 1)


def test_a_sqlite_without_dbstat_still_counts_rows(tmp_path: Path) -> None:
    site = build_site(str(tmp_path), small_database.fill)
    db = open_database(site.database, write=False)
    db.drop_modules(["json_each"])

    assert table_sizes(db) == ()
    stored = read_stored(_Reader(db), KEPT.kept)  # type: ignore[arg-type]
    db.close()

    assert {(one.name, one.row_count) for one in stored.tables} >= {("generations", 10), ("instances", 3)}
    assert {one.size_bytes for one in stored.tables} == {None}
    assert stored.rest_bytes is None


class _Reader:
    """What read_stored needs of a reader."""

    def __init__(self, db: Connection) -> None:
        self.db, self.sql, self.now = db, dict(statements("report")), NOW
