"""`db import`: another program's database comes in whole, once, dead, without its secrets, and stays as it was."""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import apsw
import pytest
from foreign_sources import CANARIES, DAY, NOW, SOURCES, make, put
from scratch_home import Agent, scratch_environment


def ask(site: Path, sql: str) -> list[tuple[object, ...]]:
    db = apsw.Connection(
        str(site.parent / "data" / "llamaagent" / "llamaagent.db"), flags=apsw.SQLITE_OPEN_READONLY
    )
    try:
        return [tuple(row) for row in db.execute(sql)]
    finally:
        db.close()


def everything(site: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but what says that somebody ran a command."""
    names = [str(row[0]) for row in ask(site, "SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {
        name: sorted(ask(site, f'SELECT * FROM "{name}"'), key=repr)
        for name in names
        if not name.startswith("sqlite_")
    }


def bring(agent: Agent, site: Path, path: Path, *words: str) -> dict[str, dict[str, int]]:
    result = json.loads(agent("db", "import", path, "--json", *words, cwd=site).stdout)
    assert result["file"] == str(path)
    return {table["table"]: table for table in result["tables"]}


@pytest.mark.parametrize("kind", SOURCES)
def test_a_dry_run_says_what_the_import_does_and_writes_nothing(
    agent: Agent, site: Path, home: Path, kind: str
) -> None:
    source = SOURCES[kind](home / "theirs.db")
    shown = json.loads(agent("db", "import", source, "--json", "--dry-run", cwd=site).stdout)
    assert not (home / "data").exists()
    assert json.loads(agent("import", source, "--json", cwd=site).stdout) == shown

    done = json.loads(agent("db", "import", source, "--json", cwd=site).stdout)
    assert (shown.pop("dry_run"), done.pop("dry_run")) == (True, False)
    assert done == shown
    assert done["kind"] == kind
    for table in done["tables"]:
        assert table["read"] == table["imported"] + table["present"] + table["left_out"], table
        assert table["left_out"] == 0 or any(left["table"] == table["table"] for left in done["not_carried"])


@pytest.mark.parametrize("kind", SOURCES)
def test_twice_adds_nothing_and_the_source_keeps_every_byte(
    agent: Agent, site: Path, home: Path, kind: str
) -> None:
    folder = home / "theirs"
    folder.mkdir()
    source = SOURCES[kind](folder / "theirs.db")
    before = (hashlib.sha256(source.read_bytes()).hexdigest(), source.stat().st_mtime_ns)
    first = bring(agent, site, source)
    assert sum(table["imported"] for table in first.values()) > 0
    state = everything(site)

    second = bring(agent, site, source)
    assert {name: table["imported"] for name, table in second.items()} == dict.fromkeys(second, 0)
    assert everything(site) == state
    assert (hashlib.sha256(source.read_bytes()).hexdigest(), source.stat().st_mtime_ns) == before
    assert os.listdir(folder) == ["theirs.db"]


@pytest.mark.parametrize("kind", SOURCES)
def test_no_secret_gets_anywhere(agent: Agent, site: Path, home: Path, kind: str) -> None:
    source = SOURCES[kind](home / "theirs.db")
    result = agent("db", "import", source, cwd=site)
    exported = agent("profiles", "export", "--all", cwd=site)
    kept = b"".join(path.read_bytes() for path in (home / "data" / "llamaagent").iterdir())
    for canary in CANARIES:
        for text in (result.stdout, result.stderr, exported.stdout, exported.stderr):
            assert canary not in text
        assert canary.encode() not in kept


@pytest.mark.parametrize("kind", SOURCES)
def test_nothing_imported_is_alive_and_the_next_pass_leaves_it_alone(
    agent: Agent, site: Path, home: Path, kind: str
) -> None:
    bring(agent, site, SOURCES[kind](home / "theirs.db"))
    assert ask(site, "SELECT count(*) FROM reservations") == [(0,)]
    alive = "SELECT profile FROM instances WHERE status NOT IN ('stopped', 'error', 'deleted') OR ended_ts IS NULL"
    assert ask(site, alive) == []
    assert set(ask(site, "SELECT origin, status FROM models")) <= {("import", "stopped")}
    launches = ask(site, "SELECT id, profile, status FROM instances")

    agent("run", "--once", cwd=site)
    assert ask(site, "SELECT id, profile, status FROM instances WHERE reason = 'imported'") == launches
    assert ask(site, "SELECT count(*) FROM models WHERE origin = 'import' AND status <> 'stopped'") == [(0,)]
    agent("ps", cwd=site)
    agent("history", cwd=site)
    agent("gpus", cwd=site)


@pytest.mark.parametrize("kind", ["dashboard-v1", "dashboard-v2", "dashboard-wide"])
def test_exported_profiles_pass_check(agent: Agent, site: Path, home: Path, kind: str) -> None:
    bring(agent, site, SOURCES[kind](home / "theirs.db"))
    agent("profiles", "export", "--all", "-o", home / "out", cwd=site)
    assert os.listdir(home / "out")
    checked = agent("check", "--profiles", home / "out", cwd=site)
    assert "0 errors" in checked.stderr


def test_the_second_dashboard(agent: Agent, site: Path, home: Path) -> None:
    source = SOURCES["dashboard-v2"](home / "theirs.db")
    report = json.loads(agent("db", "import", source, "--json", "--memory", "64GiB", cwd=site).stdout)
    lost = {(left["table"], left["key"]) for left in report["not_carried"]}
    assert {
        ("models", "llama-3-8b.hf_token"),
        ("models", "llama-3-8b.device"),
        ("models", "llama-3-8b.defrag_thold"),
        ("models", "llama-3-8b.repeat_last_n"),
        ("models", "llama-3-8b.no-such-option"),
        ("model_server_config", "api_key"),
        ("model_server_config", "port"),
        ("model_multimodal_config", ""),
        ("metadata", "github_token"),
        ("metrics_history", "disk_usage"),
    } <= lost
    assert ("metrics_history", "memory_usage") not in lost

    shown = json.loads(agent("profiles", "show", "llama-3-8b", "--json", cwd=site).stdout)
    args = {row["option"]: row["value"] for row in shown if row["section"] != "model"}
    assert args == {
        "cache-prompt": False,
        "cache-type-k": "q8_0",
        "control-vector-layer-range": ["10", "20"],
        "ctx-size": 16384,
        "flash-attn": "on",
        "gpu-layers": "all",
        "image-max-tokens": 1024,
        "load-mode": "mmap+mlock",
        "logit-bias": ["261-1", "262+5"],
        "lora": "/l/a.gguf",
        "mmproj": "/m/mm.gguf",
        "poll": 60,
        "prio": 1,
        "seed": 42,
        "spec-draft-model": "/m/draft.gguf",
        "spec-draft-n-max": 8,
        "temp": 0.7,
        "tensor-split": "3,1",
        "threads": 8,
        "timeout": 900,
        "top-k": 20,
    }
    plain = json.loads(agent("profiles", "show", "plain", "--json", cwd=site).stdout)
    assert [(row["option"], row["value"]) for row in plain] == [
        ("hf-repo", "user/repo:Q4_K_M"),
        ("timeout", 900),
    ]
    assert ask(site, "SELECT projected_gpu_memory_mb, fit_params_analyzed_at FROM model_fit_params") == [
        (6000.5, NOW - 5 * DAY)
    ]
    samples = "SELECT ts, interval_s, cpu_permille, memory_used_mib, requests FROM system_samples ORDER BY ts"
    t = NOW - 5 * DAY
    assert ask(site, samples) == [
        (t, None, 0, 40960, None),
        (t + 30, 30, 100, 40960, 6),
        (t + 60, 30, 200, 40960, 6),
        (t + 90, 30, 300, 40960, 6),
    ]
    assert ask(site, "SELECT key, value FROM metadata WHERE key IN ('theme_preference', 'db_version')") == [
        ("theme_preference", '"dark"')
    ]
    (details,) = ask(site, "SELECT details FROM audit_log WHERE action = 'db import'")[0]
    assert json.loads(str(details))["kind"] == "dashboard-v2"


def test_the_first_dashboard(agent: Agent, site: Path, home: Path) -> None:
    tables = bring(agent, site, SOURCES["dashboard-v1"](home / "theirs.db"))
    assert (tables["models"]["imported"], tables["models"]["left_out"]) == (2, 1)
    assert (tables["metrics"]["imported"], tables["metrics"]["left_out"]) == (4, 1)
    name = "llama-2-7b-chat.q4_k_m"
    shown = json.loads(agent("profiles", "show", name, "--json", cwd=site).stdout)
    assert {row["option"]: row["value"] for row in shown} == {
        "model": "/models/llama-2-7b-chat.Q4_K_M.gguf",
        "ctx-size": 8192,
        "repeat-penalty": 1.1,
        "temp": 0.7,
        "top-p": 0.9,
    }
    second = json.loads(agent("profiles", "show", f"{name}-2", "--json", cwd=site).stdout)
    assert [row["option"] for row in second] == ["model"]  # 4096, 512 and 4 were nobody's choice
    assert ask(
        site,
        "SELECT favorite, block_count, head_count, vocab_size FROM model_files WHERE path LIKE '%M.gguf'",
    ) == [(1, 32, None, 32000)]
    levels = ask(
        site, "SELECT level, count(*) FROM logs WHERE source = 'server' GROUP BY level ORDER BY level"
    )
    assert levels == [("critical", 1), ("debug", 1), ("error", 1), ("info", 2), ("warning", 1)]
    assert ask(site, "SELECT count(*) FROM logs WHERE message = 'the same twice'") == [(2,)]
    assert ask(site, "SELECT message FROM logs WHERE level = 'error'") == [("a error line with ***",)]
    assert ask(site, "SELECT value FROM metadata WHERE key = 'imported.site'") == [('{"path": "/evil"}',)]
    old = NOW - 400 * DAY
    assert ask(site, "SELECT count(*) FROM system_samples") == [(3,)]
    rolled = f"SELECT resolution_s, n, cpu_permille_sum FROM system_rollups WHERE ts <= {old} ORDER BY 1"
    assert ask(site, rolled) == [(3600, 1, 900), (86400, 1, 900)]
    assert ask(site, "SELECT value FROM server_config")[0][0] == json.dumps(
        {"serverPath": "/usr/local/bin/llama-server", "port": 8080, "baseModelsPath": "/m"}
    )


def test_the_table_of_176_columns(agent: Agent, site: Path, home: Path) -> None:
    bring(agent, site, SOURCES["dashboard-wide"](home / "theirs.db"))
    shown = json.loads(agent("profiles", "show", "wide", "--json", cwd=site).stdout)
    assert {row["option"]: row["value"] for row in shown} == {
        "model": "/models/w.gguf",
        "ctx-size": 4096,
        "gpu-layers": 99,
        "load-mode": "mmap",
        "temp": 0.5,
    }
    assert ask(site, "SELECT count(*) FROM gpus") == [(0,)]  # all 0 is what it writes without a card


def test_cyllama(agent: Agent, site: Path, home: Path) -> None:
    bring(agent, site, SOURCES["cyllama"](home / "theirs.db"))
    assert ask(site, "SELECT key, value, value_type FROM config ORDER BY key") == [
        ("default_model", '"models/llama.gguf"', "str"),
        ("default_temperature", "0.7", "float"),
        ("extra", '{"a": [1]}', "json"),
        ("n_gpu_layers", "99", "int"),
        ("verbose", "true", "bool"),
    ]
    t = NOW - 5 * DAY
    assert ask(site, "SELECT cache_key, hit_count, created_ts FROM cache") == [("k1", 2, t)]
    generations = "SELECT ts, started_ts, total_tokens, prompt_tokens_per_second, session_id FROM generations"
    assert ask(site, generations) == [(t, t - 1, 30, 100.0, "s")] * 2
    logged = "SELECT level, category, message, context_json, error_type, created_at FROM logs"
    ((level, category, message, context, error, _),) = ask(site, logged)
    assert (level, category, message, error) == ("error", "generation", "bad ***", "ValueError")
    assert context == '"not json"'
    files = ask(site, "SELECT path, size_label, parameter_count, metadata_json FROM model_files")
    assert files == [("/models/c.gguf", "7B", None, '{"a": 1}')]


def test_mlenv(agent: Agent, site: Path, home: Path) -> None:
    tables = bring(agent, site, SOURCES["mlenv"](home / "theirs.db"))
    assert tables["ngc_images"]["present"] == 1  # a NULL team let it in twice there
    container = ask(
        site,
        "SELECT container_name, project_path, status, cpu_limit, memory_limit_gb, gpu_devices, port_mappings,"
        " cpu_usage_avg, memory_usage_avg_gb, gpu_utilization_avg FROM container_instances"
        " WHERE container_id = 'abc123'",
    )
    assert container == [
        ("tiny", "/home/ann/p", "stopped", 4.0, 32.0, '["0","1"]', '{"8888": "8888"}', 50.0, 2.0, 30.0)
    ]
    assert ask(site, "SELECT profile, status FROM instances ORDER BY id") == [
        ("tiny", "stopped"),
        ("mlenv-job", "error"),
    ]
    usage = "SELECT cpu_permille, rss_kib, read_bytes, gpu_memory_mib, gpu_utilization_percent FROM instance_samples"
    mib10 = 10 * 1024 * 1024
    assert ask(site, usage) == [
        (1200, 1572864, None, 8192, 78),
        (1200, 1572864, mib10, 8192, 78),
        (1200, 1572864, mib10, 8192, 78),
    ]
    rolled = (
        "SELECT resolution_s, sum(n), sum(cpu_permille_sum), sum(read_bytes) FROM instance_rollups GROUP BY 1"
    )
    assert ask(site, rolled) == [(r, 4, 3700, 2 * mib10) for r in (300, 3600, 86400)]
    snapshots = (
        "SELECT cpu_percent, memory_total_gb, memory_percent, load_1min, gpu_stats FROM system_snapshots"
    )
    cpu, total, share, load, cards = ask(site, snapshots)[-1]
    assert (cpu, total, share, load) == (12.5, 64.0, 25.0, 1.25)
    assert [card["utilization"] for card in json.loads(str(cards))] == [40, 41]
    assert ask(
        site, "SELECT DISTINCT resolution_s FROM system_rollups WHERE ts < unixepoch('now') - 86400 * 799"
    ) == [(86400,)]
    quotas = ask(site, "SELECT max_containers, max_cpu_cores, max_memory_gb, max_gpus FROM project_quotas")
    assert quotas == [(None, 16.0, 64.0, 2)]  # 5 containers were nobody's choice
    assert ask(site, "SELECT endpoint FROM api_cache") == [("/api/v2/images",)]
    assert ask(site, "SELECT manifest_json FROM image_versions") == [('"{broken"',)]
    assert ask(
        site, "SELECT u.username FROM audit_log AS a JOIN users AS u ON u.id = a.user_id WHERE action = 'up'"
    ) == [("ann",)]
    assert ask(site, "SELECT status, failure_count FROM health_checks") == [("unhealthy", 2)]


def test_a_container_is_never_the_newest_launch_of_a_profile_of_ours(
    agent: Agent, site: Path, home: Path
) -> None:
    agent("run", "--once", cwd=site)  # declares `tiny`, as one of the containers is called
    bring(agent, site, SOURCES["mlenv"](home / "theirs.db"))
    assert ask(site, "SELECT profile FROM instances WHERE container_id = 'abc123'") == [("tiny-imported",)]


def test_a_declared_model_stays_as_it_is(agent: Agent, site: Path, home: Path) -> None:
    agent("run", "--once", cwd=site)
    db = make(home / "theirs.db", "dashboard_v1")
    put(db, "models", id="m", name="tiny", model_path="/other.gguf", created_at=5)
    db.close()
    result = agent("db", "import", home / "theirs.db", cwd=site)
    assert "tiny: a model of that name is here already" in result.stderr
    assert ask(site, "SELECT origin, model_path FROM models WHERE name = 'tiny'") == [
        ("profile", str(home / "m.gguf"))
    ]


def test_rows_that_were_added_later_come_in_alone(agent: Agent, site: Path, home: Path) -> None:
    source = SOURCES["cyllama"](home / "theirs.db")
    bring(agent, site, source)
    db = apsw.Connection(str(source))
    put(db, "logs", level="INFO", message="later", created_at="2025-01-02T03:04:05Z")
    db.close()
    tables = bring(agent, site, source)
    assert (tables["logs"]["imported"], tables["logs"]["present"]) == (1, 1)
    assert ask(site, "SELECT ts FROM logs WHERE message = 'later'") == [(1735787045,)]


def test_strict_writes_nothing_when_anything_stays_behind(agent: Agent, site: Path, home: Path) -> None:
    source = SOURCES["cyllama"](home / "theirs.db")
    result = agent("db", "import", source, "--strict", cwd=site, code=65)
    assert "nothing was written" in result.stderr
    assert ask(site, "SELECT (SELECT count(*) FROM logs) + (SELECT count(*) FROM imported_rows)") == [(0,)]
    agent("import", source, "--write", cwd=site)
    assert ask(site, "SELECT count(*) FROM generations") == [(2,)]


def test_other_databases_are_told_apart(agent: Agent, site: Path, home: Path) -> None:
    db = apsw.Connection(str(home / "notes.db"))
    db.execute("CREATE TABLE notes (text); CREATE VIEW stats AS SELECT 1")
    db.close()
    result = agent("db", "import", home / "notes.db", cwd=site, code=65)
    assert "a program that is not known here (tables: notes)" in result.stderr
    agent("db", "init", cwd=site)
    ours = home / "data" / "llamaagent" / "llamaagent.db"
    result = agent("import", ours, cwd=site, code=65)
    assert f"{ours} is a database of llamaagent" in result.stderr
    assert "no SQLite database" in agent("db", "import", home / "m.gguf", cwd=site, code=65).stderr
    assert "cannot read" in agent("db", "import", home / "none.db", cwd=site, code=65).stderr


def test_a_disk_that_fills_up_leaves_nothing_of_it(agent: Agent, site: Path, home: Path) -> None:
    agent("db", "init", cwd=site)
    source = SOURCES["cyllama"](home / "theirs.db")
    db = apsw.Connection(str(source))
    with db:
        for n in range(20_000):
            put(db, "logs", level="INFO", message=f"line {n} " + "x" * 100, created_at="2025-01-02 03:04:05")
    db.close()
    before = everything(site)
    result = agent("db", "import", source, cwd=site, code=74, before=["prlimit", "--fsize=4000000"])
    assert "no space, or over a quota" in result.stderr
    assert everything(site) == before
    tables = bring(agent, site, source)
    assert tables["logs"]["imported"] == 20_001


def test_a_pass_waits_for_the_import_and_no_longer(agent: Agent, site: Path, home: Path) -> None:
    """The import holds the lock of a pass; one that comes meanwhile says so and leaves, as beside any other pass."""
    source = SOURCES["cyllama"](home / "theirs.db")
    agent("db", "init", cwd=site)
    lock = Path(f"{home}/data/llamaagent/llamaagent.db.pass.lock")
    lock.touch(mode=0o600)
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        running = subprocess.Popen(
            [sys.executable, "-m", "llamaagent", "db", "import", str(source)],
            cwd=site,
            env=scratch_environment(home),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(timeout=4)
        assert ask(site, "SELECT count(*) FROM generations") == [(0,)]
    assert running.wait(timeout=60) == 0
    assert ask(site, "SELECT count(*) FROM generations") == [(2,)]


def test_an_import_that_is_killed_left_nothing_and_is_simply_repeated(
    agent: Agent, site: Path, home: Path
) -> None:
    agent("db", "init", cwd=site)
    source = SOURCES["cyllama"](home / "theirs.db")
    db = apsw.Connection(str(source))
    with db:
        for n in range(60_000):
            put(db, "logs", level="INFO", message=f"line {n} " + "x" * 200, created_at="2025-01-02 03:04:05")
    db.close()
    before = everything(site)
    wal = home / "data" / "llamaagent" / "llamaagent.db-wal"
    running = subprocess.Popen(
        [sys.executable, "-m", "llamaagent", "db", "import", str(source)],
        cwd=site,
        env=scratch_environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while running.poll() is None and time.monotonic() < until:
        if wal.exists() and wal.stat().st_size > 2_000_000:
            break
        time.sleep(0.005)
    running.kill()
    assert running.wait(timeout=30) == -signal.SIGKILL
    assert everything(site) == before
    assert bring(agent, site, source)["logs"]["imported"] == 60_001
