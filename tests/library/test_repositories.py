"""What the repositories find in a database with a small site in it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import llamaagent
from llamaagent.base.errors import BadInputError
from llamaagent.store.connect import open_database
from llamaagent.store.upgrade import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.library.store import Store

SITE = Path(__file__).resolve().parents[1] / "fixtures" / "seed_queries" / "site.sql"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    file = str(tmp_path / "own" / "x.db")
    db = open_database(file)
    with db:
        db.execute(SITE.read_text(encoding="utf-8"), {"now": int(time.time())})
    db.close()
    with llamaagent.open_store(file) as made:
        yield made


def ask(store: Store, sql: str) -> list[tuple[object, ...]]:
    db = open_database(store.path, write=False)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_instances(store: Store) -> None:
    running = ask(
        store, "SELECT profile FROM v_profiles WHERE status IN ('loading','running','unhealthy','stopping')"
    )

    assert {row["profile"] for row in store.instances.get_active()} == {name for (name,) in running}
    launches = store.instances.get_history()
    assert [row["instance_id"] for row in launches] == [
        ident for (ident,) in ask(store, "SELECT id FROM instances ORDER BY id DESC")
    ]
    name = launches[0]["profile"]
    assert {row["profile"] for row in store.instances.get_history(name)} == {name}
    assert store.instances.get_history(since=time.time() + 10) == []
    assert any(isinstance(row["gpus"], list) for row in launches)
    assert store.instances.get("no such") is None


def test_metrics(store: Store) -> None:
    stored = [ts for (ts,) in ask(store, "SELECT ts FROM system_samples ORDER BY ts DESC")]

    assert [row["timestamp"] for row in store.metrics.get_history(1000)] == stored
    latest = store.metrics.get_latest()
    assert latest is not None
    assert latest["timestamp"] == stored[0]
    assert [row["timestamp"] for row in store.metrics.get_history(until=stored[0])] == stored[1:]


def test_stats(store: Store) -> None:
    db = open_database(store.path)
    with db:
        for number in range(7):
            db.execute(
                "INSERT INTO generations (ts, profile, model_name, prompt_tokens, generated_tokens, total_tokens)"
                " VALUES (?, ?, ?, 1, 2, 3)",
                (1_700_000_000 + number // 3 * 86400, "ab"[number % 2], f"model {number % 2}"),
            )
    db.close()
    ((count, tokens),) = ask(store, "SELECT count(*), sum(total_tokens) FROM generations")
    summary = store.stats.get_summary()

    assert (summary["total_generations"], summary["total_tokens"]) == (count, tokens)
    assert sum(row["generations"] for row in summary["by_model"].values()) == count
    assert sum(row["tokens"] for row in summary["by_day"]) == tokens
    assert len(summary["by_day"]) == 3
    assert (
        store.stats.get_summary("a")["total_generations"]
        == store.stats.get_summary("model 0")["total_generations"]
    )
    assert store.stats.get_summary(since=1_700_086_400)["total_generations"] == 4
    assert store.stats.get_summary("no such")["total_generations"] == 0
    whole = [row["id"] for row in store.stats.get_history(1000)]
    assert len(whole) == count
    pages: list[int] = []
    before = None
    while page := store.stats.get_history(2, before=before):
        pages += [row["id"] for row in page]
        before = page[-1]
    assert pages == whole
    assert [row["id"] for row in store.stats.get_history(2, 1)] == whole[1:3]


def test_models_and_favorites(store: Store, tmp_path: Path) -> None:
    (tmp_path / "here.gguf").write_bytes(b"GGUF")
    db = open_database(store.path)
    with db:
        for path in (tmp_path / "here.gguf", tmp_path / "gone.gguf", Path("/not/mounted/x.gguf")):
            db.execute(
                "INSERT INTO model_files (path, filename, first_seen_ts) VALUES (?, ?, 1)",
                (str(path), path.name),
            )
    db.close()
    names = {row["name"] for row in store.models.get_all()}
    assert {"here.gguf", "gone.gguf", "x.gguf"} <= names

    assert store.models.set_favorite("here.gguf")
    assert not store.models.set_favorite(str(tmp_path / "here.gguf"))
    assert "here.gguf" in {row["name"] for row in store.models.get_favorites()}
    assert store.models.set_favorite("here.gguf", favorite=False)
    assert not store.models.set_favorite("no such")
    row = store.models.get("here.gguf")
    assert row is not None
    assert store.models.get_by_id(row["id"]) == row
    for name in names:  # of a profile, of a file, of both
        store.models.set_favorite(name)
        assert name in {row["name"] for row in store.models.get_favorites()}
        store.models.set_favorite(name, favorite=False)
        assert name not in {row["name"] for row in store.models.get_favorites()}

    store.models.cleanup_missing_files()

    left = {row["name"] for row in store.models.get_all()}
    assert "gone.gguf" not in left
    assert {"here.gguf", "x.gguf"} <= left


def test_cards_quotas_and_figures(store: Store) -> None:
    cards = store.gpus.get_all()
    assert len(cards) == len(ask(store, "SELECT id FROM gpus"))
    assert store.gpus.get(cards[0]["uuid"]) == store.gpus.get(cards[0]["idx"]) == cards[0]
    assert store.gpus.get("no such") is None
    assert [row["project"] for row in store.quotas.get_all("research")] == [
        name for (name,) in ask(store, "SELECT project FROM v_quotas WHERE project = 'research'")
    ]
    assert len(store.quotas.get_use()) == len(ask(store, "SELECT 1 FROM project_quotas"))
    found = store.get_db_stats()
    assert found["stats_entries"] == len(ask(store, "SELECT 1 FROM generations"))
    assert found["log_entries"] == len(ask(store, "SELECT 1 FROM logs"))
    assert found["file_size_mb"] > 0
    assert ask(store, "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'") == [(0,)]
    assert store.vacuum()
    ((analyzed,),) = ask(store, "SELECT count(*) FROM sqlite_stat1")
    assert int(str(analyzed)) > 0


def test_the_keys_that_the_dashboards_predefined(store: Store) -> None:
    live = "status IN ('loading', 'running', 'unhealthy', 'stopping')"
    ((since,),) = ask(store, f"SELECT min(launched_ts) FROM instances WHERE {live}")
    assert store.metadata.get("db_version") == str(VERSION)
    assert store.metadata.get("server_start_time") == since
    assert store.metadata.get("last_metrics_save", 0) == 0  # no pass made what is in the fixture
    db = open_database(store.path)
    db.execute("INSERT INTO metadata (key, value, updated_at) VALUES ('last_sample_ts', '5', 5)")
    db.execute("INSERT INTO metadata (key, value, updated_at) VALUES ('server_start_time', '1', 5)")
    db.close()
    assert store.metadata.get("last_metrics_save") == 5
    assert store.metadata.get("server_start_time") == since, "not what an import brought"
    assert store.metadata.all()["last_metrics_save"] == 5
    store.metadata.set("theme_preference", "dark")
    assert store.metadata.delete("theme_preference")
    for key in ("db_version", "server_start_time", "last_metrics_save"):
        with pytest.raises(BadInputError):
            store.metadata.set(key, 1)
