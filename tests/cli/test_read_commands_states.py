"""What people are told while things go wrong, and that `run --once` tells each thing once."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from live_site import Site, ports

from system.scratch_site import eventually, kill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path, fake_server: str) -> Iterator[Site]:
    (tmp_path / "fake.gguf").write_bytes(b"GGUF" + bytes(60))
    with ports() as block:
        made = Site(tmp_path, block, fake_server, str(tmp_path / "fake.gguf"))
        yield made
        made.stop_all()


def state(site: Site, name: str = "alpha") -> str:
    rows = {row["profile"]: row["state"] for row in json.loads(site.run("ps", "--json").out)}
    return str(rows[name])


def test_a_server_that_loads_reads_loading_and_is_no_problem(site: Site) -> None:
    site.profile("alpha", runtime={"env": {"FAKE_MODE": "never-healthy"}})
    assert site.once().err == ""
    assert state(site) == "loading"
    assert site.run("status").rc == 0
    done = site.run("url", "alpha")
    assert (done.rc, done.out.startswith("http://127.0.0.1:")) == (0, True)


def test_a_crash_reads_when_and_how_often_it_is_tried_again(site: Site) -> None:
    site.profile("alpha", runtime={"env": {"FAKE_MODE": "exit-at-once:3"}}, restart={"backoff": "1m"})
    site.once()
    eventually(lambda: site.once() and site.newest()["alpha"]["status"] == "error", "it ended")
    assert re.fullmatch(r"crashed, retry in \d+s \(1st\)", state(site))
    row = json.loads(site.run("ps", "--json").out)[0]
    assert row["retry_at"] > row["since"]
    done = site.run("status")
    assert (done.rc, "crashed, retry in" in done.out) == (1, True)


def test_a_policy_of_never_reads_crashed(site: Site) -> None:
    site.profile("alpha", runtime={"env": {"FAKE_MODE": "exit-at-once:3"}}, restart="never")
    site.once()
    eventually(lambda: site.once() and site.newest()["alpha"]["status"] == "error", "it ended")
    assert state(site) == "crashed"


def test_an_unhealthy_server_reads_unhealthy_and_is_a_problem(site: Site) -> None:
    sick = site.root / "sick"
    site.profile("alpha", runtime={"env": {"FAKE_MODE": f"unhealthy-file:{sick}"}}, health={"failures": 1})
    site.settle()
    sick.touch()
    said = site.once().err
    assert state(site) == "unhealthy"
    assert said.startswith("alpha: unhealthy")
    sick.unlink()
    assert site.once().err.startswith("ended: alpha: unhealthy")
    assert site.once().err == ""


def test_a_process_that_is_gone_is_told_before_a_pass_knows(site: Site) -> None:
    site.profile("alpha")
    kill(int(str(site.settle()["alpha"]["pid"])))
    assert state(site) == "running, but its process is gone"
    assert site.run("status").rc == 1


def test_a_crash_loop_is_told_when_it_begins_and_when_it_goes_on(site: Site) -> None:
    """A launch that is only loading is no end of it: cron would mail twice a round for ever."""
    site.profile("alpha", runtime={"env": {"FAKE_MODE": "exit-at-once:3"}}, restart={"backoff": "1s"})
    told: list[str] = []
    eventually(
        lambda: told.extend(site.once().err.splitlines()) or site.count("instances") >= 5, "five launches"
    )
    # A pass that was slow enough to see the second crash too had nothing to tell of the first.
    assert len(told) <= 2, told
    assert told[-1].startswith("alpha: crashed again and again (")
    assert all(line.startswith("alpha: crashed (") for line in told[:-1])


def test_a_crash_ends_when_the_next_launch_is_healthy(site: Site) -> None:
    site.profile("alpha", restart={"backoff": "1s"})
    kill(int(str(site.settle()["alpha"]["pid"])))
    told: list[str] = []
    eventually(
        lambda: told.extend(site.once().err.splitlines()) or site.newest()["alpha"]["status"] == "running",
        "back",
    )
    assert told == ["alpha: crashed (crash: killed by signal 9 (SIGKILL))", f"ended: {told[0]}"]


def test_a_wait_is_told_once_and_its_end_once(site: Site) -> None:
    model = site.root / "late.gguf"
    site.profile("alpha", model=str(model))
    first = site.once().err
    assert (
        first
        == f"alpha: held: model file missing (missing-model: model {model}: No such file or directory)\n"
    )
    assert [site.once().err for _ in range(3)] == ["", "", ""]
    assert site.run("run", "--once", "-q").err == ""
    model.write_bytes(b"GGUF")
    told = site.once().err + site.once().err
    assert told == f"ended: {first}"
    assert site.once().err == ""


def test_a_changed_problem_is_told_again(site: Site) -> None:
    site.profile("alpha", model=str(site.root / "one.gguf"))
    site.once()
    site.profile("alpha", model=str(site.root / "two.gguf"))
    assert "two.gguf" in site.once().err
    assert site.once().err == ""


def test_a_broken_file_exits_78_each_time_and_is_told_once(site: Site) -> None:
    path = site.profile("alpha")
    pid = site.settle()["alpha"]["pid"]
    good = path.read_text()
    path.write_text("model: x.gguf\nstat: running\n")
    first = site.run("run", "--once")
    assert first.rc == 78
    assert f"{path}:2:1: error:" in first.err
    assert "state" in first.err
    for _ in range(2):
        again = site.run("run", "--once")
        assert (again.rc, again.out, again.err) == (78, "", "")
    assert site.newest()["alpha"]["pid"] == pid
    assert site.live() == {"alpha": [pid]}
    done = site.run("status")
    assert (done.rc, "refused: " in done.out) == (1, True)
    assert done.out.startswith("1 of 1 wanted are running")
    assert site.run("check").rc == 78
    path.write_text(good)
    mended = site.run("run", "--once")
    assert mended.rc == 0
    assert {line.split(":")[0] for line in mended.err.splitlines()} == {"ended"}
    assert site.once().err == ""


def test_wrong_settings_touch_nothing(site: Site) -> None:
    site.profile("alpha")
    site.settings(no_such_key="1m")
    for command in (("run", "--once"), ("plan",), ("start", "alpha")):
        done = site.run(*command)
        assert (done.rc, done.out) == (78, "")
        assert "no_such_key" in done.err
    assert site.live() == {}
