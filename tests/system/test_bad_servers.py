"""Servers that end at once, never become healthy or do not end, and what is recorded of each."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from scratch_site import Site


def fake(site: Site, mode: str, **keys: object) -> None:
    """A profile whose server is the fake in this mode."""
    site.profile("alpha", runtime={"env": {"FAKE_MODE": mode}}, **keys)


def ended(site: Site) -> dict[str, object]:
    """Pass until the first launch has ended; gives its row."""
    first = "SELECT * FROM instances WHERE id = (SELECT min(id) FROM instances)"
    eventually(
        lambda: site.once("-q") and site.one(first)["ended_ts"] is not None, "the first launch has ended"
    )
    return site.one(first)


@pytest.mark.case("sqlite 5.13")
@pytest.mark.binary
def test_an_option_that_only_the_server_can_refuse(site: Site) -> None:
    site.profile("alpha", args={"device": "CUDA7"})
    row = ended(site)
    assert (row["status"], row["reason"], row["exit_code"]) == ("error", "bad-option", 1)
    assert "device" in str(row["detail"])
    assert row["retry_ts"] is None  # no try would end otherwise
    assert site.run("status").rc == 1
    assert "failed: an option was refused" in site.run("ps").out
    site.once()
    assert site.count("instances") == 1
    site.profile("alpha")  # mended: no need to wait for anything
    assert site.settle()["alpha"]["id"] != row["id"]
    assert site.run("status").rc == 0


@pytest.mark.binary
def test_a_corrupt_model_is_told_apart_from_a_crash(site: Site, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model at all" * 100)
    site.profile("alpha", model=str(broken))
    row = ended(site)
    assert (row["status"], row["reason"], row["exit_code"]) == ("error", "bad-model", 1)
    with open(site.model, "rb") as whole:
        data = whole.read()
    site.once()
    assert site.count("instances") == 1
    broken.write_bytes(data[: len(data) // 2])  # another file: worth a try
    eventually(
        lambda: site.once("-q") and site.count("instances") > 1 and site.newest()["alpha"]["ended_ts"],
        "again",
    )
    assert site.newest()["alpha"]["reason"] == "bad-model"
    assert site.newest()["alpha"]["restarts"] == 0
    assert ("start", "changed-file") in site.decisions("alpha")


@pytest.mark.binary
def test_a_missing_model_holds_and_clears_by_itself(site: Site, tmp_path: Path) -> None:
    late = tmp_path / "late.gguf"
    site.profile("alpha", model=str(late))
    said = site.once()
    assert "missing-model" in said.err
    assert str(late) in said.err
    assert site.once().err == ""
    row = site.newest()["alpha"]
    assert (row["status"], row["reason"], row["pid"], row["launch_id"]) == (
        "created",
        "missing-model",
        None,
        None,
    )
    assert site.run("status").rc == 1
    shown = site.run("ps").out
    assert "held" in shown
    os.link(site.model, late)
    fresh = site.settle()["alpha"]
    assert fresh["id"] == row["id"]
    assert site.decisions("alpha") == [("hold", "missing-model"), ("start", "declared"), ("ready", "healthy")]
    log = site.rows("SELECT message FROM logs WHERE message LIKE 'hold%'")
    assert len(log) == 1


@pytest.mark.case("sqlite 5.13")
def test_one_that_exits_at_once_is_started_again_after_the_back_off(fake_site: Site) -> None:
    fake(fake_site, "exit-at-once:3", restart={"backoff": "2s"})
    row = ended(fake_site)
    assert (row["status"], row["reason"], row["exit_code"]) == ("error", "crash", 3)
    retry = int(str(row["retry_ts"]))
    assert 0 <= retry - int(str(row["since_ts"])) <= 2
    while time.time() < retry - 0.5:
        fake_site.once("-q")
        if time.time() < retry - 0.5:
            assert fake_site.count("instances") == 1
    eventually(lambda: fake_site.once("-q") and fake_site.count("instances") == 2, "the second launch")
    assert int(str(fake_site.newest()["alpha"]["launched_ts"])) >= retry


@pytest.mark.parametrize(("policy", "code", "again"), [
    ("never", 1, False), ("never", 0, False), ("on-failure", 0, False), ("on-failure", 1, True), ("always", 0, True),
])  # fmt: skip
def test_the_restart_policy_decides_what_follows_an_end(
    fake_site: Site, policy: str, code: int, again: bool
) -> None:
    fake(fake_site, f"exit-at-once:{code}", restart={"policy": policy, "backoff": "0s"})
    if code == 0:  # the fake takes a bare 0 for "no number"
        fake(fake_site, "slow-term:0", restart={"policy": policy, "backoff": "0s"})
        row = fake_site.settle()["alpha"]
        os.kill(int(str(row["pid"])), 15)
        eventually(lambda: os.path.exists(str(row["exit_path"])), "ended")
    row = ended(fake_site)
    assert row["exit_code"] == code
    for _ in range(3):
        fake_site.once("-q")
    assert (fake_site.count("instances") > 1) == again


def test_one_that_never_becomes_healthy_is_stopped_and_tried_again(fake_site: Site) -> None:
    fake(fake_site, "never-healthy", health={"start_timeout": "1s"}, restart={"backoff": "1s"})
    row = ended(fake_site)
    assert (row["status"], row["reason"]) == ("error", "start-timeout")
    assert row["ready_ts"] is None
    assert row["retry_ts"] is not None
    eventually(lambda: fake_site.once("-q") and fake_site.count("instances") >= 2, "tried again")
    decisions = fake_site.decisions("alpha")
    assert decisions[0] == ("start", "declared")
    assert decisions[1] == ("stop", "start-timeout")
    assert ("end", "start-timeout") in decisions
    assert ("start", "start-timeout") in decisions
    assert all(len(pids) == 1 for pids in fake_site.live().values())


def test_one_that_does_not_listen_is_not_healthy(fake_site: Site) -> None:
    fake(fake_site, "no-listen")
    for _ in range(3):
        fake_site.once("-q")
    assert fake_site.newest()["alpha"]["status"] == "loading"


@pytest.mark.case("sqlite 5.13")
def test_one_that_hangs_becomes_unhealthy_and_is_replaced(fake_site: Site, tmp_path: Path) -> None:
    flag = tmp_path / "sick"
    fake(fake_site, f"unhealthy-file:{flag}", health={"failures": 2, "timeout": "1s"})
    row = fake_site.settle()["alpha"]
    flag.touch()
    eventually(
        lambda: fake_site.once("-q") and fake_site.newest()["alpha"]["status"] == "unhealthy", "unhealthy"
    )
    assert fake_site.live() == {"alpha": [row["pid"]]}
    flag.unlink()
    assert fake_site.settle()["alpha"]["pid"] == row["pid"]
    assert ("recovered", "healthy") in fake_site.decisions("alpha")
    flag.touch()
    eventually(lambda: fake_site.once("-q") and ended(fake_site)["reason"] == "health", "given up")
    assert fake_site.one("SELECT status FROM instances WHERE id = ?", row["id"])["status"] == "error"


@pytest.mark.case("peers 5.9")
@pytest.mark.case("sqlite 5.12")
def test_one_that_ignores_sigterm_is_killed_in_the_end(fake_site: Site) -> None:
    fake(fake_site, "ignore-sigterm", stop={"drain": "0s", "grace": "1s"})
    row = fake_site.settle()["alpha"]
    began = time.monotonic()
    done = fake_site.run("stop", "alpha", "--timeout", "30s")
    assert done.rc == 0, done
    assert time.monotonic() - began < 15
    assert fake_site.live() == {}
    row = fake_site.one("SELECT * FROM instances WHERE id = ?", row["id"])
    assert (row["status"], row["reason"], row["exit_signal"]) == ("stopped", "override", 9)
    details = fake_site.rows(
        "SELECT action, detail FROM decisions WHERE action IN ('stop', 'signal', 'end') ORDER BY id"
    )
    assert [(d["action"], d["detail"]) for d in details if d["action"] == "signal"] == [
        ("signal", "SIGTERM again"),
        ("signal", "SIGKILL"),
    ]


@pytest.mark.case("peers 5.10")
def test_a_stop_that_takes_long_goes_on_over_several_passes(fake_site: Site) -> None:
    fake(fake_site, "ignore-sigterm", stop={"drain": "0s", "grace": "3s"})
    fake_site.settle()
    assert fake_site.run("stop", "alpha", "--no-wait").rc == 0
    began = time.monotonic()
    fake_site.once("-q")
    assert time.monotonic() - began < 9
    assert fake_site.newest()["alpha"]["status"] == "stopping"
    eventually(
        lambda: fake_site.once("-q") and fake_site.newest()["alpha"]["status"] == "stopped", "stopped", 30
    )


@pytest.mark.case("peers 5.7")
def test_everything_that_a_server_started_is_stopped_with_it(fake_site: Site) -> None:
    """A child in a session of its own is out of the group's reach, but carries the launch id."""
    fake(fake_site, "fork-grandchild", stop={"drain": "0s", "grace": "1s"})
    fake_site.settle()
    assert fake_site.run("stop", "alpha").rc == 0
    assert fake_site.live() == {}
    fake_site.stop_all()
    from llamaagent.launch.adopt import find_launched

    assert find_launched(fake_site.id) == ()
