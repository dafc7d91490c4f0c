"""start, stop, restart, reset, rm, detach: what they do, how long it lasts, what they exit with."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from scratch_site import eventually, kill, living

if TYPE_CHECKING:
    from scratch_site import Site


@pytest.mark.binary
def test_stop_holds_against_the_file_until_start(site: Site) -> None:
    site.profile("alpha")
    first = site.settle()["alpha"]
    assert site.run("stop", "alpha", "--note", "for repairs").rc == 0
    assert site.live() == {}
    row = site.newest()["alpha"]
    assert (row["status"], row["reason"], row["exit_code"]) == ("stopped", "override", 0)
    site.once()
    assert site.live() == {}
    shown = json.loads(site.run("ps", "--json").out)[0]
    assert (shown["status"], shown["wanted"], shown["override"]) == ("stopped", False, "stop")
    assert shown["state"].startswith("stopped by ")
    assert site.run("status").rc == 0
    assert site.run("stop", "alpha").rc == 0
    started = site.run("start", "alpha")
    assert started.rc == 0
    row = site.newest()["alpha"]
    assert (row["status"], row["port"]) == ("running", first["port"])
    assert row["pid"] != first["pid"]
    assert site.run("start", "alpha").rc == 0
    assert site.newest()["alpha"]["pid"] == row["pid"]
    audit = site.rows("SELECT action, resource_id, details FROM audit_log ORDER BY id")
    assert [entry["action"] for entry in audit] == ["stop", "stop", "start", "start"]
    assert "for repairs" in str(audit[0]["details"])


@pytest.mark.binary
def test_reset_goes_back_to_what_the_file_says(site: Site) -> None:
    site.profile("alpha")
    site.profile("beta", state="stopped")
    site.settle("running", "alpha")
    assert site.run("stop", "alpha").rc == 0
    assert site.run("start", "beta").rc == 0
    assert list(site.live()) == ["beta"]
    assert site.run("reset", "*").rc == 0
    assert list(site.live()) == ["alpha"]
    assert site.count("overrides") == 0


@pytest.mark.binary
def test_restart_makes_exactly_one_new_launch(site: Site) -> None:
    site.profile("alpha")
    first = site.settle()["alpha"]
    assert site.run("restart", "alpha").rc == 0
    second = site.newest()["alpha"]
    assert second["pid"] != first["pid"]
    site.once()
    site.once()
    assert site.newest()["alpha"]["id"] == second["id"]
    assert site.decisions("alpha")[2:] == [
        ("stop", "restart"),
        ("end", "restart"),
        ("start", "restart"),
        ("ready", "healthy"),
    ]


@pytest.mark.binary
def test_restart_of_one_that_is_not_running_launches_it_once(site: Site) -> None:
    site.profile("alpha", state="stopped")
    site.once()
    assert site.run("restart", "alpha").rc == 0
    row = site.newest()["alpha"]
    for _ in range(3):
        site.once()
    assert site.live() == {"alpha": [row["pid"]]}
    assert site.count("instances") == 1


@pytest.mark.binary
def test_a_change_of_the_profiles_own_state_ends_an_override(site: Site) -> None:
    site.profile("alpha")
    site.settle()
    assert site.run("stop", "alpha").rc == 0
    site.profile("alpha", state="stopped")
    site.once()
    site.profile("alpha", state="running")
    site.once()
    # Said while the file said "running": the file changed to "stopped" and back since.
    eventually(lambda: site.once("-q") and site.live(), "the file's word counts again")


@pytest.mark.binary
def test_an_override_lasts_for_its_time(site: Site) -> None:
    site.profile("alpha")
    site.settle()
    assert site.run("stop", "alpha", "--for", "2s").rc == 0
    until = int(str(site.one("SELECT until_ts FROM overrides")["until_ts"]))
    assert until - time.time() <= 2
    site.once()
    if time.time() < until - 0.5:
        assert site.live() == {}
    site.settle("running")
    assert time.time() >= until
    assert site.run("stop", "alpha", "--until", "23:59").rc == 0
    until = int(str(site.one("SELECT until_ts FROM overrides")["until_ts"]))
    assert time.time() - 1 <= until <= time.time() + 86400
    assert time.localtime(until)[3:5] == (23, 59)
    site.edit("UPDATE overrides SET until_ts = unixepoch('now') - 1")
    site.settle("running")
    assert site.run("stop", "alpha", "--for", "2s", "--until", "23:59").rc == 2
    assert site.run("stop", "alpha", "--for", "2").rc == 2


@pytest.mark.binary
def test_detach_forgets_a_server_and_leaves_it_running(site: Site) -> None:
    site.profile("alpha")
    row = site.settle()["alpha"]
    assert site.run("detach", "alpha").rc == 0
    for _ in range(2):
        site.once()
    assert living(int(str(row["pid"])))
    assert site.live() == {"alpha": [row["pid"]]}
    assert site.newest()["alpha"]["reason"] == "detached"
    assert site.count("instances") == 1
    assert site.run("status").rc == 0


@pytest.mark.binary
def test_rm_retires_only_what_no_file_declares(site: Site) -> None:
    alpha = site.profile("alpha")
    beta = site.profile("beta")
    site.settle()
    assert site.run("rm", "alpha").rc == 2
    assert sorted(site.live()) == ["alpha", "beta"]
    # A folder without a valid profile stops nothing by itself, but an operator's word does.
    alpha.unlink()
    beta.unlink()
    site.run("run", "--once")
    assert sorted(site.live()) == ["alpha", "beta"]
    assert site.run("rm", "alpha").rc == 0
    assert list(site.live()) == ["beta"]
    assert site.newest()["alpha"]["status"] == "deleted"
    site.run("run", "--once")
    assert list(site.live()) == ["beta"]


def test_a_start_that_is_refused_exits_77_and_one_that_fails_exits_1(fake_site: Site) -> None:
    fake_site.profile("held", model=str(fake_site.root / "absent.gguf"), state="stopped")
    fake_site.profile("ends", runtime={"env": {"FAKE_MODE": "exit-at-once:3"}}, state="stopped")
    refused = fake_site.run("start", "held")
    assert refused.rc == 77
    assert "absent.gguf" in refused.err
    failed = fake_site.run("start", "ends", "--timeout", "5s")
    assert failed.rc == 1
    assert "ends" in failed.err


def test_no_wait_only_records(fake_site: Site) -> None:
    fake_site.profile("alpha")
    fake_site.settle()
    assert fake_site.run("stop", "alpha", "--no-wait").rc == 0
    assert list(fake_site.live()) == ["alpha"]
    fake_site.once()
    assert fake_site.live() == {}


def test_names_that_mean_nothing_are_told_with_the_nearest(fake_site: Site) -> None:
    fake_site.profile("alpha")
    fake_site.settle()
    done = fake_site.run("stop", "alpa")
    assert done.rc != 0
    assert "alpha" in done.err
    assert list(fake_site.live()) == ["alpha"]
    assert fake_site.run("stop").rc == 2


def test_a_start_brings_back_one_whose_policy_is_never(fake_site: Site) -> None:
    flag = fake_site.root / "sick"
    fake_site.profile("alpha", restart="never", runtime={"env": {"FAKE_MODE": f"unhealthy-file:{flag}"}})
    row = fake_site.settle()["alpha"]
    kill(int(str(row["pid"])))
    fake_site.settle("error")
    fake_site.once()
    assert fake_site.live() == {}
    time.sleep(1.1)
    assert fake_site.run("start", "alpha").rc == 0
    assert fake_site.newest()["alpha"]["status"] == "running"


def test_a_held_one_can_be_let_go(fake_site: Site) -> None:
    path = fake_site.profile("alpha", model=str(fake_site.root / "absent.gguf"))
    fake_site.profile("beta")
    fake_site.once()
    assert fake_site.newest()["alpha"]["status"] == "created"
    assert fake_site.run("stop", "alpha").rc == 0
    row = fake_site.newest()["alpha"]
    assert (row["status"], row["reason"], row["launch_id"]) == ("stopped", "override", None)
    assert fake_site.run("reset", "alpha", "--no-wait").rc == 0
    fake_site.once()
    assert fake_site.newest()["alpha"]["status"] == "created"
    path.unlink()
    fake_site.once()
    row = fake_site.newest()["alpha"]
    assert (row["status"], row["reason"]) == ("stopped", "retired")


def test_detach_is_journalled_and_rm_takes_the_row_of_models(site: Site) -> None:
    path = site.profile("alpha")
    site.profile("beta", state="stopped")
    site.settle("running", "alpha")
    pid = site.live()["alpha"][0]
    assert site.run("detach", "alpha").rc == 0
    assert site.decisions("alpha")[-1] == ("detach", "detached")
    assert site.live() == {"alpha": [pid]}
    kill(pid)
    path.unlink()
    assert site.count("models WHERE name = 'alpha'") == 1
    assert site.run("rm", "alpha").rc == 0
    assert site.count("models WHERE name = 'alpha'") == 0
    assert site.count("instances WHERE profile = 'alpha'") == 1  # history stays


def test_start_works_for_what_a_file_with_faults_declared_last(site: Site) -> None:
    path = site.profile("alpha")
    site.settle()
    site.run("stop", "alpha")
    path.write_text("model: [", encoding="utf-8")
    assert site.run("start", "alpha").rc == 0
    assert list(site.live()) == ["alpha"]
