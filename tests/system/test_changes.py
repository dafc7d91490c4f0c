"""What a changed, stopped or removed profile does to what runs."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from scratch_site import kill

if TYPE_CHECKING:
    from scratch_site import Site

pytestmark = pytest.mark.binary


def test_a_changed_launch_hash_restarts_and_a_changed_label_does_not(site: Site) -> None:
    site.profile("alpha", labels={"owner": "ann"})
    first = site.settle()["alpha"]
    site.profile("alpha", labels={"owner": "bob"}, priority=3)
    site.once()
    site.once()
    same = site.newest()["alpha"]
    assert (same["id"], same["pid"], same["launch_hash"]) == (first["id"], first["pid"], first["launch_hash"])
    assert len(site.decisions("alpha")) == 2
    revisions = site.rows(
        "SELECT DISTINCT profile_hash, launch_hash FROM profile_revisions WHERE profile = 'alpha'"
    )
    assert (len(revisions), len({row["launch_hash"] for row in revisions})) == (2, 1)
    site.profile("alpha", labels={"owner": "bob"}, args={"threads": 1, "ctx-size": 256})
    second = site.settle()["alpha"]
    assert second["pid"] != first["pid"]
    assert second["context_size"] == 256
    assert second["port"] == first["port"]
    old = site.one("SELECT status, reason, exit_code FROM instances WHERE id = ?", first["id"])
    assert old == {"status": "stopped", "reason": "update", "exit_code": 0}
    assert site.decisions("alpha")[2:] == [
        ("stop", "update"),
        ("end", "update"),
        ("start", "update"),
        ("ready", "healthy"),
    ]
    assert site.live() == {"alpha": [second["pid"]]}


def test_state_stopped_stops_and_state_running_starts(site: Site) -> None:
    site.profile("alpha")
    site.settle()
    site.profile("alpha", state="stopped")
    site.once()
    assert site.live() == {}
    row = site.newest()["alpha"]
    assert (row["status"], row["reason"], row["exit_code"]) == ("stopped", "state", 0)
    assert site.run("status").rc == 0
    site.profile("alpha")
    assert site.settle()["alpha"]["port"] == row["port"]


def test_a_removed_profile_is_retired_and_can_come_back(site: Site) -> None:
    path = site.profile("alpha")
    site.profile("beta")
    before = site.settle()
    text = path.read_text()
    path.unlink()
    site.once()
    assert site.live() == {"beta": [before["beta"]["pid"]]}
    row = site.newest()["alpha"]
    assert (row["status"], row["reason"]) == ("stopped", "retired")
    site.once()
    assert site.decisions("alpha")[-1] == ("end", "retired")
    path.write_text(text)
    assert site.settle()["alpha"]["status"] == "running"


@pytest.mark.case("peers 5.22")
def test_a_broken_file_stops_nothing_and_is_told(site: Site) -> None:
    path = site.profile("alpha")
    site.profile("beta")
    before = site.settle()
    path.write_text("model: [unclosed\n")
    done = site.run("run", "--once")
    assert done.rc == 78
    assert "alpha.yaml:" in done.err
    assert site.live() == {name: [row["pid"]] for name, row in before.items()}
    assert site.run("status").rc == 1
    again = site.run("run", "--once")
    assert (again.rc, again.err) == (78, "")
    # What it declared last stays in force in full: it comes back when it is killed.
    site.stop_all()
    site.edit("UPDATE instances SET boot_id = 'another-boot'")
    for _ in range(20):
        site.run("run", "--once")
    assert sorted(site.live()) == ["alpha", "beta"]


@pytest.mark.case("peers 5.22")
def test_a_vanished_folder_stops_nothing(site: Site) -> None:
    site.profile("alpha")
    site.profile("beta")
    site.settle()
    pids = site.live()
    shutil.move(site.root / "profiles", site.root / "elsewhere")
    site.run("run", "--once")
    assert site.live() == pids
    (site.root / "profiles").mkdir()
    site.run("run", "--once")
    assert site.live() == pids


@pytest.mark.case("peers 5.22")
def test_the_guard_holds_a_mass_retirement_until_it_is_approved(site: Site) -> None:
    names = ["a1", "a2", "a3", "a4"]
    paths = {name: site.profile(name) for name in names}
    site.settle()
    pids = site.live()
    for name in names[:3]:
        paths[name].unlink()
    said = site.once()
    assert "--yes" in said.err
    assert site.live() == pids
    assert site.once().err == ""
    assert ("guard", "guard") in site.decisions("a1")
    site.once("--yes")
    assert list(site.live()) == ["a4"]


def test_what_the_guard_spared_stays_in_force_until_it_is_approved(site: Site) -> None:
    names = ["a1", "a2", "a3"]
    paths = {name: site.profile(name, restart={"backoff": "1s"}) for name in names}
    site.profile("kept", state="stopped")
    site.settle("running", *names)
    for path in paths.values():
        path.unlink()
    site.once()
    kill(site.live()["a3"][0])
    site.once()
    site.settle("running", *names)
    assert sorted(site.live()) == names
    site.once("--yes")
    site.settle("stopped", *names)
    assert {site.newest()[name]["reason"] for name in names} == {"retired"}
    assert site.live() == {}


def test_in_a_work_tree_a_file_must_be_gone_from_the_commit_too(site: Site) -> None:
    def git(*words: str) -> None:
        env = site.env | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        named = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
        subprocess.run(
            ["git", *named, *words], cwd=site.root / "profiles", env=env, check=True, capture_output=True
        )

    path = site.profile("alpha")
    site.profile("beta")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "both")
    row = site.settle()["alpha"]
    assert len(str(row["git_commit"])) == 40
    assert row["git_dirty"] == 0
    path.unlink()
    said = site.once()
    assert "alpha" in said.err
    assert "alpha" in site.live()
    git("commit", "-q", "-a", "-m", "only beta")
    site.once()
    assert list(site.live()) == ["beta"]
    assert site.newest()["alpha"]["reason"] == "retired"


def test_a_profile_for_another_host_is_stopped_here(site: Site) -> None:
    site.profile("alpha")
    site.profile("beta")
    site.settle()
    site.profile("alpha", hosts=["no-such-host"])
    site.once()
    assert list(site.live()) == ["beta"]
    assert site.newest()["alpha"]["reason"] == "host"


def test_names_limit_a_pass_to_those(site: Site) -> None:
    site.profile("alpha")
    site.profile("beta")
    assert site.run("run", "--once", "alpha").rc == 0
    assert list(site.live()) == ["alpha"]
    assert site.run("run", "--once", "--profiles", "profiles/beta.yaml").rc == 0
    assert sorted(site.live()) == ["alpha", "beta"]


def test_another_site_may_not_use_the_database(site: Site) -> None:
    site.profile("alpha")
    site.settle()
    pids = site.live()
    (site.root / "other").mkdir()
    (site.root / "other" / "llamaagent.yaml").write_text("ports: 20000-20001\n")
    done = site.run("run", "--once", "--config", "other/llamaagent.yaml")
    assert done.rc == 78
    assert str(site.root / "llamaagent.yaml") in done.err
    assert str(site.root / "other" / "llamaagent.yaml") in done.err
    assert site.live() == pids
