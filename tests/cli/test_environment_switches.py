"""LLAMAAGENT_DB_ENABLED, LLAMAAGENT_LOG_LEVEL and LLAMAAGENT_LOG_TO_DB, as the agent and its commands take them."""

import json
from pathlib import Path

import pytest
from scratch_home import Agent, written

OFF = {"LLAMAAGENT_DB_ENABLED": "0"}
NEEDING = """
run --once|run|start tiny|stop tiny|restart tiny|reset tiny|rm tiny|detach tiny|plan|ps|status|why|history|events
logs tiny|url tiny|env tiny|show tiny|gpus|stats|metrics|query SELECT 1|quota show|models list|profiles list
config list|config set app.a 1|db info|db init|db migrate|db prune|db vacuum|db backup|report build
db export --all -o out|export shell
"""


@pytest.mark.parametrize("words", NEEDING.replace("\n", "|").strip("|").split("|"))
def test_without_its_database_a_command_refuses_and_names_the_variable(
    agent: Agent, site: Path, home: Path, words: str
) -> None:
    before = set(written(home))
    parts = ["query", "SELECT 1"] if words.startswith("query") else words.split()
    result = agent(*parts, cwd=site, code=78, env=OFF)
    assert "LLAMAAGENT_DB_ENABLED" in result.stderr
    assert "unset LLAMAAGENT_DB_ENABLED" in result.stderr
    assert result.stdout == ""
    assert {name for name in set(written(home)) - before if not name.startswith("cache/")} == set()


def test_what_needs_no_database_works_without(agent: Agent, site: Path) -> None:
    agent("check", cwd=site, env=OFF)
    shown = json.loads(agent("settings", "db_enabled", "--json", cwd=site, env=OFF).stdout)
    assert shown == [{"key": "db_enabled", "value": False, "origin": "environment LLAMAAGENT_DB_ENABLED"}]
    found = json.loads(agent("doctor", "--json", cwd=site, code=1, env=OFF).stdout)
    (told,) = (one for one in found if one["subject"] == "LLAMAAGENT_DB_ENABLED")
    assert (told["level"], told["remedy"]) == ("error", "unset LLAMAAGENT_DB_ENABLED")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("LLAMAAGENT_DB_ENABLED", "perhaps", "must be true or false, not 'perhaps'"),
        ("LLAMAAGENT_LOG_TO_DB", "2", "must be true or false, not '2'"),
        ("LLAMAAGENT_LOG_LEVEL", "loud", "must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, not 'loud'"),
    ],
)
def test_a_value_that_means_nothing_is_refused(
    agent: Agent, site: Path, home: Path, variable: str, value: str, told: str
) -> None:
    for words in (("run", "--once"), ("stop", "tiny"), ("check",)):
        result = agent(*words, cwd=site, code=78, env={variable: value})
        assert f"{variable} {told}" in result.stdout + result.stderr
    assert not (home / "data").exists()
    agent("run", "--once", cwd=site, env={variable: ""})


def rows(agent: Agent, site: Path, sql: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(agent("query", sql, "--json", cwd=site).stdout)
    return found


@pytest.mark.parametrize(
    ("env", "levels", "said"),
    [
        ({}, {"info", "warning"}, ["wrong", "over"]),
        ({"LLAMAAGENT_LOG_LEVEL": "info"}, {"info", "warning"}, ["wrong", "over"]),
        ({"LLAMAAGENT_LOG_LEVEL": "WARN"}, {"warning"}, ["wrong"]),
        ({"LLAMAAGENT_LOG_LEVEL": "error"}, set(), []),
        ({"LLAMAAGENT_LOG_TO_DB": "0"}, set(), ["wrong", "over"]),
    ],
    ids=lambda value: str(sorted(value)) if isinstance(value, set) else str(value),
)
def test_the_level_is_the_least_of_what_is_said_and_kept_and_decisions_stay(
    agent: Agent, site: Path, env: dict[str, str], levels: set[str], said: list[str]
) -> None:
    profile = site / "profiles" / "x.yaml"
    profile.write_text("model: /nowhere/x.gguf\n")
    first = agent("run", "--once", "--no-report", cwd=site, env=env)
    profile.write_text("model: /nowhere/x.gguf\nstate: stopped\n")
    second = agent("run", "--once", "--no-report", cwd=site, env=env)

    lines = first.stderr.splitlines() + second.stderr.splitlines()
    assert all("x: " in line for line in lines)
    assert ["over" if line.startswith("ended: ") else "wrong" for line in lines] == said
    kept = rows(agent, site, "SELECT DISTINCT level FROM logs")
    assert {row["level"] for row in kept} == levels
    decisions = rows(agent, site, "SELECT action FROM v_decisions WHERE profile = 'x' ORDER BY id")
    assert [row["action"] for row in decisions][:1] == ["hold"]
    assert len(decisions) > 1


def test_a_refused_file_is_an_error_that_is_said_up_to_that_level(agent: Agent, site: Path) -> None:
    (site / "profiles" / "bad.yaml").write_text("no_such_key: x\n")
    result = agent("run", "--once", "--no-report", cwd=site, code=78, env={"LLAMAAGENT_LOG_LEVEL": "ERROR"})
    assert "unknown key 'no_such_key'" in result.stderr


def test_debug_says_what_was_done(agent: Agent, site: Path) -> None:
    (site / "profiles" / "x.yaml").write_text("model: /nowhere/x.gguf\n")
    result = agent("run", "--once", "--no-report", cwd=site, env={"LLAMAAGENT_LOG_LEVEL": "DEBUG"})
    assert "hold x: missing-model" in result.stderr
