"""A launch is all of its processes: those left behind, those that outlive their parent, those that cannot be killed.

Numbers are those of the facts about peers, part 5.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from typing import TYPE_CHECKING

import pytest
from scratch_site import ask, eventually, kill, living

from llamaagent.launch.adopt import find_launched
from llamaagent.launch.identity import read_stat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scratch_site import Site

FREEZER = "/sys/fs/cgroup/freezer"


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(stat.S_IRWXU)
    return str(path)


@pytest.mark.parametrize(
    "how", ["&", "& sleep 0.4", "& sleep 3", "setsid"], ids=["at once", "soon", "late", "setsid"]
)
def test_a_script_that_leaves_the_server_in_the_background(fake_site: Site, how: str) -> None:
    """5.7: what it left listens on our port, so it is the server from then on; a stop ends it."""
    server = f'{fake_site.binary} "$@"'
    text = f"setsid {server} >/dev/null 2>&1 </dev/null & exit 0" if how == "setsid" else f"{server} {how}"
    fake_site.profile("alpha", runtime={"binary": script(fake_site.root / "wrapper.sh", text)})
    fake_site.settle()
    time.sleep(3.2 if "3" in how else 0.5)
    for _ in range(2):
        fake_site.once("-q")
    row = fake_site.newest()["alpha"]
    assert row["status"] == "running"
    assert fake_site.count("instances") == 1
    assert ask(row["port"], "/health")[0] == 200
    assert living(int(str(row["pid"])))
    assert fake_site.run("stop", "alpha").rc == 0
    assert find_launched(fake_site.id) == ()
    assert fake_site.newest()["alpha"]["status"] == "stopped"


def test_a_server_that_was_left_by_a_script_ends_with_an_unknown_status(fake_site: Site) -> None:
    """The script's own exit status says nothing about it."""
    text = f'{fake_site.binary} "$@" &'
    fake_site.profile("alpha", runtime={"binary": script(fake_site.root / "wrapper.sh", text)})
    fake_site.settle()
    fake_site.once("-q")
    row = fake_site.newest()["alpha"]
    kill(int(str(row["pid"])))
    fake_site.once("-q")
    old = fake_site.one("SELECT status, reason, exit_code FROM instances WHERE id = ?", row["id"])
    assert old == {"status": "error", "reason": "lost", "exit_code": None}


def test_children_that_outlive_their_server_are_stopped_before_it_is_started_again(fake_site: Site) -> None:
    """5.7: the leader dies, its child lives on in a session of its own."""
    env = {"FAKE_MODE": "fork-grandchild"}
    fake_site.profile("alpha", runtime={"env": env}, restart={"backoff": "0s"})
    row = fake_site.settle()["alpha"]
    (found,) = find_launched(fake_site.id)
    (child,) = found.others
    kill(int(str(row["pid"])))
    eventually(lambda: fake_site.once("-q") and not living(child.pid), "the child is gone")
    fresh = fake_site.settle()["alpha"]
    assert fresh["id"] != row["id"]
    old = fake_site.one("SELECT status, reason, exit_signal FROM instances WHERE id = ?", row["id"])
    assert old == {"status": "error", "reason": "crash", "exit_signal": 9}
    words = fake_site.decisions("alpha")
    assert words[2:] == [("stop", "crash"), ("end", "crash"), ("start", "crash"), ("ready", "healthy")]


@pytest.fixture
def frozen() -> Iterator[Path]:
    """A cgroup of the version 1 freezer. SIGKILL to a frozen task stays pending, and it reads as state D."""
    from pathlib import Path

    group = Path(FREEZER) / f"llamaagent-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no freezer cgroup can be made: {error.strerror}")
    yield group
    (group / "freezer.state").write_text("THAWED")
    for _ in range(200):
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.05)


@pytest.mark.root
def test_a_process_that_cannot_be_killed_is_told_and_blocks_nothing_else(
    fake_site: Site, frozen: Path
) -> None:
    """5.9, 5.10. A real one: frozen by the kernel, in state D, SIGKILL pending."""
    fake_site.profile("alpha", listen={"port": fake_site.ports[0]}, stop={"drain": "0s", "grace": "1s"})
    fake_site.profile("beta", stop={"drain": "0s", "grace": "1s"})
    row = fake_site.settle()["alpha"]
    pid = int(str(row["pid"]))
    (frozen / "cgroup.procs").write_text(str(pid))
    (frozen / "freezer.state").write_text("FROZEN")
    eventually(lambda: (frozen / "freezer.state").read_text().strip() == "FROZEN", "frozen")
    assert read_stat(pid).state == "D"  # type: ignore[union-attr]
    assert fake_site.run("stop", "alpha", "--no-wait").rc == 0
    said: list[str] = []

    def told() -> bool:
        said.append(fake_site.once().err)
        return fake_site.newest()["alpha"]["reason"] == "unkillable"

    eventually(told, "told", 40)
    assert "waits in the kernel after SIGKILL" in "".join(said)
    row = fake_site.newest()["alpha"]
    assert (row["status"], row["stop_reason"], row["pid"], row["ended_ts"]) == (
        "stopping",
        "override",
        pid,
        None,
    )
    assert "stuck" in fake_site.run("ps").out
    assert fake_site.run("status").rc == 1
    # Others start and stop meanwhile, in passes as short as ever, and nothing is said twice.
    fake_site.profile("gamma")
    fake_site.profile("beta", state="stopped")
    began = time.monotonic()
    quiet = [fake_site.once().err for _ in range(3)]
    assert time.monotonic() - began < 3 * 8
    assert not any("alpha" in text for text in quiet)
    rows = fake_site.newest()
    assert (rows["beta"]["status"], rows["gamma"]["status"]) == ("stopped", "running")
    time.sleep(1.1)
    fake_site.once("-q")
    stuck = fake_site.one("SELECT count, reason, detail FROM decisions WHERE action = 'stuck'")
    assert stuck["reason"] == "unkillable"
    assert int(str(stuck["count"])) >= 2
    assert fake_site.newest()["alpha"]["id"] == row["id"]
    (frozen / "freezer.state").write_text("THAWED")
    eventually(lambda: not living(pid), "the pending SIGKILL arrives")
    done = fake_site.once()
    assert fake_site.newest()["alpha"]["status"] == "stopped"
    assert "alpha" in done.err  # it has ended, and that is said


def test_one_that_is_stopped_by_a_signal_is_killed_all_the_same(fake_site: Site) -> None:
    """SIGSTOP is no such state: SIGKILL reaches a stopped process."""
    fake_site.profile("alpha", stop={"drain": "0s", "grace": "1s"})
    row = fake_site.settle()["alpha"]
    kill(int(str(row["pid"])), signal.SIGSTOP)
    assert fake_site.run("stop", "alpha", "--timeout", "40s").rc == 0
    assert fake_site.live() == {}
    assert fake_site.newest()["alpha"]["exit_signal"] == 9
