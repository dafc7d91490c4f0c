"""`demo`: the main job, from an empty folder to a report, on real servers; and nothing left behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import apsw
import pytest
from scratch_home import scratch_environment

from llamaagent.cli.site import site_id
from llamaagent.launch.adopt import find_launched

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.embedded
PYTHON = (sys.executable, "-P", "-m", "llamaagent")


class Shown(NamedTuple):
    """A finished demo. living: its servers that /proc shows; the numbers are rows of its database."""

    stdout: str
    stderr: str
    living: list[str]
    requests: int
    crashes: int
    live: int


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("demo")
    yield made
    agent(made, "stop", "--all", "-q", "--config", str(made / "here" / "llamaagent.yaml"))


def agent(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PYTHON, *words],
        cwd=home,
        env=scratch_environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def living(folder: Path) -> list[str]:
    return sorted(
        found.profile for found in find_launched(site_id(os.path.realpath(folder / "llamaagent.yaml")))
    )


def number(folder: Path, sql: str) -> int:
    db = apsw.Connection(str(folder / "demo.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return int(db.execute(sql).get)
    finally:
        db.close()


STEPS = (
    "a folder of its own: ",
    "a tiny real model: ",
    "two profiles in YAML, run by embedded",
    "one pass started two real model servers: chat at http://127.0.0.1:",
    "32 requests and 4 passes later",
    "kill -9 ",
    "the next passes saw it and brought it back: pid ",
    "the report is built",
    "the servers are stopped",
)


@pytest.fixture(scope="module")
def shown(home: Path) -> Shown:
    """The demo in a fresh folder, and what it left there."""
    folder = home / "here"
    done = agent(home, "demo", str(folder))
    assert done.returncode == 0, done
    return Shown(
        done.stdout,
        done.stderr,
        living(folder),
        requests=number(folder, "SELECT count(*) FROM generations"),
        crashes=number(folder, "SELECT count(*) FROM instances WHERE reason = 'crash'"),
        live=number(folder, "SELECT count(*) FROM instances WHERE status IN ('running', 'loading')"),
    )


def test_the_demo_shows_the_whole_job_and_leaves_nothing_running(home: Path, shown: Shown) -> None:
    assert shown.stderr == ""
    steps = [line.removeprefix("==> ") for line in shown.stdout.splitlines() if line.startswith("==> ")]
    assert [step.startswith(told) for step, told in zip(steps, STEPS, strict=True)] == [True] * len(STEPS), (
        steps
    )
    killed = re.search(r"kill -9 (\d+)", shown.stdout)
    back = re.search(r"brought it back: pid (\d+)", shown.stdout)
    assert killed is not None
    assert back is not None
    assert killed[1] != back[1]
    assert "crash: killed by signal 9 (SIGKILL)" in shown.stdout
    report = re.search(r"^report: +file://(.*)$", shown.stdout, re.MULTILINE)
    assert report is not None
    assert os.path.getsize(report[1]) > 1000
    assert report[1].startswith(str(home / "here"))
    assert (shown.living, shown.live) == ([], 0)
    assert (shown.requests, shown.crashes) == (32, 1)


def test_a_second_demo_in_the_same_folder_works_and_may_keep_its_servers(home: Path, shown: Shown) -> None:
    folder = home / "here"
    done = agent(home, "demo", str(folder), "--keep")
    assert done.returncode == 0, done
    assert living(folder) == ["chat", "story"]
    stop = re.search(r"stop them with: llamaagent (.*)$", done.stdout, re.MULTILINE)
    assert stop is not None
    stopped = agent(home, *stop[1].split())
    assert stopped.returncode == 0, stopped
    assert living(folder) == []


def test_a_demo_that_cannot_work_says_why_and_stops_what_it_started(home: Path) -> None:
    folder = home / "broken"
    done = agent(home, "demo", str(folder), "--binary", "/bin/false")
    assert done.returncode == 69, done
    assert "Traceback" not in done.stderr
    assert living(folder) == []
    shutil.rmtree(folder)
