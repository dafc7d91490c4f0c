"""Problems are said when they appear, change or end, and never again between, whatever kills the agent meanwhile."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually, kill

if TYPE_CHECKING:
    from scratch_site import Site

DRIVER = (sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "crash_driver.py"))


def silent_pass(site: Site) -> bool:
    """A whole pass of an agent that is killed before it says anything."""
    child = site.start(argv=DRIVER)
    child.communicate(timeout=30)
    return child.returncode == 0


def crash(site: Site, name: str = "alpha") -> None:
    kill(int(str(site.newest()[name]["pid"])), signal.SIGSEGV)
    eventually(lambda: name not in site.live(), "gone")


@pytest.fixture
def alpha(fake_site: Site) -> Site:
    fake_site.settings(notify={"command": "true", "timeout": "5s"})
    fake_site.profile("alpha", restart={"backoff": "2s"})
    fake_site.settle()
    assert fake_site.once().err == ""
    return fake_site


def events(site: Site) -> list[tuple[object, object]]:
    return [
        (row["event"], row["profile"])
        for row in site.rows("SELECT event, profile FROM notifications ORDER BY id")
    ]


def test_a_crash_that_a_killed_agent_saw_is_said_by_the_next(alpha: Site) -> None:
    crash(alpha)
    assert silent_pass(alpha)
    assert alpha.newest()["alpha"]["status"] == "error"
    assert alpha.once().err.startswith("alpha: crashed")
    alpha.settle()
    assert alpha.once().err == ""
    assert events(alpha) == [("crash", "alpha"), ("recovered", "alpha")]


def test_a_crash_that_is_over_before_any_pass_could_say_it_is_said_with_its_end(alpha: Site) -> None:
    crash(alpha)
    eventually(lambda: silent_pass(alpha) and alpha.newest()["alpha"]["status"] == "running", "back")
    said = alpha.once().err
    assert said == "alpha: crashed and was launched again (crash: killed by signal 11 (SIGSEGV))\n", said
    assert alpha.once().err == ""
    assert events(alpha) == [("crash", "alpha"), ("recovered", "alpha")]


def test_a_server_that_is_launched_again_unsaid_ends_when_it_runs(alpha: Site) -> None:
    crash(alpha)
    assert silent_pass(alpha)
    time.sleep(2.1)  # its back-off
    first = alpha.once()  # launches it
    assert "alpha: crashed and was launched again" in first.err
    if alpha.newest()["alpha"]["status"] == "loading":
        said = alpha.once().err
        assert "ended: alpha: crashed" in said
    assert alpha.once().err == ""
    assert events(alpha) == [("crash", "alpha"), ("recovered", "alpha")]


def test_an_agent_killed_at_any_moment_tells_each_change_once(alpha: Site) -> None:
    """Thirty passes of which most are killed: what is stored to be told is one crash and one end, never more."""
    crash(alpha)
    chance = random.Random(7)
    said = ""
    for _ in range(30):
        one = alpha.start("run", "--once")
        time.sleep(chance.uniform(0.02, 0.35))
        one.kill()
        said += one.communicate()[1].decode()
    said += alpha.once().err
    alpha.settle()
    alpha.once()
    assert alpha.once().err == ""
    assert events(alpha) == [("crash", "alpha"), ("recovered", "alpha")]
    assert len(alpha.live()["alpha"]) == 1


def test_a_problem_that_changes_is_said_again_and_one_that_stays_is_not(fake_site: Site) -> None:
    fake_site.profile("alpha", model="/nowhere/m.gguf")
    assert "held: model file missing" in fake_site.once().err
    for _ in range(3):
        assert fake_site.once().err == ""
    fake_site.profile("alpha", runtime={"binary": "/nowhere/llama-server"})
    said = fake_site.once().err
    assert "held: llama-server missing" in said
    assert "ended" not in said
    assert fake_site.once().err == ""
    fake_site.profile("alpha", state="stopped")
    assert "ended: alpha: held" in fake_site.once().err
    assert fake_site.once().err == ""


def test_what_an_older_agent_has_said_is_not_said_again(fake_site: Site) -> None:
    """Schema 1 kept the words alone."""
    fake_site.profile("alpha", model="/nowhere/m.gguf")
    said = fake_site.once().err.strip()
    fake_site.edit("UPDATE metadata SET value = json_object('profile:alpha', ?) WHERE key = 'problems'", said)
    assert len(fake_site.once().err.splitlines()) <= 1
    assert fake_site.once().err == ""
