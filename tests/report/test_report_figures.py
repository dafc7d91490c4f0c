"""What stands on the pages equals SQL on the database, reckoned here once more."""

from __future__ import annotations

import csv
import os
import re
from datetime import datetime
from typing import TYPE_CHECKING

import demo_database
import pytest

from llamaagent.report.figures import format_count, format_duration, format_number, format_quantity
from llamaagent.store.connect import open_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apsw import Connection
    from report_sites import Built

NOW = demo_database.NOW
END = (NOW // 300 + 1) * 300
BEGIN = END - 86400


@pytest.fixture(scope="module")
def db(demo_site: Built) -> Iterator[Connection]:
    connection = open_database(demo_site.database, write=False)
    yield connection
    connection.close()


def one(db: Connection, text: str, *values: object) -> float:
    return db.execute(text, (BEGIN, END, *values)).get  # type: ignore[no-any-return]


def row_of(page: str, name: str) -> str:
    """The row of a table whose heading is the link of this name."""
    return next(row for row in re.findall(r"<tr>\n?(.*?)</tr>", page, re.DOTALL) if f">{name}</a>" in row)


def test_a_dozen_figures_are_those_of_sql(demo_site: Built, db: Connection) -> None:
    index, requests = demo_site.read("index.html"), demo_site.read("requests.html")
    profile, card = demo_site.read("profiles/gemma-3-27b.html"), demo_site.read("gpus/1.html")
    system = demo_site.read("system.html")
    within = "FROM generations WHERE ts >= ? AND ts < ?"
    assert f"<dd>{format_count(int(one(db, f'SELECT count(*) {within}')))}" in index
    assert f"<dd>{format_count(int(one(db, f'SELECT sum(generated_tokens) {within}')))}" in index
    cached = int(one(db, f"SELECT sum(cached_tokens) {within}"))
    assert f"{format_count(cached)} from cache" in index
    mine = f"{within} AND profile = ?"
    row = row_of(index, "gemma-3-27b")
    for figure in ("count(*)", "sum(generated_tokens)"):
        assert (
            f'<td class="num">{format_count(int(one(db, f"SELECT {figure} {mine}", "gemma-3-27b")))}</td>'
            in row
        )
    half = int(one(db, f"SELECT count(*) {mine}", "gemma-3-27b") + 1) // 2
    median = one(db, f"SELECT tokens_per_second {mine} ORDER BY 1 LIMIT 1 OFFSET ?", "gemma-3-27b", half - 1)
    assert f'<td class="num">{format_number(median)}</td>' in row
    by_profile = row_of(requests, "qwen3-8b")
    busy = one(db, f"SELECT sum(generation_time_ms) / 1000 {mine}", "qwen3-8b")
    assert f'<td class="num">{format_duration(busy)}</td>' in by_profile
    slowest = one(db, f"SELECT max(total_time_ms) / 1000 {within}")
    assert f'<td class="num">{format_duration(slowest)}</td>' in requests
    cpu = "FROM system_samples WHERE ts >= ? AND ts < ?"
    assert f"peak {format_quantity(one(db, f'SELECT max(cpu_permille) / 10.0 {cpu}'), '%')} at" in system
    power = one(db, "SELECT max(power_mw) / 1000.0 FROM gpu_samples WHERE ts >= ? AND ts < ? AND gpu_id = 2")
    assert f"peak {format_quantity(power, 'W')} at" in card
    assert (
        f"<dd>{format_quantity(db.execute('SELECT memory_total_mib FROM gpus WHERE id = 2').get, 'MiB')}"
        not in card
    )
    peak = one(db, "SELECT max(gpu_memory_mib) FROM instance_samples AS s JOIN instances AS i ON i.id = instance_id "
                   "WHERE ts >= ? AND ts < ? AND profile = ?", "gemma-3-27b")  # fmt: skip
    assert f"peak {format_quantity(peak, 'MiB')} at" in profile


def test_the_csv_beside_a_chart_is_the_data_by_buckets(demo_site: Built, db: Connection) -> None:
    with open(
        os.path.join(demo_site.directory, "charts/system/cpu-day.csv"), encoding="utf-8", newline=""
    ) as file:
        rows = list(csv.DictReader(file))
    found = db.execute(
        "SELECT CAST(avg(ts) AS INTEGER), min(cpu_permille) / 10.0, avg(cpu_permille) / 10.0, max(cpu_permille) / 10.0 "
        "FROM system_samples WHERE ts >= ? AND ts < ? GROUP BY ts / 300 ORDER BY 1",
        (BEGIN, END),
    ).fetchall()
    assert len(rows) == len(found) > 270
    for row, (ts, *figures) in zip(rows, found, strict=True):
        assert int(row["unix_time"]) == ts == int(datetime.fromisoformat(row["time"]).timestamp())
        told = [float(row[f"busy {what} [%]"]) for what in ("lowest", "mean", "highest")]
        assert told == pytest.approx(figures, rel=1e-5)


def test_memory_by_holder_adds_up_to_what_the_driver_counts(demo_site: Built, db: Connection) -> None:
    path = os.path.join(demo_site.directory, "charts")
    folder = next(name for name in os.listdir(path) if name.startswith("gpu-b02f"))
    with open(os.path.join(path, folder, "memory-day.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    used = dict(db.execute(
        "SELECT CAST(avg(ts) AS INTEGER), avg(memory_used_mib) FROM gpu_samples "
        "WHERE gpu_id = 2 AND ts >= ? AND ts < ? GROUP BY ts / 300", (BEGIN, END)
    ))  # fmt: skip
    assert len(rows) == len(used)
    for row in rows:
        total = sum(float(value) for name, value in row.items() if name.endswith("mean [MiB]"))
        assert total == pytest.approx(used[int(row["unix_time"])], rel=1e-4)
