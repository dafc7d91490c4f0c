"""`db prune` and `db simulate` through the command line."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import apsw
import pytest

from llamaagent.store.connect import open_database

if TYPE_CHECKING:
    from pathlib import Path

    from scratch_home import Agent

DAY_S = 86400


@pytest.fixture
def old(site: Path) -> Path:
    """The site's database with forty days of hourly samples and twenty of daily log lines, the settings keep ten."""
    text = (site / "llamaagent.yaml").read_text()
    (site / "llamaagent.yaml").write_text(
        f"{text}database: a.db\nretention: {{logs: 12d, system_samples: 30d}}\n"
    )
    path = site / "a.db"
    db = open_database(str(path))
    now = int(time.time())
    with db:
        for age in range(20):
            db.execute(
                "INSERT INTO logs (ts, level, message) VALUES (?, 'info', 'x')", (now - age * DAY_S - 60,)
            )
        for age in range(40 * 24):
            db.execute(
                "INSERT INTO system_samples (ts, cpu_permille) VALUES (?, 5)", (now - age * 3600 - 60,)
            )
    db.close()
    return path


def count(path: Path, table: str) -> int:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return int(str(db.execute(f"SELECT count(*) FROM {table}").get))
    finally:
        db.close()


def test_prune_deletes_what_the_settings_call_old_and_says_so(agent: Agent, site: Path, old: Path) -> None:
    told = json.loads(agent("db", "prune", "--json", cwd=site).stdout)
    rows = {row["table"]: row for row in told["tables"]}
    assert rows["logs"] == {"table": "logs", "rows": 20, "deleted": 8, "left": 12}
    assert rows["system_samples"]["deleted"] == 960 - 30 * 24
    assert count(old, "logs") == 12
    assert 30 * 24 <= count(old, "system_samples") <= 30 * 24 + 1
    assert agent("db", "prune", cwd=site).stdout.splitlines()[0].split() == [
        "TABLE",
        "ROWS",
        "DELETED",
        "LEFT",
    ]
    assert count(old, "audit_log WHERE action = 'db prune'") == 2


def test_prune_of_most_of_a_table_needs_yes(agent: Agent, site: Path, old: Path) -> None:
    result = agent("db", "prune", "--older-than", "5d", cwd=site, code=77)
    assert "logs: 15 of 20" in result.stderr
    assert "--yes" in result.stderr
    assert (count(old, "logs"), count(old, "system_samples")) == (20, 960)
    agent("db", "prune", "--older-than", "5d", "--yes", cwd=site)
    assert count(old, "logs") == 5
    assert count(old, "system_samples") == 5 * 24
    days = (
        apsw.Connection(str(old)).execute("SELECT sum(n) FROM system_rollups WHERE resolution_s = 3600").get
    )
    assert days is not None
    assert int(str(days)) >= 958, "what went is in the roll-ups"


def test_prune_keeps_so_many_rows_whatever_their_age(agent: Agent, site: Path, old: Path) -> None:
    agent("db", "prune", "--keep", "7", "--yes", cwd=site)
    assert (count(old, "logs"), count(old, "system_samples")) == (7, 7)
    agent("db", "prune", "--keep", "3", "--older-than", "2d", "--yes", cwd=site)
    assert (count(old, "logs"), count(old, "system_samples")) == (3, 7)


@pytest.mark.parametrize("word", ["5", "soon"])
def test_prune_wants_an_age_with_its_unit(agent: Agent, site: Path, old: Path, word: str) -> None:
    assert "--older-than" in agent("db", "prune", "--older-than", word, cwd=site, code=2).stderr


def test_a_simulated_database_says_so_and_answers(agent: Agent, home: Path, site: Path) -> None:
    path = agent("db", "simulate", "--days", "2", "--instances", "4", "--gpus", "1", "-q").stdout.strip()
    assert os.path.dirname(path) == str(home / "data" / "llamaagent" / "simulated")
    assert os.stat(path).st_mode & 0o777 == 0o600
    db = open_database(path, write=False)
    try:
        mark = json.loads(str(db.execute("SELECT value FROM metadata WHERE key = 'simulated'").get))
        assert mark == {"days": 2, "instances": 4, "gpus": 1}
        assert db.execute("SELECT count(*) FROM v_active_containers").get == 1
        assert db.execute("SELECT snapshot_count FROM v_system_summary").get >= 100
        for size in (300, 3600):
            rolled, measured = db.execute(
                "SELECT (SELECT sum(n) FROM instance_rollups WHERE resolution_s = :s),"
                " (SELECT count(*) FROM instance_samples WHERE ts < (SELECT CAST(value AS INTEGER) FROM metadata"
                " WHERE key = 'rollup_' || :s || '_ts'))",
                {"s": size},
            ).fetchall()[0]
            assert rolled == measured > 4 * 2800
    finally:
        db.close()
    stats = json.loads(
        agent("stats", "--by", "project", "--json", "--since", "7d", "--db", path, cwd=site).stdout
    )
    assert {row["group"] for row in stats} == {"default", "research", "chat"}
    agent("db", "simulate", "--days", "2", code=77)


def test_a_database_with_real_rows_is_not_simulated_into(agent: Agent, site: Path, old: Path) -> None:
    before = old.read_bytes()
    for words in (("--out", str(old)), ("--out", str(old), "--db", str(site / "b.db"))):
        assert "real rows" in agent("db", "simulate", *words, cwd=site, code=77).stderr or words[-1] == str(
            old
        )
    assert old.read_bytes() == before


def test_no_pass_adds_to_a_simulated_database(agent: Agent, site: Path) -> None:
    path = agent(
        "db", "simulate", "--days", "1", "--instances", "1", "--gpus", "0", "-q", cwd=site
    ).stdout.strip()
    result = agent("run", "--once", "--db", path, cwd=site, code=78)
    assert "simulated" in result.stderr
