"""`check --schema` prints what may be written, wherever it is called."""

import json

import pytest
from scratch_home import Agent


@pytest.mark.parametrize("kind", ["profile", "settings"])
def test_one_kind_is_a_schema_without_any_settings(agent: Agent, kind: str) -> None:
    result = agent("check", "--schema", kind)
    schema = json.loads(result.stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert ("ports" in schema["properties"]) is (kind == "settings")
    assert result.stderr == ""


def test_without_a_kind_both_come_by_name(agent: Agent) -> None:
    both = json.loads(agent("check", "--schema").stdout)
    assert list(both) == ["profile", "settings"]
    assert both["profile"] == json.loads(agent("check", "--schema", "profile").stdout)


@pytest.mark.parametrize("words", [("profiles",), ("profile", "settings")])
def test_another_word_is_wrong_usage(agent: Agent, words: tuple[str, ...]) -> None:
    assert "profile and settings" in agent("check", "--schema", *words, code=2).stderr
