"""`settings` shows each value in force with where it comes from."""

import json
from pathlib import Path

from scratch_home import Agent

from llamaagent.config.schema import SETTINGS
from llamaagent.config.settings import dotted_keys

Shown = dict[str, tuple[object, str]]


def shown(agent: Agent, *words: str, cwd: Path, env: dict[str, str] | None = None) -> Shown:
    rows = json.loads(agent("settings", *words, "--json", cwd=cwd, env=env).stdout)
    assert all(list(row) == ["key", "value", "origin"] for row in rows)
    return {row["key"]: (row["value"], row["origin"]) for row in rows}


def test_every_key_that_a_file_may_hold_is_shown(agent: Agent, site: Path) -> None:
    assert shown(agent, cwd=site).keys() >= set(dotted_keys(SETTINGS))


def test_a_value_names_option_environment_file_or_default(agent: Agent, site: Path, home: Path) -> None:
    file = site / "llamaagent.yaml"
    file.write_text("profiles: profiles/\ninterval: 45s\nheadroom:\n  disk: 1GiB\n")

    found = shown(agent, "--db", str(home / "a.db"), cwd=site, env={"LLAMAAGENT_PORTS": "9000-9010"})
    assert found["database"] == (str(home / "a.db"), "--db")
    assert found["ports"][0] == "9000-9010"
    assert "LLAMAAGENT_PORTS" in found["ports"][1]
    assert found["interval"] == ("45s", f"{file}:2")
    assert found["headroom.disk"] == ("1GiB", f"{file}:4")
    assert found["headroom.memory"] == ("1GiB", "default")


def test_what_is_shown_can_be_written_back(agent: Agent, site: Path) -> None:
    """The values of every kind, put into a file, are in force as they were."""
    text = """\
projects: {r: {instances: 5, memory: 64GiB, gpu_hours: 100/week, tokens: 5M/day}}
retention: {generations: never, logs: 1d12h}
cache: {enabled: true, max_size: 1500MB}
reports: {links: {wiki: "https://example.org/"}}
defaults: {args: {threads: 2}}
"""
    (site / "llamaagent.yaml").write_text(text)
    first = shown(agent, cwd=site)
    keys = ("projects", "retention.generations", "retention.logs", "cache.enabled", "cache.max_size")
    document: dict[str, object] = {}
    for key in (*keys, "reports.links", "defaults"):
        section, _, name = key.rpartition(".")
        inner = document.setdefault(section, {}) if section else document
        assert isinstance(inner, dict)
        inner[name] = first[key][0]
    (site / "llamaagent.yaml").write_text(json.dumps(document))

    second = shown(agent, cwd=site)
    assert {key: value for key, (value, _) in second.items()} == {
        key: value for key, (value, _) in first.items()
    }
    assert first["projects"][0] == {
        "r": {"instances": 5, "memory": "64GiB", "gpu_hours": "100/week", "tokens": "5M/day"}
    }


def test_a_prefix_shows_its_section_alone(agent: Agent, site: Path) -> None:
    assert shown(agent, "headroom", cwd=site).keys() == {
        "headroom.gpu_memory",
        "headroom.memory",
        "headroom.disk",
    }
    assert shown(agent, "interval", cwd=site).keys() == {"interval"}


def test_an_unknown_key_names_the_nearest(agent: Agent, site: Path) -> None:
    assert "did you mean 'interval'?" in agent("settings", "intervl", cwd=site, code=2).stderr


def test_credentials_are_not_shown(agent: Agent, site: Path) -> None:
    (site / "llamaagent.yaml").write_text("ping: https://ann:canary@example.org/x\n")

    result = agent("settings", cwd=site)
    assert "https://***@example.org/x" in result.stdout
    assert "canary" not in result.stdout + result.stderr


def test_wrong_settings_are_told_and_end_with_78(agent: Agent, site: Path) -> None:
    (site / "llamaagent.yaml").write_text("interval: 30\n")

    result = agent("settings", "interval", cwd=site, code=78)
    assert "llamaagent.yaml:1:11: error:" in result.stderr


def test_without_a_file_the_defaults_are_shown(agent: Agent, home: Path) -> None:
    result = agent("settings", "interval", "--format", "csv")

    assert result.stdout == "key,value,origin\ninterval,30s,default\n"
    assert "llamaagent init" in result.stderr
