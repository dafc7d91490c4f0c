"""Completion works end to end: the script of a real bash, and what it asks the program."""

import shutil
import subprocess
from pathlib import Path

import pytest
from scratch_home import Agent, program, scratch_environment


def completed(agent: Agent, line: str, cwd: Path | None = None) -> list[str]:
    """What is offered for the last word of a line."""
    words = line.split(" ")
    env = {"_LLAMAAGENT_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    result = agent(cwd=cwd, env=env)
    assert result.stderr == ""
    return [item.partition(",")[2] for item in result.stdout.splitlines() if item]


def test_commands_options_and_choices_are_completed(agent: Agent) -> None:
    assert completed(agent, "llamaagent st") == ["start", "stats", "status", "stop"]
    assert completed(agent, "llamaagent db in") == ["info", "init"]
    assert completed(agent, "llamaagent query --ti") == ["--timeout"]
    assert completed(agent, "llamaagent ps --format js") == ["json", "jsonl"]
    assert completed(agent, "llamaagent completion ") == ["bash", "zsh", "fish"]


def test_names_of_profiles_are_completed(agent: Agent, site: Path) -> None:
    assert completed(agent, "llamaagent stop ti", site) == ["tiny"]
    assert completed(agent, f"llamaagent stop --config {site}/llamaagent.yaml ti") == ["tiny"]
    assert completed(agent, "llamaagent stop x", site) == []


def test_completion_stays_silent_where_nothing_can_be_read(agent: Agent, site: Path) -> None:
    (site / "profiles" / "tiny.yaml").write_text("{ broken\n")

    assert completed(agent, "llamaagent stop ti", site) == []
    assert completed(agent, "llamaagent stop --config /nowhere.yaml ti") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(agent: Agent, shell: str, home: Path) -> None:
    text = agent("completion", shell).stdout

    assert f"_LLAMAAGENT_COMPLETE={shell}_complete" in text
    interpreter = shutil.which(shell)
    if interpreter is not None:
        (home / "script").write_text(text)
        subprocess.run([interpreter, "-n", str(home / "script")], check=True, timeout=30)


def test_an_unknown_shell_is_wrong_usage(agent: Agent) -> None:
    assert "bash|zsh|fish" in agent("completion", "tcsh", code=2).stderr


def test_bash_completes_with_the_script(agent: Agent, site: Path, home: Path) -> None:
    import sys

    program(home, "llamaagent", f'exec {sys.executable} -m llamaagent "$@"')
    (home / "script").write_text(agent("completion", "bash").stdout)
    asking = (
        f"source {home / 'script'}; COMP_WORDS=(llamaagent url ti); COMP_CWORD=2; "
        '_llamaagent_completion llamaagent ti url; echo "${COMPREPLY[@]}"'
    )

    result = subprocess.run(
        ["bash", "-c", asking],
        cwd=site,
        env=scratch_environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout == "tiny\n", result.stderr
