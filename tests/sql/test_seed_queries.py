"""Queries that older tools are known to send, word for word, and what they must answer here."""

import json
import re
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "seed_queries"


def queries(name: str) -> dict[str, str]:
    parts = re.split(r"^-- name: (\w+)\n", (FOLDER / name).read_text(encoding="utf-8"), flags=re.MULTILINE)[
        1:
    ]
    return dict(zip(parts[::2], parts[1::2], strict=True))


CONTAINERS = queries("containers.sql")
DASHBOARD = {
    name: re.sub(r"\bFROM models\b", "FROM v_models", text) for name, text in queries("dashboard.sql").items()
}


def ask(db: apsw.Connection, text: str, *bindings: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in db.execute(text, bindings)]


def ask_names(db: apsw.Connection, text: str, *bindings: Any) -> list[dict[str, Any]]:
    cursor = db.execute(text, bindings)
    return [dict(zip([column[0] for column in cursor.get_description()], row, strict=True)) for row in cursor]


def text_time(ts: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(ts))


def test_every_query_is_there() -> None:
    assert (len(CONTAINERS), len(DASHBOARD)) == (21, 17)


def test_image_queries(site: apsw.Connection) -> None:
    assert [row["id"] for row in ask_names(site, CONTAINERS["images_by_category"])] == [1]
    assert {row["name"] for row in ask_names(site, CONTAINERS["images_like"])} == {"pytorch", "torchserve"}
    assert sorted(ask(site, CONTAINERS["versions_of_image"])) == [
        ("24.01", "12.0", "2.2"),
        ("24.06", "12.5", "2.4"),
    ]
    assert {row["id"] for row in ask_names(site, CONTAINERS["versions_by_cuda"])} == {1, 3}


def test_an_answer_of_a_registry_counts_until_it_expires(site: apsw.Connection) -> None:
    assert ask(site, CONTAINERS["api_cache_valid"]) == [('{"images": 3}',)]
    assert ask(site, CONTAINERS["api_cache_valid"].replace("images", "old")) == []


def test_containers_that_run_in_any_way_read_running(site: apsw.Connection, now: int) -> None:
    created = text_time(now - 7200)
    assert sorted(ask(site, CONTAINERS["containers_running"])) == [
        ("web-1", "pytorch:24.01", created),
        ("web-2", "pytorch:24.06", created),
    ]
    for name in ("containers_running_all", "containers_running_lower"):
        assert {row["id"] for row in ask_names(site, CONTAINERS[name])} == {1, 2}


def test_a_container_row_in_full(site: apsw.Connection, now: int) -> None:
    rows = {row["id"]: row for row in ask_names(site, CONTAINERS["containers_of_project"])}
    assert {key: row["status"] for key, row in rows.items()} == {1: "running", 3: "error", 5: "created"}
    assert rows[1] == {
        "id": 1,
        "container_id": "abc123",
        "container_name": "web-1",
        "image_name": "pytorch:24.01",
        "project_path": "/home/user/my-project",
        "status": "running",
        "cpu_limit": 4.0,
        "memory_limit_gb": 32.0,
        "gpu_devices": '["0","1"]',
        "port_mappings": '{"8888": "8888"}',
        "created_at": text_time(now - 7200),
        "started_at": text_time(now - 7100),
        "stopped_at": None,
        "cpu_usage_avg": 250.0,
        "memory_usage_avg_gb": 2.0,
        "gpu_utilization_avg": 50.0,
        "user_id": None,
    }
    assert rows[3]["cpu_usage_avg"] is None
    assert rows[3]["gpu_utilization_avg"] is None
    assert rows[3]["stopped_at"] == text_time(now - 900)


def test_container_use_and_status(site: apsw.Connection) -> None:
    assert ask(site, CONTAINERS["containers_by_memory"]) == [("web-1", 250.0, 2.0), ("web-2", 50.0, 1.0)]
    assert ask(site, CONTAINERS["container_status"]) == [("error",)]


def test_samples_of_a_container(site: apsw.Connection, now: int) -> None:
    rows = ask_names(site, CONTAINERS["metrics_five_minutes"])
    assert [(row["timestamp"], row["cpu_percent"], row["memory_used_gb"]) for row in rows] == [
        (text_time(now - 240), 300.0, 4.0),
        (text_time(now - 60), 200.0, 2.0),
    ]
    newest = rows[1]
    assert newest["memory_percent"] == pytest.approx(6.25)  # 2 of 32 GiB
    assert (newest["disk_read_mb"], newest["disk_write_mb"], newest["network_rx_mb"]) == (1.0, None, 2.0)
    assert [(c["gpu_id"], c["utilization"], c["memory_used"]) for c in json.loads(newest["gpu_metrics"])] == [
        (0, 40, 10000),
        (1, 60, 2000),
    ]
    assert ask(site, CONTAINERS["metrics_hour_average"]) == [(pytest.approx(200.0),)]


@pytest.mark.parametrize("name", ["all_metrics_five_minutes", "all_metrics_five_minutes_wrapped"])
def test_samples_are_of_containers_only(site: apsw.Connection, name: str) -> None:
    rows = ask_names(site, CONTAINERS[name])
    assert sorted((row["container_id"], row["cpu_percent"]) for row in rows) == [
        ("abc123", 200.0),
        ("abc123", 300.0),
        ("def456", 50.0),
    ]
    assert len({row["id"] for row in rows}) == 3


def test_snapshots_of_the_machine(site: apsw.Connection, now: int) -> None:
    assert ask(site, CONTAINERS["snapshot_latest"]) == [(50.0, 50.0)]
    assert sorted(ask(site, CONTAINERS["snapshots_hour"])) == [
        (text_time(now - 1800), 0.75, 25.0),
        (text_time(now - 60), 1.25, 50.0),
    ]
    assert ask(site, CONTAINERS["system_summary"]) == [(40.0, 50.0, 37.5, 50.0, 10.0, 2)]


def test_quota_and_cards(site: apsw.Connection) -> None:
    assert ask(site, CONTAINERS["quota_room"]) == [(1, 1)]  # 2 of 3: web-2 and qwen
    assert sorted(ask(site, CONTAINERS["gpus_free"])) == [(2,), (3,)]


def test_active_containers(site: apsw.Connection, now: int) -> None:
    rows = {row["container_name"]: row for row in ask_names(site, CONTAINERS["active_containers"])}
    assert set(rows) == {"web-1", "web-2"}
    assert rows["web-1"] == {
        "container_name": "web-1",
        "image_name": "pytorch:24.01",
        "project_path": "/home/user/my-project",
        "status": "running",
        "cpu_limit": 4.0,
        "memory_limit_gb": 32.0,
        "gpu_devices": '["0","1"]',
        "created_at": text_time(now - 7200),
        "started_at": text_time(now - 7100),
        "avg_cpu": 250.0,
        "avg_memory_gb": 3.0,
    }
    assert (rows["web-2"]["avg_cpu"], rows["web-2"]["avg_memory_gb"]) == (50.0, 1.0)


def test_models_by_status(site: apsw.Connection) -> None:
    assert [row["name"] for row in ask_names(site, DASHBOARD["models_loaded"])] == ["qwen"]
    assert [row["name"] for row in ask_names(site, DASHBOARD["models_idle"])] == ["old", "spare.gguf"]
    assert [row["name"] for row in ask_names(site, DASHBOARD["models_error"])] == ["broken"]
    assert ask(site, DASHBOARD["models_loaded_count"]) == [(1,)]
    assert sorted(ask(site, DASHBOARD["models_by_status"])) == [
        ("error", 1),
        ("idle", 2),
        ("loaded", 1),
        ("loading", 1),
    ]


def test_models_by_size(site: apsw.Connection) -> None:
    assert [row["name"] for row in ask_names(site, DASHBOARD["models_largest"])] == ["spare.gguf"]
    assert ask(site, DASHBOARD["models_by_size"]) == [
        ("file_3", "spare.gguf", 8_000_000_000, "Q8_0"),
        ("model_1", "qwen", 5_000_000_000, "Q4_K_M"),
        ("model_2", "mistral", 4_000_000_000, "Q5_K_M"),
    ]
    assert {row["name"] for row in ask_names(site, DASHBOARD["models_over_size"])} == {"qwen", "spare.gguf"}


def test_models_by_age(site: apsw.Connection, now: int) -> None:
    newest = [row["name"] for row in ask_names(site, DASHBOARD["models_newest"])]
    assert newest == ["spare.gguf", "old", "broken", "mistral", "qwen"]
    older = [row["name"] for row in ask_names(site, DASHBOARD["models_older_than"], now - 5000)]
    assert older == ["mistral", "qwen"]
    assert ask(site, DASHBOARD["models_page_three"]) == []


def test_models_with_statistics(site: apsw.Connection) -> None:
    rows = ask(site, DASHBOARD["models_with_statistics"])
    assert [(row[1], row[2], row[4], row[5]) for row in rows] == [
        ("spare.gguf", "idle", 2, 0),
        ("old", "idle", 2, 0),
        ("broken", "error", 2, 0),
        ("mistral", "loading", 2, 0),
        ("qwen", "loaded", 2, 2),
    ]


def test_metrics_of_the_last_hour(site: apsw.Connection, now: int) -> None:
    rows = ask_names(site, DASHBOARD["metrics_hour"])
    assert rows == [
        {
            "id": now - 60,
            "cpu_usage": 50.0,
            "memory_usage": 50.0,
            "disk_usage": 25.0,
            "active_models": 2,
            "uptime": 6840.0,
            "gpu_usage": 50.0,
            "gpu_memory_used": 12000.0,
            "gpu_memory_total": 49152.0,
            "swap_usage": 0.0,
            "timestamp": now - 60,
        },
        {
            "id": now - 1800,
            "cpu_usage": 30.0,
            "memory_usage": 25.0,
            "disk_usage": 25.0,
            "active_models": 1,
            "uptime": 5100.0,
            "gpu_usage": 0.0,
            "gpu_memory_used": 0.0,
            "gpu_memory_total": 0.0,
            "swap_usage": 25.0,
            "timestamp": now - 1800,
        },
    ]
    assert ask(site, DASHBOARD["metrics_hour_average"]) == [(40.0, 37.5, 25.0)]


def test_log_queries(site: apsw.Connection, now: int) -> None:
    assert [row["id"] for row in ask_names(site, DASHBOARD["logs_errors"])] == [2, 1]
    assert [row["id"] for row in ask_names(site, DASHBOARD["logs_of_source"])] == [3, 1]
    assert ask(site, DASHBOARD["logs_error_columns"]) == [(1, "error", "gone", now - 50)]
    assert ask(site, "SELECT count(*) FROM logs WHERE level = 'ERROR'") == [(1,)]
