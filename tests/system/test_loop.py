"""The loop for a supervisor: its signals, its lock, and that it leaves the servers alone."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually, kill

if TYPE_CHECKING:
    import subprocess

    from scratch_site import Site

pytestmark = pytest.mark.binary


def running(site: Site, *names: str) -> bool:
    if not os.path.exists(site.database):
        return False
    try:
        rows = site.newest()
    except Exception:  # noqa: BLE001 - the loop has not made its tables yet
        return False
    return all(name in rows and rows[name]["status"] == "running" for name in names)


def begin(site: Site, *words: str, interval: str = "1s") -> subprocess.Popen[bytes]:
    site.settings(interval=interval)
    site.profile("alpha")
    return site.start("run", *words)


def end(loop: subprocess.Popen[bytes]) -> tuple[int, str]:
    loop.send_signal(signal.SIGTERM)
    _, err = loop.communicate(timeout=20)
    return loop.returncode, err.decode()


def test_the_loop_passes_by_itself_and_leaves_the_servers_running(site: Site) -> None:
    loop = begin(site)
    eventually(lambda: running(site, "alpha"), "running")
    pids = site.live()
    assert end(loop) == (0, "")
    assert site.live() == pids
    site.once()
    assert site.live() == pids
    assert site.count("instances") == 1


def test_stop_instances_stops_them_without_an_operators_wish(site: Site) -> None:
    loop = begin(site, "--stop-instances")
    eventually(lambda: running(site, "alpha"), "running")
    assert end(loop) == (0, "")
    assert site.live() == {}
    assert site.count("overrides") == 0
    assert site.newest()["alpha"]["status"] == "stopped"
    site.settle()


def test_signals_make_it_pass_at_once(site: Site) -> None:
    loop = begin(site, interval="300s")
    eventually(site.live, "launched")

    def poke(number: int, question: object) -> None:
        def asked() -> bool:
            loop.send_signal(number)
            return bool(question())  # type: ignore[operator]

        eventually(asked, f"a pass after signal {number}")

    poke(signal.SIGUSR1, lambda: running(site, "alpha"))
    site.profile("beta")
    poke(signal.SIGHUP, lambda: running(site, "alpha", "beta"))
    row = site.newest()["beta"]
    kill(int(str(row["pid"])))
    poke(signal.SIGUSR1, lambda: ("end", "crash") in site.decisions("beta"))
    (site.root / "llamaagent.yaml").write_text("ports: nonsense\n")
    loop.send_signal(signal.SIGHUP)
    code, err = end(loop)
    assert code == 0
    assert "Traceback" not in err
    assert "alpha" in site.live()


def test_a_second_loop_exits_75_and_a_single_pass_beside_it_is_fine(site: Site) -> None:
    loop = begin(site)
    eventually(lambda: running(site, "alpha"), "running")
    pids = site.live()
    second = site.run("run")
    assert second.rc == 75
    assert "agent.lock" in second.err
    for _ in range(3):
        assert site.run("run", "--once").rc == 0
    assert site.run("restart", "alpha").rc == 0
    eventually(lambda: running(site, "alpha"), "running")
    assert site.live() != pids
    assert loop.poll() is None
    assert end(loop)[0] == 0


def test_a_killed_loop_loses_nothing(site: Site) -> None:
    loop = begin(site)
    eventually(lambda: running(site, "alpha"), "running")
    pids = site.live()
    loop.kill()
    loop.communicate()
    assert site.live() == pids
    again = site.start("run")
    eventually(lambda: site.count("system_samples") > 2, "it goes on")
    assert site.live() == pids
    assert end(again)[0] == 0
    assert site.count("instances") == 1


def test_the_loop_buries_its_children(site: Site) -> None:
    loop = begin(site)
    eventually(lambda: running(site, "alpha"), "running")
    row = site.newest()["alpha"]
    kill(int(str(row["pid"])))
    eventually(lambda: site.newest()["alpha"]["id"] != row["id"] and running(site, "alpha"), "replaced")

    def buried() -> bool:
        with open(f"/proc/{loop.pid}/task/{loop.pid}/children", encoding="ascii") as file:
            return str(row["wrapper_pid"]) not in file.read().split()

    eventually(buried, "the wrapper is no zombie")
    assert end(loop)[0] == 0
