"""Fifty passes killed with -9 at random moments."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import apsw
import pytest
from scratch_site import eventually

if TYPE_CHECKING:
    from passer import Passer

ROUNDS = 50


@pytest.mark.case("sqlite 5.3")
def test_fifty_killed_passes_tear_nothing_and_never_make_two_servers(passer: Passer) -> None:
    site = passer.site
    launches = site.root / "launches"
    names = ["alpha", "beta"]
    rng = random.Random(20261125)
    for number in range(ROUNDS):
        for name in names:  # something changes each time, so that there is something to interrupt
            mode = {"FAKE_LAUNCHES": str(launches)}
            site.profile(name, args={"threads": 1 + number % 3}, runtime={"env": mode})
        child = site.start("run", "--once")
        time.sleep(rng.uniform(0.02, 0.35))
        child.kill()
        child.communicate()
        assert all(len(pids) == 1 for pids in site.live().values()), site.live()
        if os.path.exists(site.database):
            db = apsw.Connection(site.database)
            assert db.pragma("quick_check") == "ok"
            db.close()

    def as_declared() -> bool:
        passer()  # the lock of the killed is free
        running = {name: [row["pid"]] for name, row in site.newest().items() if row["status"] == "running"}
        return running == site.live() and set(running) == set(names)

    eventually(as_declared, "both run, once each, and are known", 40)
    stored = site.one("SELECT count(*) AS n FROM instances WHERE launch_id IS NOT NULL")["n"]
    started = len(launches.read_text().splitlines())
    assert started <= int(str(stored)), "a server was started that no row tells of"
