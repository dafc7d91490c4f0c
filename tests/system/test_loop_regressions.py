"""Mistakes that the loop made once: each test is one of them."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from scratch_site import eventually, kill

if TYPE_CHECKING:
    from scratch_site import Site


def test_signals_to_the_loop_do_not_put_its_next_beat_off(fake_site: Site) -> None:
    fake_site.settings(interval="3s")
    fake_site.profile("alpha")
    loop = fake_site.start("run")
    eventually(lambda: os.path.exists(fake_site.database) and fake_site.live(), "launched")
    fake_site.settle()
    for _ in range(6):
        loop.send_signal(signal.SIGUSR1)
        time.sleep(0.3)
    row = fake_site.newest()["alpha"]
    kill(int(str(row["pid"])))
    eventually(
        lambda: fake_site.newest()["alpha"]["ended_ts"] or fake_site.newest()["alpha"]["id"] != row["id"],
        "seen",
        7.0,
    )


def test_the_loop_goes_on_when_its_database_is_deleted(fake_site: Site) -> None:
    fake_site.profile("alpha")
    loop = fake_site.start("run")
    eventually(lambda: os.path.exists(fake_site.database) and fake_site.live(), "launched")
    fake_site.settle()
    pids = fake_site.live()
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(fake_site.database + suffix):
            os.unlink(fake_site.database + suffix)

    def again() -> bool:
        try:
            return fake_site.newest()["alpha"]["status"] == "running"
        except Exception:  # noqa: BLE001 - no file or no tables yet
            return False

    eventually(again, "the row is back", 10)
    assert fake_site.live() == pids
    assert loop.poll() is None


def test_the_loop_outlives_a_busy_database_and_a_lost_settings_file(fake_site: Site) -> None:
    fake_site.profile("alpha")
    loop = fake_site.start("run")
    eventually(lambda: os.path.exists(fake_site.database) and fake_site.live(), "launched")
    os.rename(fake_site.root / "llamaagent.yaml", fake_site.root / "away")
    time.sleep(3)
    assert loop.poll() is None
    os.rename(fake_site.root / "away", fake_site.root / "llamaagent.yaml")
    fake_site.profile("beta")
    eventually(lambda: "beta" in fake_site.live(), "reloaded", 10)
    loop.send_signal(signal.SIGTERM)
    _, err = loop.communicate(timeout=20)
    assert loop.returncode == 0
    assert len(err.decode().splitlines()) <= 2, err.decode()


def test_stop_instances_keeps_the_last_good_revision_in_force(fake_site: Site) -> None:
    path = fake_site.profile("alpha")
    fake_site.profile("beta")
    loop = fake_site.start("run", "--stop-instances")
    eventually(lambda: os.path.exists(fake_site.database) and len(fake_site.live()) == 2, "launched")
    fake_site.settle()
    path.write_text("model: [unclosed\n")
    time.sleep(3)
    loop.send_signal(signal.SIGTERM)
    loop.communicate(timeout=30)
    assert fake_site.live() == {}
    eventually(
        lambda: fake_site.run("run", "--once") and sorted(fake_site.live()) == ["alpha", "beta"], "back"
    )
