"""The engine gone, killed, started again, the agent killed in between: in the end there is one container a profile."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.boxed import Boxed
from engine.scratch_engine import ScratchEngine
from system.scratch_site import Site, eventually, living

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.container
STEPS = ("after-intent", "after-spawn", "after-pid")
KILLED = """
import os, signal, sys
from llamaagent.cli.site import claim, context, database, load
from llamaagent.cli.spec import Values
from llamaagent.reconcile.passes import run_pass
from llamaagent.store.locks import Lock

def checkpoint(name):
    if name == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)

opened = load(Values({}))
with database(opened, write=True) as db:
    claim(db, opened)
    with Lock(opened.database, "pass").take(opened.clock):
        run_pass(context(opened, db)._replace(checkpoint=checkpoint))
"""


@pytest.fixture
def frail(site_of_ports: Site) -> Iterator[Boxed]:
    """A site with an engine of its own, that may be killed."""
    with tempfile.TemporaryDirectory(prefix="la-frail-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        engine = ScratchEngine(Path(folder))
        try:
            engine.start()
            engine.make_image()
            yield Boxed(site_of_ports, engine)
        finally:
            engine.end()


def one_alive(boxed: Boxed) -> bool:
    return [found.alive for found in boxed.ours().get("box", [])].count(True) == 1


def test_an_engine_that_is_gone_for_three_passes_and_back(frail: Boxed) -> None:
    """Killed, it leaves its containers running: they go on being watched by their first process."""
    site = frail.site
    frail.box()
    site.settle()
    before = site.newest()["box"]
    frail.docker.stop(signal.SIGKILL)
    assert living(int(str(before["pid"])))
    for _ in range(3):
        site.once()
        row = site.newest()["box"]
        assert (row["status"], row["id"]) == ("running", before["id"])
    frail.docker.start()
    site.settle()
    assert one_alive(frail)
    assert len(frail.ours()["box"]) == 1


def test_an_engine_that_ends_takes_its_containers_along_and_they_come_back(frail: Boxed) -> None:
    site = frail.site
    frail.box()
    site.settle()
    first = site.newest()["box"]
    frail.docker.stop()
    eventually(lambda: not living(int(str(first["pid"]))), "its container ended")
    for _ in range(3):
        site.once()
    row = site.rows("SELECT * FROM instances WHERE id = ?", first["id"])[0]
    assert (row["status"], row["reason"]) == ("error", "lost"), row
    eventually(lambda: site.once() and site.newest()["box"]["reason"] == "no-engine", "held")
    assert site.run("start", "box").rc == 69
    frail.docker.start()
    site.settle()
    assert one_alive(frail)
    assert len(frail.ours()["box"]) == 1  # what the old engine left was put away


def test_a_stop_while_the_engine_is_gone_reaches_the_process(frail: Boxed) -> None:
    site = frail.site
    frail.box()
    site.settle()
    pid = int(str(site.newest()["box"]["pid"]))
    frail.docker.stop(signal.SIGKILL)
    assert site.run("stop", "box").rc == 0
    assert not living(pid)
    frail.docker.start()
    frail.site.run("reset", "box")
    site.settle()
    assert len(frail.ours()["box"]) == 1


@pytest.mark.parametrize("step", STEPS)
def test_the_agent_killed_at_a_step_of_the_launch(boxed: Boxed, step: str) -> None:
    site = boxed.site
    boxed.box()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, step], cwd=site.root, env=site.env, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    before = boxed.ours().get("box", [])
    site.settle()
    assert one_alive(boxed)
    assert len(boxed.ours()["box"]) == 1
    if step == "after-pid":
        assert boxed.one().id == before[0].id


def test_the_agent_killed_after_the_start_and_before_the_pid_was_stored(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box()
    site.settle()
    found = boxed.one()
    site.edit("UPDATE instances SET pid = NULL, start_ticks = NULL, status = 'loading' WHERE profile = 'box'")
    site.settle()
    assert boxed.one().id == found.id
    assert site.newest()["box"]["pid"] == found.pid


def test_a_clock_that_is_set_makes_no_second_container(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box()
    site.settle()
    found = boxed.one()
    for ahead_s in (86400, -86400, 0):
        done = subprocess.run(
            [sys.executable, "-c", SHIFTED, str(ahead_s)],
            cwd=site.root,
            env=site.env,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert boxed.one().id == found.id
    lines = site.run("logs", "box").out.splitlines()
    assert lines == ["hello"]


SHIFTED = """
import sys
from llamaagent.base.clock import SystemClock
from llamaagent.cli.site import claim, context, database, load
from llamaagent.cli.spec import Values
from llamaagent.reconcile.passes import run_pass
from llamaagent.store.locks import Lock

class Shifted(SystemClock):
    def now(self):
        return super().now() + int(sys.argv[1])

opened = load(Values({}))
with database(opened, write=True) as db:
    claim(db, opened)
    with Lock(opened.database, "pass").take(opened.clock):
        run_pass(context(opened, db)._replace(clock=Shifted()))
"""
