"""The border of the program: where argv comes in, and what each kind of end looks like."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from scratch_home import Agent, scratch_environment

from llamaagent import __version__
from llamaagent.cli.commands import SPECS
from llamaagent.cli.commands.quick import PS, RUN
from llamaagent.cli.spec import quick

if TYPE_CHECKING:
    from pathlib import Path


def test_without_words_the_help_is_shown_and_that_is_wrong_usage(agent: Agent) -> None:
    done = agent(code=2)
    assert "Every day" in done.stdout
    assert "llamaagent" in done.stdout


def test_the_version(agent: Agent) -> None:
    assert agent("--version").stdout == f"llamaagent {__version__}\n"


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_command_has_help_with_its_options(agent: Agent, spec: object) -> None:
    done = agent(*spec.name.split(), "--help")  # type: ignore[attr-defined]
    assert done.stderr == ""
    for option in spec.options:  # type: ignore[attr-defined]
        assert option.flags[-1] in done.stdout
    assert "--config" in done.stdout


def test_a_group_without_its_command_lists_them(agent: Agent) -> None:
    done = agent("db", code=2)
    assert "migrate" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "words", [("ps",), ("run", "--once"), ("status",), ("plan",), ("start", "x"), ("why",)]
)
def test_without_settings_it_says_how_to_begin(agent: Agent, words: tuple[str, ...]) -> None:
    done = agent(*words, code=78)
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == "  try: llamaagent init"


def test_a_settings_file_that_is_not_there_is_named(agent: Agent, home: Path) -> None:
    done = agent("ps", "--config", home / "nowhere.yaml", code=78)
    assert "nowhere.yaml" in done.stderr


def test_a_database_that_is_none_is_left_alone(agent: Agent, site: Path) -> None:
    path = site / "note.db"
    path.write_text("this is a letter, and no database at all " * 40)
    before = path.read_bytes()
    for words in (("ps",), ("run", "--once"), ("why",), ("gpus",)):
        done = agent(*words, "--db", path, cwd=site, code=74)
        assert str(path) in done.stderr
    assert path.read_bytes() == before


def test_a_bug_is_told_with_its_place_and_its_own_code(site: Path, home: Path) -> None:
    """A program of ours that is broken on purpose: a module that a command needs is not one."""
    program = (
        "import sys\n"
        "sys.modules['llamaagent.cli.ps'] = object()\n"
        "from llamaagent.cli.main import entry\n"
        "raise SystemExit(entry(['ps']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=site,
        env=scratch_environment(home),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 70
    assert done.stdout == b""
    assert b"Traceback" in done.stderr
    assert b"bug in llamaagent" in done.stderr


def test_an_interrupt_ends_with_130_and_no_traceback(site: Path, home: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "llamaagent", "ps", "-w"],
        cwd=site,
        env=scratch_environment(home) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline()
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=10)
    assert child.returncode == 130
    assert b"Traceback" not in err


def test_a_full_disk_below_stdout_is_an_error(site: Path, home: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "llamaagent", "ps", "--json"],
            cwd=site,
            env=scratch_environment(home),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 74
    assert b"Traceback" not in done.stderr


# -- the parser of the hot path agrees with click ---------------------------------------------------------


def test_plain_words_are_parsed_without_click() -> None:
    values = quick(
        RUN, ["--once", "alpha", "--config=x.yaml", "-v", "-v", "--profiles", "a", "--profiles", "b"]
    )
    assert values is not None
    assert values.flag("once")
    assert (values.many("name"), values.text("config"), values.number("verbose")) == (("alpha",), "x.yaml", 2)
    assert values.many("profiles") == ("a", "b")


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--nonsense"], ["--format", "xml"], ["--format"], ["--json=yes"], ["-aw"], ["--", "x"]],
)
def test_everything_else_is_left_to_click(words: list[str]) -> None:
    assert quick(PS, words) is None


def test_short_flags_together_mean_the_same(agent: Agent, site: Path) -> None:
    assert agent("ps", "-aq", cwd=site).stdout == agent("ps", "-a", "-q", cwd=site).stdout == ""
