"""What a program stores itself: models, measurements, generations, by the names of the libraries before."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import llamaagent
from llamaagent.base.clock import ManualClock
from llamaagent.base.errors import BadInputError
from llamaagent.retain.rollup import roll_up
from llamaagent.store.connect import open_database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.library.store import Store

SITE = Path(__file__).resolve().parents[1] / "fixtures" / "seed_queries" / "site.sql"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with llamaagent.open_store(tmp_path / "own" / "x.db") as made:
        yield made


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Store]:
    """A store with a small site in it."""
    file = tmp_path / "own" / "x.db"
    db = open_database(str(file))
    with db:
        db.execute(SITE.read_text(encoding="utf-8"), {"now": int(time.time())})
    db.close()
    with llamaagent.open_store(file) as made:
        yield made


def ask(store: Store, sql: str) -> list[tuple[Any, ...]]:
    db = open_database(store.path, write=False)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_a_model_is_stored_changed_and_forgotten(store: Store) -> None:
    saved = store.models.save(
        {
            "name": "llama-2-7b.Q4_K_M.gguf",
            "type": "llama",
            "status": "idle",
            "file_size": 4268994560,
            "model_path": "/models/llama-2-7b.Q4_K_M.gguf",
            "ctx_size": 8192,
            "parameters": {"temperature": 0.7, "top_k": 20},
            "--repeat-penalty": 1.1,
        }
    )
    assert saved is not None
    assert (saved["name"], saved["status"], saved["origin"]) == ("llama-2-7b.q4_k_m", "idle", "import")
    assert (saved["file_size"], saved["ctx_size"], saved["favorite"]) == (4268994560, 8192, 0)
    assert saved["parameters"] == {"temperature": 0.7, "top_k": 20, "repeat_penalty": 1.1}
    assert saved["created_at"] <= time.time()

    updated = store.models.update(saved["id"], {"favorite": 1, "top_k": None, "temperature": 0.5})
    assert updated is not None
    assert (updated["id"], updated["favorite"]) == (saved["id"], 1)
    assert updated["parameters"] == {"temperature": 0.5, "repeat_penalty": 1.1}
    assert [row["name"] for row in store.models.get_favorites()] == ["llama-2-7b.q4_k_m"]

    again = store.models.save({"name": "llama-2-7b.q4_k_m", "hf_repo": "user/repo:Q4"})
    assert again is not None
    assert (again["id"], again["parameters"], again["model_path"]) == (saved["id"], {}, None)
    by_id = store.models.save({"id": saved["id"], "name": "other", "model_path": "/m/o.gguf", "mlock": 1})
    assert by_id is not None
    assert (by_id["id"], by_id["name"]) == (saved["id"], "other")
    assert ask(store, "SELECT mlock FROM model_memory_config") == [(1,)]

    assert store.models.update("no such", {"favorite": 1}) is None
    assert store.models.delete("other")
    assert not store.models.delete("other")
    assert ask(
        store, "SELECT (SELECT count(*) FROM models) + (SELECT count(*) FROM model_sampling_config)"
    ) == [(0,)]


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"model_path": "/m.gguf"}, "needs a name"),
        ({"name": "a"}, "say where the model is"),
        ({"name": "a", "model_path": "/m", "hf_repo": "u/r"}, "comes from one place"),
        ({"name": "a", "model_path": "/m", "status": "loaded"}, "what a server does"),
        ({"name": "a", "model_path": "/m", "hf_token": "hf_x"}, "secret"),
        ({"name": "a", "model_path": "/m", "parameters": {"api_key": "k"}}, "secret"),
        ({"name": "a", "model_path": "/m", "wobble": 3}, "wobble"),
        ({"name": "a", "model_path": "/m", "port": 8080}, "port"),
        ({"name": "a", "model_path": "/m", "ctx_size": "much"}, "ctx-size"),
        ({"name": "a", "model_path": "/m", "id": "model_99"}, "no stored model has the id"),
    ],
)
def test_what_cannot_be_stored_is_told_and_leaves_nothing(
    store: Store, model: dict[str, Any], told: str
) -> None:
    with pytest.raises(BadInputError, match=told):
        store.models.save(model)
    assert ask(store, "SELECT count(*) FROM models") == [(0,)]


def test_a_profile_is_changed_in_its_yaml_only(site: Store) -> None:
    name = next(row["name"] for row in site.models.get_all() if row["origin"] == "profile")
    before = site.models.get(name)
    with pytest.raises(BadInputError, match="changed in its YAML"):
        site.models.save({"name": name, "model_path": "/other.gguf"})
    with pytest.raises(BadInputError, match="only favorite can be set"):
        site.models.update(name, {"temperature": 0.1})
    with pytest.raises(BadInputError, match="is a profile"):
        site.models.delete(name)
    assert site.models.get(name) == before
    changed = site.models.update(name, {"favorite": 1})
    assert changed is not None
    assert changed["favorite"] == 1


def test_a_name_that_is_taken_is_not_given_twice(store: Store) -> None:
    first = store.models.save({"name": "a", "model_path": "/a"})
    second = store.models.save({"name": "b", "model_path": "/b"})
    assert first is not None
    assert second is not None
    with pytest.raises(BadInputError, match="another model called a"):
        store.models.update(second["id"], {"name": "a"})
    assert [row["name"] for row in store.models.get_all()] == ["a", "b"]


def test_measurements_come_back_by_the_names_of_the_view(store: Store) -> None:
    given = {
        "cpu_usage": 45.5,
        "memory_usage": 62.5,
        "disk_usage": 40.0,
        "active_models": 2,
        "uptime": 3600.0,
        "gpu_usage": 78.0,
        "gpu_memory_used": 8192.0,
        "gpu_memory_total": 24576.0,
    }
    assert store.metrics.save(given)
    latest = store.metrics.get_latest()
    assert latest is not None
    for name, value in given.items():
        assert latest[name] == pytest.approx(value, abs=0.1), name
    assert not store.metrics.save({"cpu_usage": 1}) or len(store.metrics.get_history()) == 2
    for wrong in ({"cpu": 1}, {"cpu_usage": "much"}, {"cpu_usage": -1}, {"cpu_usage": float("nan")}):
        with pytest.raises(BadInputError):
            store.metrics.save(wrong)  # type: ignore[arg-type]


def test_a_measurement_of_a_program_is_no_pass_and_gets_into_the_roll_ups(site: Store) -> None:
    before = ask(site, "SELECT count(*) FROM system_samples WHERE boot_id IS NOT NULL")
    rows = len(site.metrics.get_history(1000))
    until = time.monotonic() + 20
    while not site.metrics.save({"cpu_usage": 12.5}):
        assert time.monotonic() < until
    assert len(site.metrics.get_history(1000)) == rows + 1
    assert ask(site, "SELECT count(*) FROM system_samples WHERE boot_id IS NOT NULL") == before
    db = open_database(site.path)
    roll_up(db, ManualClock(int(time.time()) + 86400))
    db.close()
    assert ask(site, "SELECT total(n) FROM system_rollups WHERE resolution_s = 300") == [(rows + 1,)]


def test_prune_leaves_the_newest_and_their_sums(store: Store) -> None:
    now = int(time.time())
    db = open_database(store.path)
    with db:
        for n in range(40):
            db.execute(
                "INSERT INTO system_samples (ts, interval_s, cpu_cores, cpu_permille) VALUES (?, 60, 1, 10)",
                (now - 7200 - 60 * n,),
            )
    db.close()
    assert store.metrics.prune(10) == 30
    assert [row["timestamp"] for row in store.metrics.get_history(99)] == [
        now - 7200 - 60 * n for n in range(10)
    ]
    assert ask(
        store, "SELECT total(n), total(cpu_permille_sum) FROM system_rollups WHERE resolution_s = 300"
    ) == [(40, 400)]
    assert store.metrics.prune(10) == 0


def test_a_generation_is_recorded_from_figures_an_answer_or_an_object(store: Store) -> None:
    assert store.stats.record_generation(
        "/m/a.gguf",
        prompt_tokens=10,
        generated_tokens=20,
        prompt_time_ms=100,
        generation_time_ms=400,
        session_id="s",
    )
    answer = {
        "model": "b",
        "choices": [{"finish_reason": "stop", "message": {"content": "hi"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
        "timings": {"prompt_ms": 30.0, "predicted_ms": 50.0, "predicted_per_second": 100.0},
    }
    store.record_generation("/m/b.gguf", answer, {"temperature": 0.7, "max_tokens": 512}, cache_hit=True)
    told = SimpleNamespace(stats=SimpleNamespace(prompt_tokens=1, generated_tokens=2), finish_reason="length")
    store.record_generation("/m/c.gguf", told, SimpleNamespace(temperature=1, max_tokens=2))

    rows = {row["model_path"]: row for row in store.get_generation_history()}
    a, b, c = (rows[f"/m/{name}.gguf"] for name in "abc")
    assert (a["total_tokens"], a["total_time_ms"], a["tokens_per_second"]) == (30, 500.0, 50.0)
    assert (a["prompt_tokens_per_second"], a["session_id"], a["client"]) == (100.0, "s", "library")
    assert (b["model_name"], b["total_tokens"], b["total_time_ms"], b["finish_reason"]) == (
        "b",
        8,
        80.0,
        "stop",
    )
    assert (b["temperature"], b["max_tokens"], b["cache_hit"]) == (0.7, 512, 1)
    assert (c["total_tokens"], c["finish_reason"], c["max_tokens"]) == (3, "length", 2)
    summary = store.get_stats_summary()
    assert (summary["total_generations"], summary["total_tokens"]) == (3, 41)
    assert summary["cache_hit_rate"] == pytest.approx(1 / 3)
    assert store.get_stats_summary("/m/a.gguf")["total_tokens"] == 30
    assert store.get_stats_summary(since=time.time() + 60)["total_generations"] == 0
    with pytest.raises(BadInputError, match="'tokens' is no figure"):
        store.stats.record_generation("/m/a.gguf", tokens=3)


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["usage", "timings", "choices", "stats", "prompt_tokens", "prompt_ms", "model"]),
            inner,
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(response=anything, config=anything)
@example(response={"timings": {"prompt_ms": 1e308, "predicted_ms": 1e308}}, config=None)
@example(response={"prompt_tokens": 2**63, "stats": {"prompt_tokens": float("inf")}}, config=None)
@example(
    response={"timings": {"prompt_ms": -1e11, "predicted_ms": 1e-320}, "prompt_tokens": 10**9}, config=None
)
def test_whatever_an_answer_is_recording_it_raises_nothing(store: Store, response: Any, config: Any) -> None:
    assert store.stats.record_generation("/m/x.gguf", response, config)


def test_the_methods_of_the_one_class(store: Store) -> None:
    store.set_config("app.top_k", 40)
    assert store.config.save({"app.a": 1, "app.b": [2]})
    assert not store.config.save({"app.a": 1, "app.b": [2]})
    assert (store.get_config("app.top_k"), store.get_config("app.none", 7)) == (40, 7)
    assert store.get_all_config() == {"app.top_k": 40, "app.a": 1, "app.b": [2]}
    with pytest.raises(BadInputError):
        store.config.save({"app.c": 1, "interval": "30s"})
    assert store.get_config("app.c") is None
    store.log("DEBUG", "below the level")
    store.log("ERROR", "no", "generation", {"a": 1}, ValueError("why"))
    assert [(row["message"], row["error_type"]) for row in store.get_logs("WARNING", "generation")] == [
        ("no", "ValueError")
    ]
    assert store.get_logs(since=time.time() + 60) == []


def test_a_disabled_store_takes_all_of_it_and_keeps_nothing() -> None:
    with llamaagent.open_store(enabled=False) as store:
        assert store.models.save({"name": "a", "model_path": "/a"}) is None
        assert store.models.update("a", {"favorite": 1}) is None
        assert not store.models.delete("a")
        assert not store.metrics.save({"cpu_usage": 1})
        assert store.metrics.prune() == 0
        assert not store.stats.record_generation("/m", prompt_tokens=1)
        assert not store.config.save({"app.a": 1})
        store.log("error", "x")
        assert store.get_logs() == []
        assert store.get_all_config() == {}
