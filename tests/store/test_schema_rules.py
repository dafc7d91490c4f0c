"""What the tables refuse, and what goes with what."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from llamaagent.store import open_database

CONFIG_TABLES = [
    "model_sampling_config",
    "model_memory_config",
    "model_gpu_config",
    "model_advanced_config",
    "model_lora_config",
    "model_multimodal_config",
    "model_fit_params",
]
TABLES = {
    *CONFIG_TABLES,
    "schema_version",
    "metadata",
    "config",
    "logs",
    "audit_log",
    "users",
    "profile_revisions",
    "models",
    "model_server_config",
    "model_files",
    "instances",
    "decisions",
    "log_tails",
    "notifications",
    "health_checks",
    "overrides",
    "gpus",
    "gpu_holders",
    "gpu_xids",
    "reservations",
    "quotas",
    "memory_observations",
    "system_samples",
    "gpu_samples",
    "instance_samples",
    "system_rollups",
    "gpu_rollups",
    "instance_rollups",
    "generations",
    "generation_claims",
    "benchmarks",
    "cache",
    "ngc_images",
    "image_versions",
    "api_cache",
    "imported_rows",
}
CONFIG = "INSERT INTO config (key, value, value_type, created_ts, updated_ts) VALUES"
INSTANCE = "INSERT INTO instances (profile, kind, status, since_ts, created_ts, launch_id, model_id) VALUES"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    opened = open_database(str(tmp_path / "a.db"))
    opened.execute("INSERT INTO models (id, name, created_at, updated_at) VALUES (1, 'qwen', 5, 5)")
    yield opened
    opened.close()


def test_every_table_is_strict_and_every_series_is_without_rowid(db: apsw.Connection) -> None:
    tables = db.execute(
        "SELECT name, wr, strict FROM pragma_table_list"
        " WHERE schema = 'main' AND type = 'table' AND name NOT GLOB 'sqlite_*'"
    ).fetchall()
    assert {name for name, _, _ in tables} == TABLES
    assert [name for name, _, strict in tables if not strict] == []
    series = {name for name, without_rowid, _ in tables if without_rowid}
    assert {name for name, _, _ in tables if name.endswith(("_samples", "_rollups"))} <= series


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO system_samples (ts, cpu_permille) VALUES ('yesterday', 5)",
        "INSERT INTO system_samples (ts, cpu_permille) VALUES (5, 1.5)",
        "INSERT INTO logs (ts, level, message) VALUES (5, 'loud', 'x')",
        "INSERT INTO logs (ts, level, message) VALUES (5, 'INFO', 'x')",
        "INSERT INTO logs (ts, level, message, context_json) VALUES (5, 'info', 'x', '{')",
        f"{CONFIG} ('a', 'not json', 'str', 1, 1)",
        f"{CONFIG} ('a', '1', 'date', 1, 1)",
        "UPDATE models SET status = 'loaded'",
        "UPDATE models SET origin = 'magic'",
        "UPDATE models SET hf_token = 'hf_abcdef'",
        "UPDATE models SET hf_token = 'env:'",
        "UPDATE models SET cont_batching = 2",
        "INSERT INTO model_server_config (id, created_at, updated_at, api_key) VALUES (1, 5, 5, 'sk-secret')",
        "INSERT INTO model_server_config (id, created_at, updated_at) VALUES (2, 5, 5)",
        f"{INSTANCE} ('a', 'pod', 'running', 5, 5, 'l', NULL)",
        f"{INSTANCE} ('a', 'process', 'asleep', 5, 5, 'l', NULL)",
        f"{INSTANCE} ('a', 'process', 'created', 5, 5, 'l', NULL)",
        f"{INSTANCE} ('a', 'process', 'running', 5, 5, 'l', 99)",
        "INSERT INTO decisions (ts, last_ts, profile, action) VALUES (5, 5, 'a', 'dance')",
        "INSERT INTO overrides (profile, action, created_ts) VALUES ('a', 'explode', 5)",
        "INSERT INTO quotas (project, resource, created_ts) VALUES ('a', 'luck', 5)",
        "INSERT INTO gpus (uuid, status, first_seen_ts, last_seen_ts) VALUES ('u', 'lost', 5, 5)",
        "INSERT INTO health_checks (instance_id, ts, last_ts, status) VALUES (1, 5, 5, 'fine')",
        "INSERT INTO system_rollups (resolution_s, ts, n) VALUES (60, 0, 1)",
        "INSERT INTO gpu_samples (ts, gpu_id) VALUES (5, 99)",
    ],
)
def test_refused(db: apsw.Connection, statement: str) -> None:
    with pytest.raises(apsw.ConstraintError):
        db.execute(statement)


@pytest.mark.parametrize("reference", ["env:HF_TOKEN", "file:/run/secrets/hf"])
def test_a_reference_to_a_secret_is_taken(db: apsw.Connection, reference: str) -> None:
    db.execute("UPDATE models SET hf_token = :reference", {"reference": reference})
    assert db.execute("SELECT hf_token FROM models").fetchall() == [(reference,)]


def test_a_profile_has_one_live_instance_and_any_number_of_ended_ones(db: apsw.Connection) -> None:
    db.execute(
        f"{INSTANCE} ('a', 'process', 'error', 5, 5, 'l1', NULL),"
        " ('a', 'process', 'stopped', 5, 5, 'l2', NULL)"
    )
    db.execute(f"{INSTANCE} ('a', 'process', 'created', 5, 5, NULL, NULL)")
    with pytest.raises(apsw.ConstraintError):
        db.execute(f"{INSTANCE} ('a', 'process', 'loading', 5, 5, 'l3', NULL)")
    db.execute(f"{INSTANCE} ('b', 'process', 'loading', 5, 5, 'l3', NULL)")


def test_a_held_row_becomes_the_launch(db: apsw.Connection) -> None:
    db.execute(f"{INSTANCE} ('a', 'process', 'created', 5, 5, NULL, NULL)")
    db.execute("UPDATE instances SET status = 'loading', launch_id = 'l1' WHERE profile = 'a'")
    with pytest.raises(apsw.ConstraintError):
        db.execute(f"{INSTANCE} ('b', 'process', 'loading', 5, 5, 'l1', NULL)")


def test_an_instance_number_is_never_used_twice(db: apsw.Connection) -> None:
    db.execute(f"{INSTANCE} ('a', 'process', 'error', 5, 5, 'l1', NULL)")
    first = db.last_insert_rowid()
    db.execute("DELETE FROM instances")
    db.execute(f"{INSTANCE} ('a', 'process', 'error', 5, 5, 'l1', NULL)")
    assert db.last_insert_rowid() > first


def test_removing_a_model_removes_its_configuration_and_keeps_its_instances(db: apsw.Connection) -> None:
    for table in CONFIG_TABLES:
        db.execute(f"INSERT INTO {table} (model_id, created_at, updated_at) VALUES (1, 5, 5)")
        with pytest.raises(apsw.ConstraintError):  # one each
            db.execute(f"INSERT INTO {table} (model_id, created_at, updated_at) VALUES (1, 5, 5)")
    db.execute("INSERT INTO model_server_config (id, created_at, updated_at) VALUES (1, 5, 5)")
    db.execute(f"{INSTANCE} ('qwen', 'process', 'running', 6, 6, 'l1', 1)")
    db.execute("DELETE FROM models")
    assert {db.execute(f"SELECT count(*) FROM {table}").get for table in CONFIG_TABLES} == {0}
    assert db.execute("SELECT count(*) FROM model_server_config").get == 1
    assert db.execute("SELECT model_id FROM instances").fetchall() == [(None,)]


def test_the_status_of_a_model_follows_its_newest_instance(db: apsw.Connection) -> None:
    def status() -> str:
        return str(db.execute("SELECT status FROM models").get)

    assert status() == "stopped"
    db.execute(f"{INSTANCE} ('qwen', 'process', 'created', 6, 6, NULL, 1)")
    assert status() == "stopped"
    steps = [
        ("loading", "loading"),
        ("running", "running"),
        ("unhealthy", "running"),
        ("stopping", "running"),
    ]
    for number, (own, shown) in enumerate([*steps, ("error", "error")]):
        db.execute(
            "UPDATE instances SET status = :own, launch_id = 'l1', since_ts = :ts",
            {"own": own, "ts": 10 + number},
        )
        assert status() == shown
    db.execute(f"{INSTANCE} ('qwen', 'process', 'running', 20, 20, 'l2', 1)")
    db.execute("UPDATE instances SET status = 'deleted' WHERE launch_id = 'l1'")
    assert status() == "running"
    assert db.execute("SELECT updated_at FROM models").get == 20


def test_a_request_is_counted_once(db: apsw.Connection) -> None:
    db.execute(f"{INSTANCE} ('qwen', 'process', 'running', 6, 6, 'l1', 1)")
    insert = "INSERT INTO generations (ts, instance_id, task_id, slot_id) VALUES (5, 1, :task, 0)"
    db.execute(insert, {"task": 7})
    with pytest.raises(apsw.ConstraintError):
        db.execute(insert, {"task": 7})
    db.execute("INSERT INTO generations (ts) VALUES (5), (5)")  # a cache hit has no server
    db.execute("DELETE FROM instances")
    assert db.execute("SELECT count(*) FROM generations WHERE instance_id IS NULL").get == 3


def test_text_times_are_made_from_the_numbers(db: apsw.Connection) -> None:
    db.execute("INSERT INTO logs (ts, level, message) VALUES (1000000000, 'info', 'x')")
    assert db.execute("SELECT timestamp, created_at FROM logs").fetchall() == [
        (1000000000, "2001-09-09 01:46:40")
    ]
    db.execute("INSERT INTO api_cache (endpoint, cached_ts) VALUES ('a', 1000000000)")
    assert db.execute("SELECT cached_at, expires_at FROM api_cache").fetchall() == [
        ("2001-09-09 01:46:40", None)
    ]


def test_a_health_check_counts_failures_only(db: apsw.Connection) -> None:
    db.execute(f"{INSTANCE} ('qwen', 'process', 'running', 6, 6, 'l1', 1)")
    for status in ("healthy", "unhealthy"):
        db.execute(
            "INSERT INTO health_checks (instance_id, ts, last_ts, count, status)"
            " VALUES (1, 5, 6, 4, :status)",
            {"status": status},
        )
    assert db.execute("SELECT status, failure_count FROM health_checks ORDER BY id").fetchall() == [
        ("healthy", 0),
        ("unhealthy", 4),
    ]


def test_every_reference_is_found_by_an_index(db: apsw.Connection) -> None:
    """Else removing a row would read the whole of each table that points to it."""
    tables = [
        name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    ]
    without = []
    for table in tables:
        if table.endswith(
            ("_samples", "_rollups")
        ):  # their key starts with the time; cards and instances stay
            continue
        for key in db.execute(f"PRAGMA foreign_key_list({table})").fetchall():
            column = key[3]
            plan = db.execute(f"EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {column} = 5").fetchall()
            if not any("SEARCH" in str(row[3]) for row in plan):
                without.append((table, column))
    assert without == [("overrides", "user_id")]  # a handful of rows
