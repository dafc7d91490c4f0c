"""The agent is killed with -9 at each step of a launch; the next pass ends with one server and a true history."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually, living

if TYPE_CHECKING:
    from scratch_site import Site

pytestmark = pytest.mark.binary
DRIVER = (sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "crash_driver.py"))
CARD = "GPU-00000000-1111-2222-3333-444444444444"


def drive(site: Site, *step: str) -> int:
    """One pass of the driver; gives its return code, negative for a signal."""
    child = site.start(*step, argv=DRIVER)
    _, err = child.communicate(timeout=30)
    assert b"Traceback" not in err, err.decode()
    return child.returncode


def live_reservations(site: Site) -> list[dict[str, object]]:
    return site.rows("SELECT instance_id, memory_mib FROM reservations WHERE released_ts IS NULL")


def drive_until_running(site: Site) -> dict[str, object]:
    """Passes until it is healthy; gives its row."""

    def running() -> bool:
        assert drive(site) == 0
        return site.newest()["alpha"]["status"] == "running"

    eventually(running, "running")
    return site.newest()["alpha"]


@pytest.fixture
def alpha(site: Site) -> Site:
    """A site with one profile that wants 100 MiB of a card, and the driver's card."""
    site.profile("alpha", resources={"gpu_memory": "100MiB"})
    site.env["DRIVER_CARD"] = CARD
    return site


def check_one_server(site: Site, row: dict[str, object]) -> None:
    assert site.live() == {"alpha": [row["pid"]]}
    assert living(int(str(row["pid"])))
    assert live_reservations(site) == [{"instance_id": row["id"], "memory_mib": 100}]
    before = site.count("decisions")
    assert drive(site) == 0
    assert site.count("decisions") == before


@pytest.mark.case("peers 5.1")
@pytest.mark.case("sqlite 5.4")
def test_killed_before_the_intent_leaves_no_trace(alpha: Site) -> None:
    assert drive(alpha, "before-intent") == -9
    assert alpha.live() == {}
    assert alpha.count("instances") == 0
    assert alpha.decisions("alpha") == []
    row = drive_until_running(alpha)
    check_one_server(alpha, row)
    assert alpha.count("instances") == 1
    assert alpha.decisions("alpha") == [("start", "declared"), ("ready", "healthy")]


@pytest.mark.case("peers 5.1")
@pytest.mark.case("sqlite 5.4")
def test_killed_after_the_intent_the_row_says_that_nothing_was_launched(alpha: Site) -> None:
    assert drive(alpha, "after-intent") == -9
    assert alpha.live() == {}
    intent = alpha.newest()["alpha"]
    assert (intent["status"], intent["pid"], intent["wrapper_pid"]) == ("loading", None, None)
    assert intent["launch_id"]
    assert live_reservations(alpha) == [{"instance_id": intent["id"], "memory_mib": 100}]
    row = drive_until_running(alpha)
    check_one_server(alpha, row)
    first = alpha.one("SELECT * FROM instances WHERE id = ?", intent["id"])
    assert (first["status"], first["reason"], first["exit_code"]) == ("stopped", "not-launched", None)
    assert first["ended_ts"] is not None
    assert row["id"] != intent["id"]
    assert row["restarts"] == 0
    assert alpha.decisions("alpha") == [
        ("start", "declared"),
        ("end", "not-launched"),
        ("start", "not-launched"),
        ("ready", "healthy"),
    ]


@pytest.mark.case("peers 5.1")
@pytest.mark.case("sqlite 5.4")
def test_killed_after_the_spawn_the_server_is_found_by_its_launch_id(alpha: Site) -> None:
    assert drive(alpha, "after-spawn") == -9
    intent = alpha.newest()["alpha"]
    assert (intent["status"], intent["pid"], intent["wrapper_pid"]) == ("loading", None, None)
    eventually(alpha.live, "the server is there")
    pids = alpha.live()["alpha"]
    row = drive_until_running(alpha)
    assert (row["id"], [row["pid"]]) == (intent["id"], pids)
    assert row["wrapper_pid"] is not None
    check_one_server(alpha, row)
    assert alpha.count("instances") == 1
    assert alpha.decisions("alpha") == [("start", "declared"), ("adopt", "adopted"), ("ready", "healthy")]


@pytest.mark.case("peers 5.1")
@pytest.mark.case("sqlite 5.4")
def test_killed_after_the_pid_is_stored_the_next_pass_goes_on(alpha: Site) -> None:
    assert drive(alpha, "after-pid") == -9
    stored = alpha.newest()["alpha"]
    assert stored["status"] == "loading"
    assert alpha.live() == {"alpha": [stored["pid"]]}
    row = drive_until_running(alpha)
    assert (row["id"], row["pid"]) == (stored["id"], stored["pid"])
    check_one_server(alpha, row)
    assert alpha.count("instances") == 1
    assert alpha.decisions("alpha") == [("start", "declared"), ("ready", "healthy")]


@pytest.mark.parametrize("step", ["before-intent", "after-intent", "after-spawn", "after-pid"])
def test_the_ordinary_command_ends_with_one_server_too(site: Site, step: str) -> None:
    site.profile("alpha")
    assert drive(site, step) == -9
    row = site.settle()["alpha"]
    assert site.live() == {"alpha": [row["pid"]]}
    live = site.rows("SELECT id FROM instances WHERE status NOT IN ('stopped', 'error', 'deleted')")
    assert live == [{"id": row["id"]}]


def test_killed_again_and_again_it_still_ends_with_one_server(site: Site) -> None:
    site.profile("alpha")
    for step in ("before-intent", "after-intent", "after-intent", "after-spawn", "after-pid"):
        drive(site, step)
    row = site.settle()["alpha"]
    assert site.live() == {"alpha": [row["pid"]]}
