"""Servers that nobody asks are stopped, those outside their schedule do not run; real passes, real processes."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from scratch_site import ask, complete, eventually, living

if TYPE_CHECKING:
    from pathlib import Path

    from scratch_site import Site

pytestmark = pytest.mark.alone

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def days(*offsets: int) -> str:
    """Names of days counted from today, in UTC."""
    return ",".join(DAYS[(datetime.now(UTC).weekday() + offset) % 7] for offset in offsets)


def schedule(*offsets: int) -> dict[str, object]:
    return {"timezone": "UTC", "windows": [f"{days(*offsets)} 00:00-24:00"]}


OPEN, CLOSED = (-1, 0, 1), (3, 4)


def shown(site: Site, name: str = "alpha") -> dict[str, object]:
    return next(row for row in json.loads(site.run("ps", "--json").out) if row["profile"] == name)


def status_of(site: Site) -> object:
    site.once("-q")
    return site.newest()["alpha"]["status"]


def test_a_server_that_nobody_asks_is_stopped_and_stays_stopped(fake_site: Site) -> None:
    fake_site.profile("alpha", idle={"stop_after": "2s"})
    row = fake_site.settle()["alpha"]
    eventually(lambda: status_of(fake_site) == "stopped", "idle")
    assert ("stop", "idle") in fake_site.decisions("alpha")
    assert fake_site.newest()["alpha"]["reason"] == "idle"
    fake_site.once()
    fake_site.once()
    assert fake_site.newest()["alpha"]["id"] == row["id"]
    found = shown(fake_site)
    assert (found["state"], found["wanted"], found["reason"], found["retry_at"]) == (
        "idle",
        False,
        "idle",
        None,
    )
    assert fake_site.run("status").rc == 0
    assert fake_site.run("plan", "--exit-code").rc == 0
    assert fake_site.run("start", "alpha").rc == 0
    time.sleep(2.2)
    assert status_of(fake_site) == "running", "an operator's start outranks idleness"
    assert fake_site.run("reset", "alpha").rc == 0
    eventually(lambda: status_of(fake_site) == "stopped", "idle again")
    fake_site.profile("alpha", idle={"stop_after": "2s"}, args={"threads": 2})
    assert fake_site.settle()["alpha"]["id"] != row["id"], "a changed launch brings it back"


@pytest.mark.case("peers 5.18")
def test_a_request_in_progress_and_requests_of_late_are_use(fake_site: Site, tmp_path: Path) -> None:
    """Peers 5.18: a long answer without a new request is no idleness."""
    gauge = tmp_path / "busy"
    gauge.write_text("1")
    fake_site.profile(
        "alpha", idle={"stop_after": "1s"}, runtime={"env": {"FAKE_MODE": f"busy-file:{gauge}"}}
    )
    row = fake_site.settle()["alpha"]
    until = time.monotonic() + 3
    while time.monotonic() < until:
        assert status_of(fake_site) == "running"
    gauge.write_text("0")
    until = time.monotonic() + 3
    while time.monotonic() < until:
        assert ask(row["port"], "/completion", {"prompt": "a"})[0] == 200
        assert status_of(fake_site) == "running"
    eventually(lambda: status_of(fake_site) == "stopped", "idle")


def test_a_request_that_comes_between_the_decision_and_the_signal_is_answered(
    fake_site: Site, tmp_path: Path
) -> None:
    """The look that leads to the stop sees nothing in progress, the next one, before the signal, does."""
    gauge, hits = tmp_path / "busy", tmp_path / "hits"
    fake_site.profile(
        "alpha",
        idle={"stop_after": "2s"},
        stop={"drain": "60s", "grace": "2s"},
        runtime={"env": {"FAKE_MODE": f"busy-file:{gauge}", "FAKE_HITS": str(hits)}},
    )
    row = fake_site.settle()["alpha"]
    fake_site.once()
    gauge.write_text(f"from:{hits.read_text().count('/metrics') + 2}")
    time.sleep(3.2)
    fake_site.once()
    found = fake_site.newest()["alpha"]
    assert (found["status"], found["stop_reason"], found["signals_sent"]) == ("stopping", "idle", 0)
    assert living(int(str(row["pid"])))
    gauge.write_text("0")
    eventually(lambda: status_of(fake_site) == "stopped", "answered, and then stopped")
    assert not living(int(str(row["pid"])))


def test_requests_that_count_no_tokens_are_use_as_well(fake_site: Site) -> None:
    """An embedding server counts none: its log tells of them."""
    fake_site.profile("alpha", idle={"stop_after": "1s"})
    row = fake_site.settle()["alpha"]
    fake_site.once()
    until, task = time.monotonic() + 3, 0
    while time.monotonic() < until:
        with open(str(row["log_path"]), "a", encoding="utf-8") as log:
            for _ in range(2):  # the fake does not log the agent's own probe, for which one may be taken
                log.write(
                    f"0.09.000.000 I slot launch_slot_: id  0 | task {task} | processing task, is_child = 0\n"
                    f"0.09.000.100 I slot      release: id  0 | task {task} | "
                    "stop processing: n_tokens = 9, truncated = 0\n"
                )
                task += 1
        assert status_of(fake_site) == "running"
    eventually(lambda: status_of(fake_site) == "stopped", "idle")


@pytest.mark.case("peers 5.21")
def test_idleness_is_never_asked_for_in_a_way_that_wakes(fake_site: Site, tmp_path: Path) -> None:
    """Peers 5.21: neither /slots nor a completion, however often a pass looks."""
    hits = tmp_path / "hits"
    env = {"FAKE_HITS": str(hits)}
    fake_site.profile("alpha", idle={"stop_after": "2s"}, health={"probe": "health"}, runtime={"env": env})
    fake_site.settle()
    eventually(lambda: status_of(fake_site) == "stopped", "idle")
    asked = {line.split()[1] for line in hits.read_text().splitlines()}
    assert asked <= {"/health", "/metrics", "/props"}


@pytest.mark.case("peers 5.16")
def test_the_clock_set_forward_stops_nothing(fake_site: Site) -> None:
    """Peers 5.16: the clock since boot must agree."""
    fake_site.profile("alpha", idle={"stop_after": "1h"})
    fake_site.settle()
    fake_site.once()
    fake_site.edit("UPDATE instances SET active_ts = active_ts - 7200")
    assert status_of(fake_site) == "running"
    fake_site.edit(
        "UPDATE instances SET active_ts = active_ts + 7200, active_boottime_s = active_boottime_s - 7200"
    )
    assert status_of(fake_site) == "running"
    fake_site.edit("UPDATE instances SET active_ts = active_ts - 7200")
    eventually(lambda: status_of(fake_site) == "stopped", "both agree")


@pytest.mark.case("peers 5.17")
def test_one_that_was_never_used_counts_from_when_it_was_healthy(fake_site: Site) -> None:
    """Peers 5.17."""
    fake_site.profile("alpha", idle={"stop_after": "1h"})
    fake_site.settle()
    fake_site.once()
    row = fake_site.newest()["alpha"]
    assert row["active_ts"] == row["ready_ts"]
    assert row["tokens_seen"] == 0
    assert row["active_boottime_s"] is not None


def test_a_schedule_starts_and_stops(fake_site: Site) -> None:
    fake_site.profile("alpha", schedule=schedule(*CLOSED))
    fake_site.once()
    assert fake_site.newest() == {}
    found = shown(fake_site)
    assert (found["state"], found["wanted"]) == ("outside schedule", False)
    midnight = int(time.time()) // 86400 * 86400
    assert found["retry_at"] == midnight + 3 * 86400
    assert fake_site.run("status").rc == 0
    assert "outside schedule  starts 20" in fake_site.run("status").out
    planned = fake_site.run("plan", "--exit-code")
    assert planned.rc == 0
    assert "alpha: outside schedule, starts 20" in planned.err
    fake_site.profile("alpha", schedule=schedule(*OPEN))
    row = fake_site.settle()["alpha"]
    assert ("start", "schedule") in fake_site.decisions("alpha")
    assert fake_site.run("plan", "--exit-code").rc == 0
    fake_site.profile("alpha", schedule=schedule(*CLOSED))
    fake_site.settle("stopped")
    over = fake_site.newest()["alpha"]
    assert (over["id"], over["reason"]) == (row["id"], "schedule")
    fake_site.once()
    assert fake_site.newest()["alpha"]["id"] == row["id"]


def test_operators_outrank_the_schedule_and_reset_gives_back_to_it(fake_site: Site) -> None:
    fake_site.profile("alpha", schedule=schedule(*CLOSED))
    fake_site.once()
    assert fake_site.run("start", "alpha").rc == 0
    assert status_of(fake_site) == "running"
    done = fake_site.run("reset", "alpha")
    assert done.rc == 0, done
    assert fake_site.newest()["alpha"]["reason"] == "schedule"
    fake_site.profile("alpha", schedule=schedule(*OPEN))
    fake_site.settle()
    assert fake_site.run("stop", "alpha").rc == 0
    assert status_of(fake_site) == "stopped"


def test_a_schedule_that_is_wrong_is_a_fault_with_its_place(fake_site: Site) -> None:
    path = fake_site.profile("alpha")
    text = path.read_text() + "schedule:\n  timezone: Europe/Berlim\n  windows:\n    - Mon-Fri 08:00\n"
    path.write_text(text)
    done = fake_site.run("check")
    assert done.rc == 78
    line = text.splitlines().index("  timezone: Europe/Berlim") + 1
    assert f"alpha.yaml:{line}:13: error:" in done.out + done.err
    assert "Europe/Berlin" in done.out + done.err
    assert f"alpha.yaml:{line + 2}:7: error:" in done.out + done.err


@pytest.mark.binary
def test_a_real_server_that_sleeps_is_not_woken_and_is_stopped_in_time(site: Site) -> None:
    site.profile("alpha", idle={"sleep_after": "1s", "stop_after": "4s"})
    row = site.settle()["alpha"]
    complete(row["port"], "once", 5)
    asleep = []

    def over() -> bool:
        done = status_of(site) == "stopped"
        if not done:
            asleep.append(json.loads(ask(row["port"], "/props")[1])["is_sleeping"])
        return done

    eventually(over, "idle")
    assert asleep[-1] is True
    assert asleep.index(True) + asleep[asleep.index(True) :].count(True) == len(asleep), "it slept on"
    assert site.newest()["alpha"]["reason"] == "idle"
    assert site.count("generations") == 1
