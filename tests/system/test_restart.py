"""Servers that fail again and again: how long each try waits, when tries end, and what makes them begin anew.

Waits are not waited for: their ends are moved in the database, as time would have.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually, kill

if TYPE_CHECKING:
    from pathlib import Path

    from scratch_site import Site

DRIVER = (sys.executable, "-P", os.path.join(os.path.dirname(__file__), "crash_driver.py"))


def fake(site: Site, mode: str, **keys: object) -> None:
    """A profile whose server is the fake in this mode."""
    made: dict[str, object] = {"restart": {"backoff": "10s"}, **keys}
    site.profile("alpha", runtime={"env": {"FAKE_MODE": mode}}, **made)


def failures(site: Site) -> list[dict[str, object]]:
    """Every launch that reads error, oldest first."""
    return site.rows("SELECT * FROM instances WHERE status = 'error' ORDER BY id")


def fail_until(site: Site, count: int) -> list[dict[str, object]]:
    """Pass until so many launches have failed; no wait is longer than a look at it."""

    def enough() -> bool:
        site.once("-q")
        if len(failures(site)) >= count:
            return True
        site.edit("UPDATE instances SET retry_ts = 1 WHERE retry_ts > 1")
        return False

    eventually(enough, f"{count} failures", 60)
    return failures(site)


def drive(site: Site, mib: int, held: str = "0:0", step: str = "none") -> int:
    """A pass that sees one card of this size, of which a process (PID:MIB) holds some; gives how it ended."""
    site.env |= {"DRIVER_CARD": "GPU-aaaa", "DRIVER_MIB": str(mib), "DRIVER_HELD": held}
    child = site.start(step, argv=DRIVER)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 0 or step != "none", err
    return child.returncode


def wait_of(site: Site, instance_id: object) -> int:
    """Seconds that the end of this launch led to."""
    found = site.one("SELECT arithmetic FROM decisions WHERE action = 'end' AND instance_id = ?", instance_id)
    return int(json.loads(str(found["arithmetic"]))["wait_s"])


@pytest.mark.case("peers 5.15")
def test_waits_double_from_pass_to_pass_and_are_shown(fake_site: Site) -> None:
    """Peers 5.15: the counter is in the database, so an agent that is restarted each time goes on counting."""
    fake(fake_site, "exit-at-once:3", restart={"backoff": "10s", "give_up_after": "never"})
    rows = fail_until(fake_site, 4)
    waits = [wait_of(fake_site, row["id"]) for row in rows[:4]]
    for wait, plain in zip(waits, (10, 20, 40, 80), strict=True):
        assert 0.9 * plain <= wait <= 1.1 * plain
    assert [row["restarts"] for row in rows[:4]] == [0, 1, 2, 3]
    shown = json.loads(fake_site.run("ps", "--json").out)[0]
    assert shown["state"].startswith("crashed, retry in ")
    assert shown["state"].endswith("s (4th)")
    assert abs(shown["retry_at"] - shown["since"] - waits[3]) <= 1
    assert fake_site.run("status").rc == 1


@pytest.mark.case("peers 5.15")
def test_five_failures_in_two_minutes_end_the_tries_and_start_clears(fake_site: Site) -> None:
    """Peers 5.15: five in two minutes must give up."""
    fake(fake_site, "exit-at-once:3")
    fail_until(fake_site, 5)
    said = fake_site.once().err
    row = fake_site.newest()["alpha"]
    assert row["gave_up_ts"] is not None
    assert row["retry_ts"] is None
    assert fake_site.decisions("alpha")[-1] == ("give_up", "crash")
    for _ in range(3):
        assert fake_site.once().err == ""
    assert fake_site.count("instances") == 5
    assert json.loads(fake_site.run("ps", "--json").out)[0]["state"] == "gave up"
    status = fake_site.run("status")
    assert (status.rc, "alpha  gave up" in status.out) == (1, True)
    assert "gave up" in said or "gave up" in str(
        fake_site.rows("SELECT value FROM metadata WHERE key = 'problems'")
    )
    why = fake_site.run("why", "alpha").out
    assert "5 failures within 900 s" in why
    assert fake_site.run("plan").out == ""
    assert fake_site.run("start", "alpha", "--timeout", "5s").rc == 1  # it was tried, and failed again
    eventually(lambda: fake_site.once("-q") and len(failures(fake_site)) == 6, "the sixth failure")
    row = fake_site.newest()["alpha"]
    assert row["gave_up_ts"] is None  # the word of an operator starts the count anew
    assert row["restarts"] == 0


@pytest.mark.case("peers 5.15")
def test_three_crashes_in_ninety_days_do_not(fake_site: Site) -> None:
    """Peers 5.15: three crashes in 90 days must not be the end."""
    fake(
        fake_site,
        "exit-at-once:3",
        restart={"backoff": "10s", "give_up_after": {"failures": 3, "within": "15m"}},
    )
    for count in (1, 2, 3):
        fail_until(fake_site, count)
        fake_site.edit("UPDATE instances SET ended_ts = ended_ts - 2592000")
    fail_until(fake_site, 4)
    assert "give_up" not in [action for action, _ in fake_site.decisions("alpha")]


def test_a_changed_file_is_worth_a_try_after_giving_up(fake_site: Site) -> None:
    fake(fake_site, "exit-at-once:3", restart={"give_up_after": {"failures": 1, "within": "15m"}})
    fail_until(fake_site, 1)
    fake_site.once()
    assert fake_site.newest()["alpha"]["gave_up_ts"] is not None
    with open(fake_site.model, "ab") as file:
        file.write(b"more")
    fake_site.once()
    assert ("start", "changed-file") in fake_site.decisions("alpha")


def test_a_refused_option_is_not_tried_again_by_itself(fake_site: Site) -> None:
    fake(fake_site, "bad-option")
    fail_until(fake_site, 1)
    for _ in range(3):
        fake_site.once("-q")
    assert fake_site.count("instances") == 1
    shown = json.loads(fake_site.run("ps", "--json").out)[0]
    assert (shown["state"], shown["retry_at"]) == ("failed: an option was refused", None)
    assert fake_site.run("start", "alpha", "--timeout", "5s").rc == 1
    assert fake_site.count("instances") == 2
    fake(fake_site, "none")
    assert fake_site.settle()["alpha"]["restarts"] == 0


def test_a_missing_file_clears_when_it_is_there(fake_site: Site, tmp_path: Path) -> None:
    """A file that only an option names is looked at in each pass, like the model's own."""
    template = tmp_path / "chat.jinja"
    fake(fake_site, "missing-model", args={"chat-template-file": str(template)})
    fail_until(fake_site, 1)
    fake_site.once("-q")
    assert fake_site.count("instances") == 1
    assert fake_site.newest()["alpha"]["reason"] == "missing-model"
    template.write_text("hello")
    fake_site.once("-q")
    assert fake_site.count("instances") == 2
    assert ("start", "changed-file") in fake_site.decisions("alpha")


def test_a_change_starts_the_count_anew(fake_site: Site) -> None:
    fake(fake_site, "exit-at-once:3", restart={"give_up_after": {"failures": 4, "within": "15m"}})
    fail_until(fake_site, 3)
    fake(fake_site, "exit-at-once:4", restart={"give_up_after": {"failures": 4, "within": "15m"}})
    rows = fail_until(fake_site, 6)
    assert [row["restarts"] for row in rows[:6]] == [0, 1, 2, 0, 1, 2]
    assert "give_up" not in [action for action, _ in fake_site.decisions("alpha")]


def test_a_kill_for_want_of_memory_is_told_by_the_kernels_count(fake_site: Site, tmp_path: Path) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text("oom_kill 0\n")
    fake(fake_site, "none")
    row = fake_site.settle()["alpha"]
    assert row["oom_kills"]
    fake_site.edit("UPDATE instances SET oom_kills = ?", f"{counter} 0")
    counter.write_text("oom_kill 1\n")
    kill(int(str(row["pid"])))
    eventually(lambda: os.path.exists(str(row["exit_path"])), "the exit record")
    fake_site.once("-q")
    ended = fake_site.one("SELECT * FROM instances WHERE id = ?", row["id"])
    assert (ended["status"], ended["reason"], ended["exit_signal"]) == ("error", "oom-host", 9)
    assert str(counter) in str(ended["detail"])


def test_a_kill_that_nobody_counted_is_told_honestly(fake_site: Site) -> None:
    fake(fake_site, "none")
    row = fake_site.settle()["alpha"]
    fake_site.edit("UPDATE instances SET oom_kills = NULL")
    kill(int(str(row["pid"])))
    eventually(lambda: os.path.exists(str(row["exit_path"])), "the exit record")
    plan = json.loads(fake_site.run("plan", "--json").out)[0]  # tells what a pass would tell
    assert (plan["action"], plan["reason"]) == ("end", "crash")
    fake_site.once("-q")
    ended = fake_site.one("SELECT * FROM instances WHERE id = ?", row["id"])
    assert ended["detail"] == plan["detail"] == "killed by signal 9 (SIGKILL), perhaps for want of memory"


def test_a_load_that_moves_is_not_cut_off_and_one_that_hangs_is(fake_site: Site) -> None:
    fake(fake_site, "slow-load:6", health={"start_timeout": "2s"})
    row = fake_site.settle(deadline_s=40)["alpha"]
    assert fake_site.count("instances") == 1
    assert int(str(row["ready_ts"])) - int(str(row["launched_ts"])) >= 5
    fake(fake_site, "never-healthy", health={"start_timeout": "2s"}, update={"rollback": False})
    eventually(lambda: fake_site.once("-q") and failures(fake_site), "the hung one is stopped", 40)
    hung = failures(fake_site)[0]
    assert hung["reason"] == "start-timeout"
    told = fake_site.one("SELECT detail FROM decisions WHERE action = 'stop' AND reason = 'start-timeout'")
    assert "no progress for" in str(told["detail"])


@pytest.mark.case("peers 5.14")
def test_memory_of_a_card_that_ran_out_holds_until_more_is_free(fake_site: Site) -> None:
    """Peers 5.14 too: the failed launch keeps no reservation."""
    fake(fake_site, "oom", resources={"gpu_memory": "100MiB"})
    eventually(lambda: drive(fake_site, 8192) or failures(fake_site), "out of memory")
    assert failures(fake_site)[0]["reason"] == "oom-gpu"
    assert fake_site.rows("SELECT * FROM reservations WHERE released_ts IS NULL") == []
    known = fake_site.one("SELECT oom_mib, gpu FROM memory_observations")
    assert known == {"oom_mib": 9216, "gpu": "GPU-aaaa"}
    fake_site.edit("UPDATE instances SET retry_ts = 1")
    for _ in range(3):
        drive(fake_site, 8192)
    row = fake_site.newest()["alpha"]
    assert (row["status"], row["reason"]) == ("created", "gpu-memory")
    assert "with 9216 MiB it ran out of memory" in str(row["detail"])
    assert len(failures(fake_site)) == 1
    held = fake_site.one("SELECT arithmetic FROM decisions WHERE action = 'hold'")
    assert json.loads(str(held["arithmetic"]))["oom_mib"] == 9216
    drive(fake_site, 16384)  # more is free
    eventually(lambda: drive(fake_site, 16384) or len(failures(fake_site)) == 2, "it was tried with more")


@pytest.mark.case("peers 5.23")
def test_a_change_finds_the_memory_that_the_old_launch_gave_back(fake_site: Site) -> None:
    """Peers 5.23: stop, gone, memory back, start, in one pass when the memory is back at once."""
    fake(fake_site, "none", resources={"gpu_memory": "6000MiB"})
    eventually(
        lambda: drive(fake_site, 8192) or fake_site.newest()["alpha"]["status"] == "running", "running"
    )
    row = fake_site.newest()["alpha"]
    held = f"{row['pid']}:6000"
    fake(fake_site, "busy:0", resources={"gpu_memory": "6000MiB"})
    drive(fake_site, 8192, held)
    fresh = fake_site.newest()["alpha"]
    assert fresh["id"] != row["id"]
    assert fresh["status"] in {"loading", "running"}
    assert "hold" not in [action for action, _ in fake_site.decisions("alpha")]


@pytest.mark.case("peers 5.11")
def test_memory_that_is_not_back_yet_is_waited_for(fake_site: Site) -> None:
    """Peers 5.11: it is held, with the arithmetic, never launched on hope; the next pass looks again."""
    fake(fake_site, "none", resources={"gpu_memory": "6000MiB"})
    eventually(
        lambda: drive(fake_site, 8192) or fake_site.newest()["alpha"]["status"] == "running", "running"
    )
    pid = int(str(fake_site.newest()["alpha"]["pid"]))
    kill(pid)
    fake_site.env["DRIVER_CARD"] = "GPU-aaaa"
    me = f"{os.getpid()}:6000"  # the driver still counts it as taken
    eventually(lambda: drive(fake_site, 8192, me) or failures(fake_site), "the end is seen")
    fake_site.edit("UPDATE instances SET retry_ts = 1")
    drive(fake_site, 8192, me)
    row = fake_site.newest()["alpha"]
    assert (row["status"], row["reason"]) == ("created", "gpu-memory")
    drive(fake_site, 8192)
    assert fake_site.newest()["alpha"]["status"] in {"loading", "running"}


def test_killed_between_a_roll_back_and_its_start_the_next_pass_goes_on(fake_site: Site) -> None:
    fake(fake_site, "none")
    good = fake_site.settle()["alpha"]
    fake(fake_site, "bad-option")
    fake_site.once("-q")
    bad = fake_site.newest()["alpha"]
    eventually(lambda: bad["status"] == "error" or os.path.exists(str(bad["exit_path"])), "it has ended")
    if ("rollback", "bad-option") not in fake_site.decisions("alpha"):
        assert drive(fake_site, 8192, step="before-intent") == -9
        assert fake_site.decisions("alpha")[-1] == ("rollback", "bad-option")
        assert fake_site.live() == {}
    assert fake_site.settle()["alpha"]["launch_hash"] == good["launch_hash"]


def test_an_operators_words_leave_their_transitions_in_the_journal(fake_site: Site) -> None:
    fake(fake_site, "none")
    path = fake_site.root / "profiles" / "alpha.yaml"
    fake_site.settle()
    assert fake_site.run("detach", "alpha").rc == 0
    assert fake_site.decisions("alpha")[-1] == ("detach", "detached")
    assert fake_site.run("reset", "alpha", "--no-wait").rc == 0
    path.unlink()
    assert fake_site.run("rm", "alpha").rc == 0
    assert fake_site.newest()["alpha"]["status"] == "deleted"
    assert fake_site.decisions("alpha")[-1] == ("forget", "removed")
    lines = fake_site.rows("SELECT message FROM logs WHERE source = 'alpha'")
    assert len(lines) == len(fake_site.decisions("alpha"))
