"""The command line as a whole: what cron pays for, mistyped words, closed streams, pipes."""

import subprocess
import sys
from pathlib import Path

import pytest
from scratch_home import Agent, scratch_environment

from llamaagent.cli.commands import GROUPS, QUICK, SPECS

LOOK = """
import sys
from llamaagent.cli.main import entry
entry(["ps", "--json"])
print("\\n".join(sorted(sys.modules)), file=sys.stderr)
"""


def test_what_cron_calls_builds_no_table_of_the_other_commands(site: Path, home: Path, agent: Agent) -> None:
    agent("db", "init", cwd=site)

    result = subprocess.run(
        [sys.executable, "-c", LOOK],
        cwd=site,
        env=scratch_environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = set(result.stderr.split())
    assert "llamaagent.cli.commands.quick" in loaded
    assert not loaded & {"llamaagent.cli.commands.daily", "llamaagent.cli.commands.data", "click"}


def test_quick_commands_are_among_all_commands() -> None:
    names = [spec.name for spec in SPECS]

    assert len(names) == len(set(names))
    assert set(QUICK) <= set(names)
    assert {spec.group for spec in SPECS} == set(GROUPS)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("his-tory",), "did you mean 'history'?"),
        (("ps", "--jsn"), "--json"),
        (("ps", "--format", "yaml"), "'yaml' is not one of"),
        (("query", "-n", "x", "SELECT 1"), "'x' is not a valid integer"),
        (("settings", "--json", "--format", "csv"), "exclude each other"),
    ],
)
def test_a_mistyped_command_line_says_what_was_meant(agent: Agent, words: tuple[str, ...], told: str) -> None:
    result = agent(*words, code=2)

    assert told in result.stderr
    assert result.stdout == ""


def test_no_words_print_the_help_and_are_wrong_usage(agent: Agent) -> None:
    assert "Every day:" in agent(code=2).stdout


def test_help_and_version_are_data(agent: Agent) -> None:
    for words in (("--help",), ("-h",), ("db", "--help"), ("query", "-h"), ("--version",)):
        result = agent(*words)
        assert (bool(result.stdout), result.stderr) == (True, "")


def test_common_options_may_come_first(agent: Agent, home: Path) -> None:
    path = home / "a.db"

    assert str(path) in agent("--db", path, "db", "init").stdout


@pytest.mark.parametrize("words", [("db", "init"), ("settings",), ("doctor",), ("init", "new")])
def test_closed_standard_streams_are_no_fault_of_ours(agent: Agent, words: tuple[str, ...]) -> None:
    agent(*words, code=1 if words == ("doctor",) else 0, before=["sh", "-c", 'exec "$@" <&-', "sh"])


def test_a_settings_file_that_is_named_and_missing(agent: Agent, home: Path) -> None:
    for command in ("ps", "status", "settings", "doctor", "run"):
        assert "no settings at" in agent(command, "--config", home / "nowhere.yaml", code=78).stderr
