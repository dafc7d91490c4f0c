"""The beat of the loop: steady, no drift, no pile-up; and what its manager hears."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as some
from scratch_site import eventually

from llamaagent.cli.loop import next_beat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scratch_site import Site


@given(
    first=some.floats(0, 1e6),
    interval=some.integers(1, 3600),
    lasts=some.lists(some.floats(0, 10_000), min_size=1, max_size=30),
)
def test_beats_stand_on_a_grid_whatever_passes_take(first: float, interval: int, lasts: list[float]) -> None:
    """Each pass begins on a beat or is late for one; none is made up for; the grid never moves."""
    now = due = first
    for last in lasts:
        now = max(now, due) + last
        due = next_beat(due, interval, now)
        assert now < due <= now + interval + 1e-3
        steps = (due - first) / interval
        assert abs(steps - round(steps)) < 1e-3


@given(now=some.floats(0, 1e6), ahead=some.floats(0.001, 300), interval=some.integers(1, 300))
def test_a_pass_by_signal_moves_no_beat_further_off(now: float, ahead: float, interval: int) -> None:
    assert next_beat(now + ahead, interval, now) <= now + ahead


def sampled(site: Site) -> list[int]:
    if not os.path.exists(site.database):
        return []
    try:
        return [int(str(row["ts"])) for row in site.rows("SELECT ts FROM system_samples ORDER BY ts")]
    except Exception:  # noqa: BLE001 - the loop has not made its tables yet
        return []


def test_a_slow_pass_makes_no_pile_up(fake_site: Site) -> None:
    """The pass lock is held for four beats: afterwards there is one pass, then one a beat."""
    import fcntl

    fake_site.profile("alpha", state="stopped")
    loop = fake_site.start("run")
    eventually(lambda: len(sampled(fake_site)) >= 2, "it beats")
    with open(f"{fake_site.database}.pass.lock", "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        time.sleep(4)
        before = len(sampled(fake_site))
    time.sleep(2.5)
    assert len(sampled(fake_site)) - before <= 4
    assert len(sampled(fake_site)) > before
    end(loop)


def test_a_signal_during_a_pass_is_not_lost(fake_site: Site) -> None:
    import fcntl

    fake_site.settings(interval="300s")
    fake_site.profile("alpha", state="stopped")
    loop = fake_site.start("run")
    eventually(lambda: len(sampled(fake_site)) == 1, "the first pass")
    with open(f"{fake_site.database}.pass.lock", "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        loop.send_signal(signal.SIGUSR1)
        time.sleep(1.5)  # the pass has begun, and waits
        loop.send_signal(signal.SIGUSR1)
        time.sleep(0.2)
        fake_site.profile("beta", state="stopped")
    eventually(lambda: len(sampled(fake_site)) >= 2, "the pass that waited")
    eventually(lambda: "beta" in str(fake_site.rows("SELECT name FROM models")), "the next one, at once")
    end(loop)


def test_a_term_during_a_pass_ends_the_loop_after_it(fake_site: Site) -> None:
    import fcntl

    fake_site.settings(interval="300s")
    fake_site.profile("alpha")
    loop = fake_site.start("run")
    eventually(fake_site.live, "launched")
    with open(f"{fake_site.database}.pass.lock", "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        loop.send_signal(signal.SIGUSR1)
        time.sleep(0.5)
        loop.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert loop.poll() is None
    assert loop.wait(20) == 0
    assert fake_site.live()


def end(loop: object) -> None:
    loop.send_signal(signal.SIGTERM)  # type: ignore[attr-defined]
    assert loop.wait(20) == 0  # type: ignore[attr-defined]


# -- the manager -------------------------------------------------------------------------------------


class Ear:
    """A service manager's socket."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.setblocking(False)
        self.heard: list[str] = []

    def hears(self, line: str) -> bool:
        try:
            while True:
                self.heard.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            pass
        return any(line in message.split("\n") for message in self.heard)


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    made = Ear(str(tmp_path / "notify"))
    yield made
    made.socket.close()


def test_the_manager_hears_of_all_that_matters(fake_site: Site, ear: Ear, tmp_path: Path) -> None:
    fake_site.env |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
    fake_site.settings(interval="300s")
    fake_site.profile("alpha")
    loop = fake_site.start("run")
    eventually(lambda: ear.hears("READY=1"), "ready")
    eventually(lambda: ear.hears("STATUS=0 running, 1 declared to run"), "a status")
    begin = len(ear.heard)
    eventually(
        lambda: ear.hears("") or sum("WATCHDOG=1" in one for one in ear.heard[begin:]) >= 4, "the dog is fed"
    )
    loop.send_signal(signal.SIGHUP)
    eventually(lambda: any(one.startswith("RELOADING=1\nMONOTONIC_USEC=") for one in ear.heard)
               or ear.hears("RELOADING=1"), "reloading")  # fmt: skip
    eventually(lambda: ear.hears("") or ear.heard.count("READY=1") >= 1, "ready again")
    end(loop)
    assert ear.hears("STOPPING=1")
    assert fake_site.live()
    server = int(str(fake_site.newest()["alpha"]["pid"]))
    with open(f"/proc/{server}/environ", encoding="utf-8") as file:
        assert "NOTIFY_SOCKET" not in file.read()
