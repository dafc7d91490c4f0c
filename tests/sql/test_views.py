"""The views: their columns, their rules, and that none reads a whole series for a span of time."""

import csv
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import apsw
import pytest

from llamaagent import sql
from llamaagent.sql import ddl
from llamaagent.store.connect import open_database

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
SERIES = ("system_samples", "gpu_samples", "instance_samples")
EVERY = re.findall(r"^CREATE VIEW (\w+)", sql.ddl("views.sql"), flags=re.MULTILINE)
TEXTS = dict(
    zip(EVERY, re.split(r"^CREATE VIEW \w+", sql.ddl("views.sql"), flags=re.MULTILINE)[1:], strict=True)
)
LOOK_AT_THE_CLOCK = [name for name in EVERY if re.search(r"ts >=? .*unixepoch\('now'\) - ", TEXTS[name])]


def with_a_time() -> list[tuple[str, str]]:
    """Views that can be filtered by a number of seconds, and the column for it."""
    db = apsw.Connection(":memory:")
    db.execute(sql.ddl("schema.sql"))
    db.execute(sql.ddl("views.sql"))
    found = {name: {row[1] for row in db.execute(f"PRAGMA table_info({name})")} for name in EVERY}
    return [(name, "ts") for name in EVERY if "ts" in found[name]] + [("metrics", "timestamp")]


def rows(db: apsw.Connection, text: str) -> list[dict[str, Any]]:
    cursor = db.execute(text)
    return [dict(zip([column[0] for column in cursor.get_description()], row, strict=True)) for row in cursor]


def read_from_the_start(db: apsw.Connection, query: str) -> set[str]:
    """The series that a query reads from their first row on, by its byte code."""
    roots = {
        root: name
        for name, root in db.execute("SELECT name, rootpage FROM sqlite_schema WHERE type = 'table'")
        if name in SERIES
    }
    code = [(row[1], row[2], row[3]) for row in db.execute(f"EXPLAIN {query}")]
    cursors = {p1: roots[p2] for opcode, p1, p2 in code if opcode == "OpenRead" and p2 in roots}
    return {cursors[p1] for opcode, p1, _ in code if opcode == "Rewind" and p1 in cursors}


def test_the_byte_code_reader_sees_a_scan(site: apsw.Connection) -> None:
    assert read_from_the_start(site, "SELECT avg(cpu_permille) FROM system_samples") == {"system_samples"}
    assert read_from_the_start(site, "SELECT * FROM system_samples WHERE ts > 5") == set()


def test_the_views_that_look_at_the_clock_are_found() -> None:
    assert {"metrics_history", "v_active_containers", "v_system_summary", "v_profiles", "v_gpus"} <= set(
        LOOK_AT_THE_CLOCK
    )


@pytest.mark.parametrize("name", LOOK_AT_THE_CLOCK)
def test_a_view_with_a_span_of_time_reads_only_that(site: apsw.Connection, name: str) -> None:
    assert read_from_the_start(site, f"SELECT * FROM {name}") == set()


@pytest.mark.parametrize(("name", "column"), with_a_time())
def test_a_view_filtered_by_its_time_reads_only_that(site: apsw.Connection, name: str, column: str) -> None:
    query = f"SELECT * FROM {name} WHERE {column} > unixepoch('now') - 60"
    assert read_from_the_start(site, query) == set()
    plan = [row[3] for row in site.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert any("ts>?" in line or "ts=?" in line for line in plan), plan


@pytest.mark.parametrize("name", EVERY)
def test_every_view_answers_on_an_empty_database(name: str) -> None:
    db = apsw.Connection(":memory:")
    db.execute(sql.ddl("schema.sql"))
    db.execute(sql.ddl("views.sql"))
    expected = 1 if name in {"v_system_summary", "v_upkeep"} else 0
    assert len(db.execute(f"SELECT * FROM {name}").fetchall()) == expected


def test_every_known_option_column_exists_and_defaults_to_not_set(site: apsw.Connection) -> None:
    with (FIXTURES / "seed_columns.tsv").open(encoding="utf-8", newline="") as file:
        wanted = [
            (line["table"], line["column"], line["flag"]) for line in csv.DictReader(file, delimiter="\t")
        ]
    assert len(wanted) > 190
    for table, column, flag in wanted:
        found = site.execute(
            "SELECT dflt_value FROM pragma_table_xinfo(:table) WHERE name = :column",
            {"table": table, "column": column},
        ).fetchall()
        assert found, (table, column)
        if flag:
            assert found == [(None,)], (table, column)


def known_columns() -> dict[str, list[str]]:
    """The columns by which older tools know tables and views."""
    with (FIXTURES / "known_columns.tsv").open(encoding="utf-8", newline="") as file:
        return {line["relation"]: line["columns"].split() for line in csv.DictReader(file, delimiter="\t")}


KNOWN = known_columns()


@pytest.mark.parametrize("name", KNOWN)
def test_columns_are_those_that_older_tools_know(site: apsw.Connection, name: str) -> None:
    there = {row[1] for row in site.execute(f"SELECT * FROM pragma_table_xinfo('{name}')").fetchall()}
    assert set(KNOWN[name]) - there == set()


def test_metrics_history_is_ten_minutes_in_milliseconds(site: apsw.Connection, now: int) -> None:
    assert rows(site, "SELECT * FROM metrics_history") == [
        {
            "id": now - 60,
            "timestamp": (now - 60) * 1000,
            "cpu_usage": 50.0,
            "memory_usage": 50.0,
            "disk_usage": 25.0,
            "gpu_usage": 50.0,
            "gpu_temperature": 70.0,
            "gpu_memory_used": 12000.0,
            "gpu_memory_total": 49152.0,
            "gpu_power_usage": 300.0,
            "active_models": 2,
            "uptime": 6840,
            "requests_per_minute": 8.0,
            "created_at": now - 60,
        }
    ]


def test_without_a_card_the_dashboard_reads_zero_and_others_nothing(site: apsw.Connection) -> None:
    site.execute("DELETE FROM gpu_samples")
    (history,) = rows(site, "SELECT * FROM metrics_history")
    assert [history[key] for key in history if key.startswith("gpu_")] == [0.0] * 5
    assert {row["gpu_stats"] for row in rows(site, "SELECT gpu_stats FROM system_snapshots")} == {"[]"}
    averages = rows(site, "SELECT gpu_utilization_avg FROM container_instances WHERE id = 2")
    assert averages == [{"gpu_utilization_avg": None}]


def test_a_card_that_does_not_say_is_not_zero(site: apsw.Connection) -> None:
    site.execute("UPDATE gpu_samples SET power_mw = NULL, utilization_percent = NULL")
    (history,) = rows(site, "SELECT gpu_usage, gpu_power_usage, gpu_memory_used FROM metrics_history")
    assert history == {"gpu_usage": None, "gpu_power_usage": None, "gpu_memory_used": 12000.0}


def test_quotas_are_computed_from_what_runs(site: apsw.Connection) -> None:
    found = {row.pop("project_path"): row for row in rows(site, "SELECT * FROM project_quotas")}
    assert {name: row["current_containers"] for name, row in found.items()} == {
        "/home/user/my-project": 1,
        "/home/user/project": 2,
        "default": 1,
        "idle": 0,
    }
    # web-2 and qwen; the override of the memory holds, that of the cards is over
    assert {key: value for key, value in found["/home/user/project"].items() if key != "id"} == {
        "max_containers": 3,
        "max_cpu_cores": None,
        "max_memory_gb": 32.0,
        "max_gpus": 1,
        "current_containers": 2,
        "current_cpu_cores": 3.5,
        "current_memory_gb": 24.0,
        "current_gpus": 1,
    }
    assert found["/home/user/my-project"]["current_gpus"] == 2  # one reserved, one more in its list
    assert found["/home/user/my-project"]["max_containers"] is None
    assert found["idle"]["max_containers"] == 2


def test_cards_held_by_several_are_counted_once_each(site: apsw.Connection) -> None:
    site.execute("UPDATE instances SET project = 'one' WHERE id IN (1, 4)")
    (row,) = rows(site, "SELECT current_gpus FROM project_quotas WHERE project_path = 'one'")
    assert row == {"current_gpus": 2}


def test_allocations_name_container_profile_or_holder(site: apsw.Connection, now: int) -> None:
    site.execute("UPDATE reservations SET expires_ts = NULL WHERE id = 4")
    found = [
        (r["gpu_id"], r["container_name"])
        for r in rows(site, "SELECT * FROM gpu_allocations ORDER BY gpu_id")
    ]
    assert found == [(0, "web-1"), (1, "qwen"), (2, "ann")]


def test_model_instances_are_servers_of_every_kind(site: apsw.Connection) -> None:
    site.execute("UPDATE instances SET model_path = '/models/spare.gguf' WHERE id = 2")
    found = rows(site, "SELECT id, kind, status, url FROM model_instances ORDER BY id")
    assert [(row["id"], row["kind"], row["status"]) for row in found] == [
        (2, "container", "unhealthy"),
        (4, "process", "running"),
        (6, "process", "loading"),
        (7, "process", "error"),
    ]
    assert found[1]["url"] == "http://127.0.0.1:8100"


def test_a_model_row_says_what_profile_and_file_say(site: apsw.Connection) -> None:
    site.execute(
        "INSERT INTO model_sampling_config (model_id, created_at, updated_at, temperature, top_k)"
        " VALUES (1, 1, 1, 0.7, 40)"
    )
    (qwen,) = rows(site, "SELECT * FROM v_models WHERE name = 'qwen'")
    assert json.loads(qwen["parameters"]) == {"temperature": 0.7, "top_k": 40}
    assert json.loads(qwen["params"]) == {"num_hidden_layers": 36}
    assert (qwen["type"], qwen["ctx_size"], qwen["context_length"], qwen["block_count"]) == (
        "qwen3",
        8192,
        40960,
        36,
    )
    assert qwen["embedding_size"] is None
    (mistral,) = rows(site, "SELECT * FROM v_models WHERE name = 'mistral'")
    assert mistral["ctx_size"] == 32768
    (spare,) = rows(site, "SELECT * FROM v_models WHERE name = 'spare.gguf'")
    assert (spare["model_id"], spare["file_id"], spare["status"], spare["parameters"]) == (
        None,
        3,
        "idle",
        "{}",
    )


def test_stats_and_server_config_read_their_tables(site: apsw.Connection, now: int) -> None:
    site.execute(
        "INSERT INTO generations (id, ts, model_path, generated_tokens) VALUES (1, 1000000000, '/m', 7)"
    )
    (row,) = rows(site, "SELECT * FROM stats")
    assert (row["generated_tokens"], row["cache_hit"], row["created_at"]) == (7, 0, "2001-09-09 01:46:40")
    site.execute(
        "INSERT INTO config (key, value, value_type, created_ts, updated_ts)"
        " VALUES ('port', '8080', 'int', 1, 1)"
    )
    assert rows(site, "SELECT * FROM server_config") == [{"key": "port", "value": "8080"}]


def test_every_view_can_be_read_by_the_sqlite_that_python_brings(tmp_path: Path) -> None:
    """Debian 12's SQLite is 3.40: nothing in the file may ask for more, or no other tool opens it at all."""
    path = str(tmp_path / "data" / "llamaagent.db")
    open_database(path).close()
    other = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        views = [name for (name,) in other.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")]
        assert len(views) > 20
        for name in views:
            other.execute(f'SELECT * FROM "{name}"').fetchall()
    finally:
        other.close()


def test_no_aggregate_is_ordered_inside_its_brackets() -> None:
    """`group_concat(x ORDER BY y)` came with SQLite 3.44; a sorted subquery does the same everywhere."""
    for name in ("schema.sql", "views.sql"):
        assert (
            re.search(
                r"(?:group_array|group_concat|group_object)\((?:[^()]|\([^()]*\))*\bORDER BY", ddl(name)
            )
            is None
        )
