"""Room in the machine's memory and cores: who makes way, who waits, what a verb may do. Real programs, no card."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually, kill, living

if TYPE_CHECKING:
    from scratch_site import Outcome, Site

CORES = len(os.sched_getaffinity(0))
AT_ONCE = {"min_residency": "0s"}


def part(share: float) -> dict[str, object]:
    """So much of all cores."""
    return {"cpus": round(CORES * share, 3)}


def memory(share: float) -> dict[str, object]:
    """So much of the memory that is available now."""
    from llamaagent.collect.memory import parse_meminfo, read_meminfo
    from llamaagent.launch.identity import LINUX

    found = parse_meminfo(read_meminfo(LINUX) or b"")
    return {"memory": f"{int((found.available_mib or 0) * share)}MiB"}


def runs(site: Site, name: str, claims: dict[str, object], **keys: object) -> int:
    """Declare it and have it run; its pid."""
    site.profile(name, resources=claims, evict=AT_ONCE | dict(keys.pop("evict", {})), **keys)  # type: ignore[call-overload]
    become(site, name, "running")
    return pid_of(site, name)


def become(site: Site, name: str, status: str) -> None:
    eventually(
        lambda: site.once() and site.newest()[name]["status"] == status, f"{name} {status}: {site.logs()}", 40
    )


def pid_of(site: Site, name: str) -> int:
    return int(str(site.newest()[name]["pid"]))


def last(site: Site, name: str, *actions: str) -> tuple[str, str, dict[str, object]]:
    """Reason, detail and figures of the newest of these decisions."""
    marks = ", ".join("?" for _ in actions)
    found = site.rows(
        f"SELECT * FROM decisions WHERE profile = ? AND action IN ({marks}) ORDER BY id DESC", name, *actions
    )[0]
    return str(found["reason"]), str(found["detail"]), json.loads(str(found["arithmetic"] or "{}"))


def refused(done: Outcome, *words: str) -> None:
    assert done.rc == 77, done
    for word in words:
        assert word in done.err, done


@pytest.mark.parametrize(("key", "unit"), [("memory", "mib"), ("cpu", "milli")])
def test_the_more_important_one_gets_the_room_and_the_other_comes_back(
    fake_site: Site, key: str, unit: str
) -> None:
    fake_site.settings(headroom={"memory": "0"})
    claims = memory(0.6) if key == "memory" else part(0.75)
    bystander = runs(fake_site, "bystander", {})
    low = runs(fake_site, "low", claims)
    fake_site.profile("high", resources=claims, priority=10)
    plan = json.loads(fake_site.run("plan", "--json").out)
    assert [(row["action"], row["profile"], row["for"]) for row in plan][:2] == [
        ("evict", "low", "high"),
        ("wait", "high", None),
    ]
    frees = (
        r"evict +low +evicted +frees memory \d+ MiB"
        if key == "memory"
        else r"evict +low +evicted +frees [\d.]+ cores"
    )
    assert re.search(frees, fake_site.run("plan").out)
    become(fake_site, "high", "running")
    assert not living(low)
    assert living(bystander)  # it holds next to nothing of what lacks
    become(fake_site, "low", "created")
    assert fake_site.newest()["low"]["reason"] == "evicted"
    assert "held: evicted for high" in fake_site.run("status").out
    reason, detail, figures = last(fake_site, "low", "evict")
    assert (reason, detail) == ("evicted", "evicted for high; priority 10 over 0")
    room, freed, then = (figures[f"{key}_{what}_{unit}"] for what in ("room", "freed_by_low", "room_then"))
    assert int(str(room)) + int(str(freed)) == then
    assert int(str(room)) < int(str(figures[f"{key}_needed_{unit}"])) <= int(str(then))
    assert last(fake_site, "high", "wait")[0] == key
    count = len(fake_site.rows("SELECT id FROM decisions WHERE action = 'evict'"))
    for _ in range(2):
        fake_site.once()
    assert len(fake_site.rows("SELECT id FROM decisions WHERE action = 'evict'")) == count == 1
    fake_site.profile("high", resources=claims, priority=10, state="stopped")
    become(fake_site, "low", "running")


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"evict": {"pinned": True}}, "is pinned"),
        ({"priority": 10}, "has the same priority"),
        ({"runtime": {"env": {"FAKE_MODE": "busy:1"}}}, "is busy"),
        ({"evict": {"min_residency": "1h"}}, "is younger than 3600 s"),
    ],
)
def test_who_is_spared_runs_on_and_the_refusal_says_why(
    fake_site: Site, keys: dict[str, object], why: str
) -> None:
    kept = runs(fake_site, "kept", part(0.75), **keys)
    fake_site.profile("other", resources=part(0.75), priority=10)
    for _ in range(2):
        fake_site.once()
    assert living(kept)
    reason, _, figures = last(fake_site, "other", "hold")
    assert reason == "cpu"
    left = CORES - round(CORES * 0.75, 3)
    assert figures["would_fit"] == f"with {left:g} cores or less; or without kept ({why})"


def test_start_evicts_as_a_pass_for_all_would_and_a_pass_for_some_does_not(fake_site: Site) -> None:
    low, other = runs(fake_site, "low", part(0.5)), runs(fake_site, "other", part(0.25), priority=5)
    fake_site.profile("high", resources=part(0.6), priority=10, state="stopped")
    fake_site.once()
    assert fake_site.run("start", "high", "--no-wait").rc == 0
    assert fake_site.run("run", "--once", "high").rc == 0
    assert living(low)
    assert "the next pass for all evicts low for it" in last(fake_site, "high", "hold")[1]
    done = fake_site.run("start", "high")
    assert (done.rc, "high: running" in done.err) == (0, True), done
    assert not living(low)
    assert living(other)
    row = fake_site.newest()["low"]
    assert (row["status"], row["reason"]) == ("stopped", "evicted")  # its own passes come later
    fake_site.once()
    assert (fake_site.newest()["low"]["status"], fake_site.newest()["low"]["reason"]) == (
        "created",
        "evicted",
    )


def test_start_waits_for_one_that_takes_its_time_and_says_so_when_that_is_too_long(fake_site: Site) -> None:
    slow = {"stop": {"drain": "0s", "grace": "1m"}, "runtime": {"env": {"FAKE_MODE": "ignore-sigterm"}}}
    low = runs(fake_site, "low", part(0.75), **slow)
    fake_site.profile("high", resources=part(0.75), priority=10, state="stopped")
    fake_site.once()
    refused(fake_site.run("start", "high", "--timeout", "1s"), "high: refused, cpu", "low")
    assert fake_site.newest()["low"]["status"] == "stopping"
    child = fake_site.start("start", "high", "--timeout", "40s")
    kill(low)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 0, err


def test_start_sees_to_the_end_of_what_is_being_stopped_and_evicts_nobody_for_it(fake_site: Site) -> None:
    going = runs(fake_site, "going", part(0.5), stop={"drain": "0s", "grace": "2s"}, priority=5)
    low = runs(fake_site, "low", part(0.25))
    fake_site.profile("high", resources=part(0.6), priority=10, state="stopped")
    fake_site.profile("going", resources=part(0.5), stop={"drain": "0s", "grace": "2s"}, state="stopped")
    stopped = "UPDATE instances SET status = 'stopping', stop_reason = 'state' WHERE profile = 'going'"
    fake_site.edit(
        f"{stopped} AND status = 'running'"
    )  # as a pass leaves it that was killed before the signal
    done = fake_site.run("start", "high")
    assert done.rc == 0, done
    assert not living(going)
    assert living(low)


def test_killed_while_it_evicts_the_next_pass_goes_on(fake_site: Site) -> None:
    slow = {"stop": {"drain": "0s", "grace": "1m"}, "runtime": {"env": {"FAKE_MODE": "ignore-sigterm"}}}
    low = runs(fake_site, "low", part(0.75), **slow)
    fake_site.profile("high", resources=part(0.75), priority=10, state="stopped")
    fake_site.once()
    child = fake_site.start("start", "high", "--timeout", "50s")
    eventually(lambda: fake_site.newest()["low"]["status"] == "stopping", "low is stopped")
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=20)
    kill(low)
    become(fake_site, "high", "running")
    assert fake_site.newest()["low"]["reason"] == "evicted"
    assert len(fake_site.rows("SELECT id FROM decisions WHERE action = 'evict'")) == 1


def test_a_restart_that_cannot_be_launched_stops_nothing(fake_site: Site) -> None:
    model = fake_site.root / "gone.gguf"
    model.write_bytes(b"GGUF" + bytes(60))
    fake_site.profile("alpha", model=str(model))
    become(fake_site, "alpha", "running")
    pid = pid_of(fake_site, "alpha")
    model.unlink()
    refused(fake_site.run("restart", "alpha"), "alpha: refused, missing-model", "what ran runs on")
    assert (living(pid), fake_site.newest()["alpha"]["status"]) == (True, "running")
    model.write_bytes(b"GGUF" + bytes(60))
    for _ in range(2):
        fake_site.once()  # the answer was no: it does not happen later
    assert pid_of(fake_site, "alpha") == pid
    assert fake_site.run("restart", "alpha").rc == 0
    assert pid_of(fake_site, "alpha") != pid


def test_a_restart_that_needs_more_asks_for_it_and_may_evict_for_it(fake_site: Site) -> None:
    alpha = runs(fake_site, "alpha", part(0.5), update={"restart": "manual"})
    beta = runs(fake_site, "beta", part(0.5))
    fake_site.profile("alpha", resources=part(0.75), update={"restart": "manual"}, args={"threads": 2})
    refused(fake_site.run("restart", "alpha"), "alpha: refused, cpu", "what ran runs on")
    assert living(alpha)
    assert living(beta)
    reason, _, figures = last(fake_site, "alpha", "hold")
    assert reason == "cpu"
    assert "without beta (has the same priority)" in str(figures["would_fit"])
    fake_site.profile(
        "alpha", resources=part(0.75), update={"restart": "manual"}, args={"threads": 2}, priority=1
    )
    done = fake_site.run("restart", "alpha")
    assert done.rc == 0, done
    assert not living(alpha)
    assert not living(beta)
    assert last(fake_site, "beta", "evict")[1] == "evicted for alpha; priority 1 over 0"
    actions = [
        str(row["action"])
        for row in fake_site.rows("SELECT action FROM decisions WHERE profile = 'alpha' ORDER BY id")
    ]
    assert actions.index("wait") < actions.index("stop")  # it ran on until there was room


@pytest.mark.parametrize(
    ("priority", "ends", "goes"),
    [(0, True, False), (1, True, True), (0, False, True)],
    ids=["behind-its-equal", "before-a-lower-one", "nobody-is-delayed"],
)
def test_a_change_that_grows_does_not_overtake_those_that_wait(
    fake_site: Site, priority: int, ends: bool, goes: bool
) -> None:
    alpha = runs(fake_site, "alpha", part(0.25), priority=priority)
    runs(fake_site, "beta", part(0.5), priority=2, idle={"stop_after": "1h" if ends else "never"})
    fake_site.profile("gamma", resources=part(0.6))
    fake_site.once()
    assert fake_site.newest()["gamma"]["reason"] == "cpu"
    fake_site.profile("alpha", resources=part(0.5), args={"threads": 2}, priority=priority)
    if goes:
        eventually(
            lambda: fake_site.once() and pid_of(fake_site, "alpha") != alpha, "alpha is launched anew", 40
        )
        return
    for _ in range(2):
        fake_site.once()
    assert living(alpha)
    reason, detail, figures = last(fake_site, "alpha", "hold")
    assert (reason, figures["behind"]) == ("queued", "gamma")
    assert "gamma is in front of it" in detail
    fake_site.profile("alpha", resources=part(0.25), args={"threads": 3}, priority=priority)
    eventually(lambda: fake_site.once() and not living(alpha), "a change that does not grow goes on", 40)


def test_a_growing_change_keeps_the_room_that_it_was_given_while_its_old_launch_ends(fake_site: Site) -> None:
    slow = {"stop": {"drain": "0s", "grace": "1m"}, "runtime": {"env": {"FAKE_MODE": "ignore-sigterm"}}}
    alpha = runs(fake_site, "alpha", part(0.25), **slow)
    fake_site.profile("alpha", resources=part(0.75), args={"threads": 2}, **slow)
    fake_site.once()
    assert fake_site.newest()["alpha"]["status"] == "stopping"
    fake_site.profile("late", resources=part(0.5))
    fake_site.once()
    assert (fake_site.newest()["late"]["status"], fake_site.newest()["late"]["reason"]) == (
        "created",
        "queued",
    )
    fake_site.edit("UPDATE instances SET since_ts = since_ts - 100 WHERE profile = 'late'")
    waits_since = fake_site.newest()["late"]["since_ts"]
    kill(alpha)
    become(fake_site, "alpha", "running")
    fake_site.once()
    late = fake_site.newest()["late"]
    assert (late["reason"], late["since_ts"]) == (
        "cpu",
        waits_since,
    )  # another word, the same place in the line


def test_a_restart_that_waits_for_room_too_long_says_so_and_goes_on_with_the_next_pass(
    fake_site: Site,
) -> None:
    slow = {"stop": {"drain": "0s", "grace": "1m"}, "runtime": {"env": {"FAKE_MODE": "ignore-sigterm"}}}
    manual = {"update": {"restart": "manual"}, "priority": 1}
    alpha = runs(fake_site, "alpha", part(0.5), **manual)
    low = runs(fake_site, "low", part(0.5), **slow)
    fake_site.profile("alpha", resources=part(0.75), args={"threads": 2}, **manual)
    refused(fake_site.run("restart", "alpha", "--timeout", "1s"), "alpha: refused, cpu", "runs on until then")
    assert living(alpha)
    kill(low)
    eventually(lambda: fake_site.once() and pid_of(fake_site, "alpha") != alpha, "it is launched anew", 40)
    become(fake_site, "alpha", "running")
