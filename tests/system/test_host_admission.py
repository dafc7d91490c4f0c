"""Claims of memory, cores and disk, and the last place on a card, between real programs."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually

if TYPE_CHECKING:
    from scratch_site import Site

DRIVER = (sys.executable, "-P", os.path.join(os.path.dirname(__file__), "crash_driver.py"))


def held(site: Site, name: str) -> tuple[str, dict[str, object]]:
    """Reason and arithmetic of the newest hold."""
    row = site.rows("SELECT * FROM decisions WHERE profile = ? AND action = 'hold' ORDER BY id DESC", name)[0]
    return str(row["reason"]), json.loads(str(row["arithmetic"]))


@pytest.mark.parametrize("key", ["memory", "cpus"])
def test_two_claims_of_more_than_half_are_not_both_let_in(fake_site: Site, key: str) -> None:
    from llamaagent.collect.memory import parse_meminfo, read_meminfo
    from llamaagent.launch.identity import LINUX

    found = parse_meminfo(read_meminfo(LINUX) or b"")
    half = f"{int((found.available_mib or 0) * 0.6)}MiB"
    claim: object = half if key == "memory" else len(os.sched_getaffinity(0)) * 0.75
    fake_site.settings(headroom={"memory": "0"})
    fake_site.profile("alpha", resources={key: claim})
    fake_site.settle()
    fake_site.profile("beta", resources={key: claim})
    fake_site.once()
    reason, figures = held(fake_site, "beta")
    if key == "memory":
        assert reason == "memory"
        room = (
            int(str(figures["memory_available_mib"]))
            - int(str(figures["memory_claimed_unused_mib"]))
            - int(str(figures["headroom_mib"]))
        )
        assert room == figures["memory_room_mib"]
        assert int(str(figures["memory_claimed_unused_mib"])) > 0
        assert "alpha" in str(figures["memory_claimed_by"])
    else:
        assert reason == "cpu"
        room = int(str(figures["cpu_total_milli"])) - int(str(figures["cpu_claimed_milli"]))
        assert room == figures["cpu_room_milli"]
    done = fake_site.run("start", "beta")
    assert (done.rc, "refused" in done.err) == (77, True)
    assert fake_site.run("status").rc == 1
    fake_site.profile("alpha", resources={key: claim}, state="stopped")
    eventually(
        lambda: fake_site.once() and fake_site.newest()["beta"]["status"] == "running", "beta runs", 40
    )


def test_a_change_counts_what_the_old_one_frees(fake_site: Site) -> None:
    cores = len(os.sched_getaffinity(0))
    fake_site.profile("alpha", resources={"cpus": cores})
    first = fake_site.settle()["alpha"]["id"]
    fake_site.profile("alpha", resources={"cpus": cores}, args={"threads": 2})
    eventually(lambda: fake_site.once() and fake_site.newest()["alpha"]["id"] != first, "it is changed", 40)
    assert fake_site.settle()["alpha"]["status"] == "running"
    assert not fake_site.rows("SELECT id FROM decisions WHERE action = 'hold'")


def test_a_download_does_not_fill_the_disk(fake_site: Site) -> None:
    fake_site.settings(headroom={"disk": "100000GiB"})
    fake_site.profile("alpha", model={"hf": "ggml-org/nothing:Q8_0"})
    fake_site.profile("beta")
    fake_site.settle("running", "beta")
    reason, figures = held(fake_site, "alpha")
    assert reason == "disk"
    assert int(str(figures["disk_free_mib"])) - int(str(figures["headroom_mib"])) == figures["disk_room_mib"]


@pytest.mark.case("peers 5.12")
@pytest.mark.case("peers 5.29")
def test_two_programs_that_ask_for_the_last_place_at_once(fake_site: Site) -> None:
    """Each of them admits for one profile, as `start NAME` does; there is room for one."""
    for name in ("alpha", "beta"):
        fake_site.profile(name, resources={"gpu_memory": "5000MiB"})
    fake_site.env |= {"DRIVER_CARD": "GPU-aaaa", "DRIVER_MIB": "8192"}
    children = []
    for name in ("alpha", "beta"):
        fake_site.env["DRIVER_ONLY"] = name
        children.append(fake_site.start(argv=DRIVER))
    for child in children:
        _, err = child.communicate(timeout=60)
        assert child.returncode == 0, err.decode()
    rows = fake_site.newest()
    statuses = sorted(str(row["status"]) for row in rows.values())
    assert statuses[0] == "created"
    assert statuses[1] in {"loading", "running"}
    assert len(fake_site.rows("SELECT * FROM reservations WHERE released_ts IS NULL")) == 1
    loser = next(name for name, row in rows.items() if row["status"] == "created")
    reason, figures = held(fake_site, loser)
    assert reason == "gpu-memory"
    room = (
        int(str(figures["gpu0_free_mib"]))
        - int(str(figures["gpu0_reserved_unused_mib"]))
        - int(str(figures["headroom_mib"]))
    )
    assert room == figures["gpu0_room_mib"]
    assert int(str(figures["needed_mib"])) > room
    assert "has reserved 5000 MiB" in str(figures["gpu0_holders"])
