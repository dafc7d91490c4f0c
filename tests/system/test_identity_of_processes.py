"""Only the very process that was launched is ever taken for it, and nothing else is ever signalled."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from scratch_site import PYTHON, eventually, kill, zombie

from llamaagent.launch.identity import identify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scratch_site import Site

pytestmark = pytest.mark.binary


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A program that has nothing to do with us, in a session of its own."""
    made = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield made
    made.kill()
    made.wait()


def hand_over(site: Site, row: dict[str, object], pid: int, **wrong: object) -> None:
    """Make the row say that this process is the server and its wrapper, with something wrong about it."""
    found = identify(pid)
    assert found is not None
    given = {"boot_id": found.boot_id, "ticks": found.start_ticks} | wrong
    site.edit(
        "UPDATE instances SET boot_id = ?, pid = ?, start_ticks = ?, wrapper_pid = ?, wrapper_start_ticks = ?"
        " WHERE id = ?",
        given["boot_id"], pid, given["ticks"], pid, given["ticks"], row["id"],
    )  # fmt: skip


def untouched(victim: subprocess.Popen[bytes]) -> bool:
    time.sleep(0.1)
    return victim.poll() is None


@pytest.mark.case("peers 5.2")
@pytest.mark.case("sqlite 5.11")
@pytest.mark.parametrize("how", ["stop", "restart", "retire", "change", "timeout"])
def test_a_live_pid_with_another_start_tick_is_never_signalled(
    site: Site, victim: subprocess.Popen[bytes], how: str
) -> None:
    """Peers 5.2."""
    path = site.profile("alpha")
    site.profile("beta", state="stopped")
    row = site.settle("running", "alpha")["alpha"]
    kill(int(str(row["pid"])))
    found = identify(victim.pid)
    assert found is not None
    hand_over(site, row, victim.pid, ticks=found.start_ticks - 1)
    if how in {"stop", "restart"}:
        assert site.run(how, "alpha").rc == 0
    elif how == "retire":
        path.unlink()
    elif how == "change":
        site.profile("alpha", args={"threads": 1, "ctx-size": 256})
    else:
        site.edit(
            "UPDATE instances SET status = 'stopping', stop_reason = 'health', next_signal_ts = 1, signals_sent = 2"
        )
    site.once()
    site.once()
    assert untouched(victim)
    assert site.one("SELECT status FROM instances WHERE id = ?", row["id"])["status"] in {"stopped", "error"}


@pytest.mark.case("peers 5.4")
@pytest.mark.case("sqlite 5.10")
def test_after_a_reboot_the_same_pid_is_somebody_else(site: Site, victim: subprocess.Popen[bytes]) -> None:
    """Peers 5.4."""
    site.profile("alpha")
    site.profile("beta")
    rows = site.settle()
    site.stop_all()
    for row in rows.values():
        hand_over(site, row, victim.pid, boot_id="00000000-0000-0000-0000-000000000000")
    fresh = site.settle()
    assert untouched(victim)
    assert {name: [row["pid"]] for name, row in fresh.items()} == site.live()
    for name, row in rows.items():
        old = site.one("SELECT status, reason, exit_code, exit_signal FROM instances WHERE id = ?", row["id"])
        assert old == {"status": "stopped", "reason": "reboot", "exit_code": None, "exit_signal": None}
        assert fresh[name]["id"] != row["id"]
        assert fresh[name]["port"] == row["port"]
        assert fresh[name]["restarts"] == 0
        assert site.decisions(name)[-3:] == [("end", "reboot"), ("start", "reboot"), ("ready", "healthy")]


@pytest.mark.case("peers 5.8")
@pytest.mark.case("sqlite 5.12")
def test_a_zombie_counts_as_dead(site: Site) -> None:
    """Peers 5.8."""
    site.profile("alpha")
    row = site.settle()["alpha"]
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    kill(int(str(row["pid"])))
    eventually(lambda: os.path.exists(str(row["exit_path"])), "the exit record")
    os.unlink(str(row["exit_path"]))  # nothing but the zombie itself may tell
    hand_over(site, row, child.pid)
    child.kill()
    eventually(lambda: zombie(child.pid), "a zombie")
    site.once()
    fresh = site.settle()["alpha"]
    assert zombie(child.pid)
    assert fresh["id"] != row["id"]
    old = site.one("SELECT status, reason FROM instances WHERE id = ?", row["id"])
    assert old == {"status": "error", "reason": "lost"}
    child.wait()


def test_a_server_that_was_killed_is_told_with_its_signal_and_comes_back(site: Site) -> None:
    site.profile("alpha", restart={"backoff": "1s"})
    row = site.settle()["alpha"]
    kill(int(str(row["pid"])))
    eventually(lambda: os.path.exists(str(row["exit_path"])), "the exit record")
    said = site.once()
    ended = site.newest()["alpha"]
    assert (ended["id"], ended["status"], ended["reason"], ended["exit_signal"]) == (
        row["id"],
        "error",
        "crash",
        9,
    )
    assert "alpha" in said.err
    assert ended["retry_ts"] is not None
    assert not os.path.exists(str(row["exit_path"]))
    fresh = site.settle()["alpha"]
    assert (fresh["restarts"], fresh["port"]) == (1, row["port"])
    assert site.decisions("alpha") == [
        ("start", "declared"),
        ("ready", "healthy"),
        ("end", "crash"),
        ("start", "crash"),
        ("ready", "healthy"),
    ]


@pytest.mark.case("peers 5.3")
@pytest.mark.root
def test_what_was_started_in_a_container_is_known_by_its_launch_id_outside(site: Site) -> None:
    """Peers 5.3: the pid in the row is another process here. When the container is gone, so is the server."""
    site.profile("alpha")
    inside = " ".join([*PYTHON, "run", "--once", "-q"])
    words = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    text = f"for n in 1 2 3 4 5; do {inside}; sleep 0.2; done; touch done; sleep 600"
    container = site.start("-c", text, argv=(*words, "sh"))
    eventually(lambda: os.path.exists(site.root / "done"), "started inside", 60)
    row = site.newest()["alpha"]
    assert "+pid:" in str(row["boot_id"])
    ((pid,),) = site.live().values()
    assert pid != row["pid"]
    site.once()
    here = site.newest()["alpha"]
    assert (here["id"], here["status"], here["pid"]) == (row["id"], "running", pid)
    assert site.live() == {"alpha": [pid]}
    site.edit("UPDATE instances SET boot_id = ?, pid = ?", row["boot_id"], row["pid"])
    container.kill()
    eventually(lambda: site.live() == {}, "the container is gone")
    fresh = site.settle()["alpha"]
    assert fresh["id"] != row["id"]
    old = site.one("SELECT status, reason FROM instances WHERE id = ?", row["id"])
    assert old == {"status": "stopped", "reason": "reboot"}


def test_a_killed_wrapper_does_not_take_the_server_with_it(site: Site) -> None:
    site.profile("alpha")
    row = site.settle()["alpha"]
    kill(int(str(row["wrapper_pid"])))
    before = site.count("decisions")
    site.once()
    assert site.live() == {"alpha": [row["pid"]]}
    assert site.count("decisions") == before
    assert site.run("stop", "alpha").rc == 0
    assert site.live() == {}
    assert site.newest()["alpha"]["status"] == "stopped"
