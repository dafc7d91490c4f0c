"""Commands that judge a server: side by side, each with its limit, none left behind."""

from __future__ import annotations

import time

import pytest

from llamaagent.base.clock import SystemClock
from llamaagent.launch.trial import attend, try_out

CLOCK = SystemClock()
ENV = {"PATH": "/usr/bin:/bin"}


def run(*texts: str, timeout_s: float = 10.0, until_s: float = 20.0) -> list[tuple[int | None, str]]:
    now = time.monotonic()
    trials = {at: try_out(["sh", "-c", text], ENV, timeout_s, now) for at, text in enumerate(texts)}
    ended = attend(trials, now + until_s, CLOCK)
    return [(ended[at].code, ended[at].last_line) for at in range(len(texts))]


def test_status_and_last_line_are_told() -> None:
    assert run("echo a; echo b >&2; echo; exit 4", "true", "kill -9 $$") == [(4, "b"), (0, ""), (137, "")]


def test_they_run_side_by_side_and_each_has_its_limit() -> None:
    began = time.monotonic()
    assert run(*["sleep 60"] * 5, "echo well", timeout_s=0.5) == [(None, "")] * 5 + [(0, "well")]
    assert time.monotonic() - began < 5


def test_the_common_deadline_comes_first() -> None:
    began = time.monotonic()
    assert run("sleep 60", until_s=0.3) == [(None, "")]
    assert time.monotonic() - began < 5


def test_a_child_that_holds_the_output_open_is_not_waited_for() -> None:
    """Peers 5.7: the pipe is held by what the command left behind."""
    began = time.monotonic()
    assert run("sleep 3 & echo done") == [(0, "done")]
    assert time.monotonic() - began < 2.5


def test_a_flood_of_output_is_read_to_its_end() -> None:
    assert run("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last") == [(0, "last")]


def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        try_out(["/nowhere/at/all"], ENV, 1.0, 0.0)
