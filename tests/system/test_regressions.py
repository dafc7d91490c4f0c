"""Mistakes that were made once: each test is one of them, with a whole site and real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from scratch_site import ask, eventually, living

if TYPE_CHECKING:
    from scratch_site import Site


def test_a_folder_to_run_in_that_is_missing_is_an_error_with_a_back_off(fake_site: Site) -> None:
    fake_site.profile("alpha", runtime={"cwd": "/no/such/folder"}, restart={"backoff": "60s"})
    for _ in range(4):
        fake_site.run("run", "--once")
    row = fake_site.newest()["alpha"]
    assert (row["status"], row["reason"]) == ("error", "not-launched")
    assert "/no/such/folder" in str(row["detail"])
    assert fake_site.count("instances") == 1
    assert fake_site.run("start", "alpha", "--timeout", "5s").rc == 1
    (fake_site.root / "now").mkdir()
    fake_site.profile("alpha", runtime={"cwd": str(fake_site.root / "now")})
    fake_site.settle()


def test_a_work_tree_without_a_git_program_does_not_end_the_pass(fake_site: Site) -> None:
    subprocess.run(["git", "init", "-q"], cwd=fake_site.root, check=True)
    beta = fake_site.profile("beta")
    fake_site.profile("alpha")
    folder = fake_site.root / "bin"
    folder.mkdir()
    for name in ("sh", "mv", "rm"):
        os.symlink(shutil.which(name) or "", folder / name)
    fake_site.env["PATH"] = str(folder)
    fake_site.settle()
    beta.unlink()
    fake_site.once()
    assert sorted(fake_site.live()) == ["alpha", "beta"]


def test_a_folder_linked_from_a_work_tree_asks_that_work_tree(fake_site: Site) -> None:
    elsewhere = fake_site.root / "elsewhere"
    shutil.move(fake_site.root / "profiles", elsewhere / "profiles")
    os.symlink(elsewhere / "profiles", fake_site.root / "profiles")
    path = fake_site.profile("alpha")
    fake_site.profile("beta")
    env = fake_site.env | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "both")):
        named = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        subprocess.run(["git", *named, *words], cwd=elsewhere, env=env, check=True, capture_output=True)
    fake_site.settle()
    path.unlink()
    fake_site.once()
    assert "alpha" in fake_site.live()


def test_a_stray_of_a_held_profile_is_adopted(fake_site: Site) -> None:
    fake_site.profile("alpha")
    row = fake_site.settle()["alpha"]
    fake_site.edit("DELETE FROM instances")
    fake_site.edit(
        "INSERT INTO instances (profile, kind, status, reason, since_ts, created_ts)"
        " VALUES ('alpha', 'process', 'created', 'missing-model', 1, 1)"
    )
    assert fake_site.settle()["alpha"]["pid"] == row["pid"]
    assert fake_site.live() == {"alpha": [row["pid"]]}


def test_strays_that_nobody_wants_any_more_are_found_and_stopped(fake_site: Site) -> None:
    fake_site.profile("alpha")
    fake_site.settle()
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(fake_site.database + suffix):
            os.unlink(fake_site.database + suffix)
    fake_site.profile("alpha", state="stopped")
    eventually(lambda: fake_site.once("-q") and not fake_site.live(), "stopped")
    assert fake_site.newest()["alpha"]["status"] == "stopped"


def test_waiting_passes_count_no_probes_of_their_own(fake_site: Site) -> None:
    sick = fake_site.root / "sick"
    fake_site.profile("alpha", runtime={"env": {"FAKE_MODE": f"unhealthy-file:{sick}"}})
    row = fake_site.settle()["alpha"]
    fake_site.profile("beta", runtime={"env": {"FAKE_MODE": "never-healthy"}})
    sick.touch()
    fake_site.once("--wait", "--timeout", "4s")
    now = fake_site.newest()["alpha"]
    assert (now["pid"], now["status"], now["failures"]) == (row["pid"], "running", 1)
    fake_site.run("start", "alpha", "--timeout", "3s")
    now = fake_site.newest()["alpha"]
    assert (now["pid"], now["failures"]) == (row["pid"], 2)


def test_a_wait_leaves_the_lock_to_others_between_its_passes(fake_site: Site) -> None:
    fake_site.profile("alpha")
    fake_site.profile("beta", runtime={"env": {"FAKE_MODE": "never-healthy"}})
    waiting = fake_site.start("run", "--once", "--wait", "--timeout", "8s")
    eventually(lambda: os.path.exists(fake_site.database) and "beta" in fake_site.live(), "launched")
    assert fake_site.run("stop", "alpha", "--timeout", "4s").rc == 0
    assert waiting.poll() is None
    waiting.kill()


def test_a_timeout_that_is_none_is_wrong_usage(fake_site: Site) -> None:
    fake_site.profile("alpha")
    done = fake_site.run("run", "--once", "--wait", "--timeout", "soon")
    assert (done.rc, "Traceback" in done.err) == (2, False), done


def test_a_pass_for_some_profiles_says_nothing_about_the_others(fake_site: Site) -> None:
    fake_site.profile("alpha")
    fake_site.profile("beta")
    fake_site.settle()
    assert fake_site.once("--profiles", "profiles/beta.yaml").err == ""
    assert fake_site.once().err == ""


def test_a_mixture_of_held_and_crashed_ends_the_wait_of_a_verb(fake_site: Site) -> None:
    fake_site.profile("alpha", model="/no/such/model.gguf")
    fake_site.profile("beta", runtime={"env": {"FAKE_MODE": "exit-at-once:3"}}, restart={"backoff": "90s"})
    begun = time.monotonic()
    assert fake_site.run("start", "alpha", "beta", "--timeout", "20s").rc == 1
    assert time.monotonic() - begun < 12


def test_reset_of_a_profile_whose_file_is_broken_is_reached(fake_site: Site) -> None:
    path = fake_site.profile("alpha")
    fake_site.profile("beta")
    fake_site.settle()
    path.write_text("model: [unclosed\n")
    done = fake_site.run("reset", "alpha", "--timeout", "3s")
    assert done.rc == 0, done
    assert "alpha" in fake_site.live()


def test_stop_all_means_what_runs_of_undeclared_profiles_too(fake_site: Site) -> None:
    path = fake_site.profile("alpha")
    fake_site.profile("beta")
    fake_site.settle()
    path.write_text("model: [unclosed\n")
    assert fake_site.run("stop", "--all").rc == 0
    assert fake_site.live() == {}


def test_a_detach_that_is_killed_half_way_stops_nothing(fake_site: Site) -> None:
    fake_site.profile("alpha")
    row = fake_site.settle()["alpha"]
    text = (
        "import os, signal, sys\n"
        "def spy(frame, event, arg):\n"
        "    if frame.f_code.co_name == 'detach' and 'instances' in frame.f_code.co_filename:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "from llamaagent.cli.main import entry\n"
        "sys.setprofile(spy)\n"
        "entry(['detach', 'alpha'])\n"
    )
    child = fake_site.start("-c", text, argv=(sys.executable, "-P"))
    child.communicate(timeout=20)
    assert child.returncode == -9
    fake_site.once()
    assert fake_site.live() == {"alpha": [row["pid"]]}


def test_a_wait_for_a_forward_clock_is_no_start_timeout(fake_site: Site) -> None:
    fake_site.profile(
        "alpha", runtime={"env": {"FAKE_MODE": "never-healthy"}}, health={"start_timeout": "300s"}
    )
    fake_site.once()
    row = fake_site.newest()["alpha"]
    fake_site.edit("UPDATE instances SET launched_ts = launched_ts - 100000")
    fake_site.once()
    assert fake_site.newest()["alpha"]["status"] == "loading"
    assert living(int(str(row["pid"])))


def test_a_change_that_cannot_be_launched_leaves_the_old_one_running(fake_site: Site) -> None:
    fake_site.profile("alpha")
    row = fake_site.settle()["alpha"]
    fake_site.profile("alpha", model="/no/such/model.gguf")
    assert "the old launch runs on" in fake_site.once().err
    assert fake_site.once().err == ""
    assert fake_site.live() == {"alpha": [row["pid"]]}
    assert fake_site.decisions("alpha")[-1] == ("hold", "missing-model")
    fake_site.profile("alpha")
    assert "ended: alpha" in fake_site.once().err
    assert fake_site.newest()["alpha"]["pid"] == row["pid"]


def test_after_the_clock_was_set_back_nothing_is_counted_twice(fake_site: Site) -> None:
    fake_site.profile("alpha", health={"probe": "health"})  # no token but those of the test
    port = fake_site.settle()["alpha"]["port"]
    time.sleep(1.1)  # a row of its own for each pass
    fake_site.once()
    time.sleep(1.1)
    assert ask(port, "/completion", {"prompt": "x", "n_predict": 20})[0] == 200
    fake_site.once()
    counted = "SELECT coalesce(sum(predicted_tokens), 0) AS n FROM instance_samples"
    assert fake_site.one(counted)["n"] == 20
    for table in ("system_samples", "instance_samples"):
        fake_site.edit(f"UPDATE {table} SET ts = ts + 7200")
    fake_site.edit("UPDATE metadata SET value = value + 7200 WHERE key = 'last_sample_ts'")
    for _ in range(3):
        assert ask(port, "/completion", {"prompt": "x", "n_predict": 20})[0] == 200
        fake_site.once()
        time.sleep(1.1)
    assert fake_site.one(counted)["n"] == 80


def test_an_old_backup_that_lost_one_row_and_has_an_older_one_starts_no_second_server(
    fake_site: Site,
) -> None:
    fake_site.profile("alpha")
    fake_site.settle()
    backup = f"{fake_site.root}/backup.db"
    fake_site.edit("VACUUM INTO ?", backup)
    assert fake_site.run("restart", "alpha").rc == 0
    fake_site.profile("beta")
    fake_site.settle()
    pids = fake_site.live()
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(fake_site.database + suffix):
            os.unlink(fake_site.database + suffix)
    shutil.copy(backup, fake_site.database)
    os.chmod(fake_site.database, 0o600)
    fake_site.settle()
    assert fake_site.live() == pids
