"""docs/sql.md says of each statement that the older tools sent to their databases what does it today."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import llamaagent
from llamaagent.cli.commands import SPECS

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "sql.md").read_text(encoding="utf-8")
VERBS = ("INSERT", "UPDATE", "DELETE")

# What the tools write, said outright or by what their methods do. The list is ours: their papers are not in here.
DASHBOARD_1 = """
INSERT models; UPDATE models; UPDATE models status; UPDATE models favorite; DELETE models; INSERT metrics
DELETE metrics
INSERT logs; DELETE logs; INSERT server_config; UPDATE server_config; INSERT metadata; UPDATE metadata
ATTACH backup; DELETE models; INSERT models; VACUUM; ANALYZE; PRAGMA table_info; .backup; .dump; .recover
ALTER TABLE
"""
DASHBOARD_2 = """
INSERT models; UPDATE models; UPDATE models status; DELETE models; INSERT metrics_history; DELETE metrics_history
INSERT model_sampling_config; UPDATE model_sampling_config; INSERT model_memory_config; UPDATE model_memory_config
INSERT model_gpu_config; UPDATE model_gpu_config; INSERT model_advanced_config; UPDATE model_advanced_config
INSERT model_lora_config; UPDATE model_lora_config; INSERT model_multimodal_config; UPDATE model_multimodal_config
INSERT model_fit_params; UPDATE model_fit_params; INSERT model_server_config; UPDATE model_server_config
INSERT metadata; UPDATE metadata; DELETE metadata; VACUUM
"""
CYLLAMA = """
INSERT config; UPDATE config; INSERT cache; UPDATE cache hit_count; DELETE cache; INSERT stats; INSERT logs
INSERT models; UPDATE models; INSERT schema_version; VACUUM
"""
MLENV = """
INSERT container_instances; UPDATE container_instances status; UPDATE container_instances cpu_usage_avg
INSERT gpu_allocations; DELETE gpu_allocations; INSERT project_quotas; UPDATE project_quotas current_
UPDATE project_quotas max_; INSERT resource_metrics; DELETE resource_metrics; INSERT system_snapshots
DELETE system_snapshots; INSERT ngc_images; INSERT image_versions; INSERT api_cache; DELETE api_cache expires_at
INSERT users; INSERT audit_log; INSERT health_checks; UPDATE health_checks; ALTER TABLE; VACUUM; .backup
"""
STATEMENTS = sorted(
    {
        one.strip()
        for text in (DASHBOARD_1, DASHBOARD_2, CYLLAMA, MLENV)
        for one in re.split("[;\n]", text)
        if one.strip()
    }
)


def answers() -> list[tuple[str, str]]:
    """The table: what they sent, what does it."""
    table = PAGE.partition("| statement of the older tools | today |\n")[2].partition("\n\n")[0]
    rows = [line.strip("|").rpartition(" | ") for line in table.splitlines()[1:]]
    return [(left.strip(), right.strip()) for left, _, right in rows]


def covers(sent: str, statement: str) -> bool:
    """Whether a cell names the verb and, in code, the table (and the column)."""
    verb, *rest = statement.split()
    names = set(re.findall(r"[a-z_*]{2,}", " ".join(re.findall("`[^`]*`", sent))))
    if verb not in VERBS:
        return verb in sent and all(word in sent for word in rest)
    table, *columns = rest
    if not columns and verb == "UPDATE" and re.search(rf"UPDATE {table} SET (status|favorite)", sent):
        return False  # says only what does that one
    there = any(fnmatchcase(table, name) for name in names)
    return verb in sent and there and all(any(n.startswith(c) for n in names) for c in columns)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_every_statement_of_the_older_tools_has_an_answer(statement: str) -> None:
    found = [today for sent, today in answers() if covers(sent, statement)]
    assert found, statement
    assert all(len(today) > 3 for today in found)


def test_every_answer_is_a_command_a_setting_a_method_or_a_pass() -> None:
    commands = {spec.name for spec in SPECS}
    with llamaagent.open_store(enabled=False) as store:
        for sent, today in answers():
            for code in re.findall("`([^`]+)`", today):
                words = code.removeprefix("llamaagent ").split()
                part, _, method = code.partition(".")
                known = (
                    words[0] in commands
                    or " ".join(words[:2]) in commands
                    or callable(getattr(getattr(store, part, None), method or "-", None))
                    or words[0] in {"retention", "retention.logs", "defaults", "projects"}
                )
                assert known, (sent, code)
            assert "`" in today or any(
                word in today for word in ("each pass", "nothing", "each command", "a launch")
            )
