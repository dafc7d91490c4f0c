"""`config get|set|unset|list`: the typed key-value store."""

import json
from pathlib import Path

import apsw
import pytest
from scratch_home import Agent


def rows(home: Path, text: str) -> list[tuple[object, ...]]:
    db = apsw.Connection(str(home / "data" / "llamaagent" / "llamaagent.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return db.execute(text).fetchall()
    finally:
        db.close()


@pytest.mark.parametrize(
    ("words", "value_type", "shown"),
    [
        (["models/llama.gguf"], "str", "models/llama.gguf"),
        (["512"], "int", "512"),
        (["512", "--type", "str"], "str", "512"),
        (["1", "--type", "float"], "float", "1.0"),
        (["true"], "bool", "true"),
        (['{"a": [1, null]}'], "json", '{"a": [1, null]}'),
        (["--", "-1.5"], "float", "-1.5"),
        ([""], "str", ""),
    ],
)
def test_a_value_keeps_its_type(
    site: Path, agent: Agent, words: list[str], value_type: str, shown: str
) -> None:
    if words[0] == "--":
        agent("config", "set", "--", "key.one", *words[1:], cwd=site)
    else:
        agent("config", "set", "key.one", *words, cwd=site)

    assert agent("config", "get", "key.one", cwd=site).stdout == f"{shown}\n"
    found = json.loads(agent("config", "get", "key.one", "--json", cwd=site).stdout)
    assert (found["key"], found["value_type"]) == ("key.one", value_type)
    (listed,) = json.loads(agent("config", "list", "--json", cwd=site).stdout)
    assert listed == found


def test_what_is_not_set_is_exit_code_1_or_the_default(site: Path, agent: Agent) -> None:
    done = agent("config", "get", "nothing", cwd=site, code=1)
    assert (done.stdout, "nothing is not set" in done.stderr) == ("", True)
    assert agent("config", "get", "nothing", "--default", "7", cwd=site).stdout == "7\n"
    assert json.loads(agent("config", "list", "--json", cwd=site).stdout) == []


def test_each_change_is_in_the_audit_log_once(home: Path, site: Path, agent: Agent) -> None:
    agent("config", "set", "n", "1", cwd=site)
    assert "already_set" in agent("config", "set", "n", "1", cwd=site).stderr
    agent("config", "set", "n", "2", cwd=site)
    agent("config", "unset", "n", cwd=site)
    assert "already_unset" in agent("config", "unset", "n", cwd=site).stderr

    found = rows(
        home, "SELECT action, resource_id, details FROM audit_log WHERE resource_type = 'config' ORDER BY id"
    )

    assert [(action, key, json.loads(str(text))) for action, key, text in found] == [
        ("config set", "n", {"new": 1}),
        ("config set", "n", {"old": 1, "new": 2}),
        ("config unset", "n", {"old": 2}),
    ]
    assert rows(home, "SELECT * FROM config") == []


@pytest.mark.parametrize(
    ("key", "line"),
    [("binary", "edit {file}:2"), ("interval", "add it to {file}:5"), ("retention", "add it to {file}:4"),
     ("retention.generations", "add it to {file}:4"), ("projects.research.gpus", "add it to {file}:5")],
)  # fmt: skip
def test_a_setting_is_refused_with_the_line_to_edit(site: Path, agent: Agent, key: str, line: str) -> None:
    file = site / "llamaagent.yaml"
    file.write_text("profiles: profiles/\nbinary: /bin/true\nretention:\n  logs: 9d\n")

    done = agent("config", "set", key, "1", cwd=site, code=2)

    assert f"{key} is a setting" in done.stderr
    assert line.format(file=file) in done.stderr


def test_a_setting_is_refused_without_a_file_too(home: Path, agent: Agent) -> None:
    done = agent("config", "set", "interval", "60s", code=2)

    assert "llamaagent init" in done.stderr
    assert not (home / "data").exists()


def test_a_value_that_cannot_be_kept_is_bad_input(site: Path, agent: Agent) -> None:
    assert "no int" in agent("config", "set", "n", "x", "--type", "int", cwd=site, code=65).stderr
    assert "env:NAME" in agent("config", "set", "hf_token", "hf_abc", cwd=site, code=65).stderr
    assert "no key" in agent("config", "set", "a b", "1", cwd=site, code=65).stderr
