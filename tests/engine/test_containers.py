"""Containers of a real engine under the agent: launched, watched, ended, known again.

What is claimed of a limit or a label is read back from the engine, not from our tables.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from llamaagent.engine import container as label
from system.scratch_site import eventually, kill, living

if TYPE_CHECKING:
    from engine.boxed import Boxed


@pytest.fixture
def boxed(either: Boxed) -> Boxed:
    """Each of these on both engines."""
    return either


def test_a_container_runs_is_sampled_and_goes_when_it_is_stopped(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box(resources={"memory": "64MiB", "cpus": 0.5, "gpus": "none"}, labels={"owner": "ann"})
    site.settle()
    row, found = site.newest()["box"], boxed.one()
    assert (row["kind"], row["container_id"], row["container_name"]) == ("container", found.id, found.name)
    assert (row["pid"], row["image"]) == (found.pid, "llamaagent-test:bb")
    assert found.labels[label.LAUNCH_HASH] == row["launch_hash"]
    assert (found.labels["owner"], found.labels[label.PROJECT]) == ("ann", "default")
    raw = boxed.docker.engine().api.inspect_container(found.id)["HostConfig"]
    assert (raw["Memory"], raw["NanoCpus"]) == (64 << 20, 500_000_000)
    assert (raw["RestartPolicy"]["Name"], raw["SecurityOpt"]) == ("no", ["no-new-privileges"])
    site.once()
    shown = json.loads(site.run("ps", "--json").out)[0]
    assert (shown["state"], shown["container_id"]) == ("running", found.id)
    sample = site.sampled()
    assert int(str(sample["rss_kib"])) > 0
    assert "hello" in site.run("logs", "box").out
    assert site.run("stop", "box").rc == 0
    assert boxed.ours() == {}
    row = site.newest()["box"]
    assert (row["status"], row["exit_code"]) == ("stopped", 0)
    assert site.run("logs", "box").out.splitlines()[-2:] == ["hello", "bye"]


def test_the_view_of_the_seed_has_every_column(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box(resources={"memory": "64MiB", "cpus": 0.5, "gpus": "none"}, project="research")
    site.settle()
    eventually(lambda: site.once() and site.newest()["box"]["sample_n"], "a sample with a share of a core")
    row = site.one("SELECT * FROM container_instances")
    assert (row["project_path"], row["status"], row["image_name"]) == (
        "research",
        "running",
        "llamaagent-test:bb",
    )
    assert (row["cpu_limit"], row["memory_limit_gb"]) == (0.5, 0.0625)
    assert (row["gpu_devices"], row["port_mappings"], row["stopped_at"]) == ("[]", "{}", None)
    assert row["started_at"] is not None
    assert float(str(row["memory_usage_avg_gb"])) > 0


def test_a_crash_is_told_and_tried_again_in_a_new_container(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box(script="echo it broke; exit 3")
    site.once()
    eventually(lambda: not living(int(str(site.newest()["box"]["pid"] or 0)) or None), "ended")
    site.once()
    row = site.rows("SELECT * FROM instances ORDER BY id")[0]
    assert (row["status"], row["reason"], row["exit_code"]) == ("error", "crash", 3)
    assert row["container_id"] not in [one.id for one in boxed.ours().get("box", [])]
    eventually(lambda: site.once() and len(site.rows("SELECT id FROM instances")) > 1, "another try")
    names = {row["container_name"] for row in site.rows("SELECT container_name FROM instances")}
    assert len(names) > 1


@pytest.mark.case("peers 5.25")
def test_one_that_runs_and_is_not_well_is_made_anew_beside_a_name_that_is_taken(boxed: Boxed) -> None:
    """As after a daemon-reload that takes the card from a running container: it must be recreated, not restarted."""
    site, engine = boxed.site, boxed.docker.engine()
    boxed.box(
        script="touch /tmp/card; while :; do sleep 0.1; done",
        health={"probe": "command", "command": "test -e /tmp/card", "failures": 1},
        stop={"drain": "0s", "grace": "1s"},
    )
    site.settle()
    first = boxed.one()
    for name in ("box", "llamaagent-box"):  # the names that one would think of are somebody's
        engine.create(name, {"image": "llamaagent-test:bb", "command": ["true"]}, {"network_mode": "none"})
    try:
        assert site.run("exec", "box", "--", "sh", "-c", "rm /tmp/card").rc == 0
        eventually(
            lambda: site.once() and first.id not in [c.id for c in boxed.ours().get("box", [first])],
            "made anew",
            60,
        )
        site.settle()
        assert boxed.one().name != first.name
        assert engine.api.inspect_container(boxed.one().id)["RestartCount"] == 0
        assert [one.id for one in boxed.ours()["box"]] == [boxed.one().id]
    finally:
        for name in ("box", "llamaagent-box"):
            engine.remove(name, force=True)


def test_a_stop_from_outside_is_named_with_its_time(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box()
    site.settle()
    found = boxed.one()
    boxed.docker.engine().api.stop(found.id, timeout=5)
    site.once()
    row = site.rows("SELECT * FROM instances ORDER BY id")[0]
    if boxed.kind == "docker":
        assert (row["status"], row["reason"]) == ("error", "outside"), row
        assert "it was stopped through its engine at 20" in str(row["detail"])
    else:  # Podman writes down no stop, and its program ended as it should
        assert (row["status"], row["reason"], row["exit_code"]) == ("error", "exited", 0), row
    site.settle()
    assert boxed.one().id != found.id


@pytest.mark.parametrize("sent", ["SIGKILL", "SIGTERM"])
def test_a_signal_from_outside_is_named(boxed: Boxed, sent: str) -> None:
    site = boxed.site
    boxed.box()
    site.settle()
    boxed.docker.engine().kill(boxed.one().id, sent)
    eventually(lambda: not boxed.one().alive, "ended")
    site.once()
    row = site.rows("SELECT * FROM instances ORDER BY id")[0]
    assert row["reason"] == "outside", row
    told = f"signal {signal.Signals[sent].value}" if boxed.kind == "docker" else "a signal"
    assert f"{told} was sent to it" in str(row["detail"])


def test_a_removal_from_outside_is_named(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box()
    site.settle()
    boxed.docker.engine().remove(boxed.one().id, force=True)
    site.once()
    row = site.rows("SELECT * FROM instances ORDER BY id")[0]
    assert row["reason"] == "outside", row
    assert "it was removed through its engine" in str(row["detail"])
    site.settle()


def test_memory_that_runs_out_is_named_with_the_limit(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box(
        script="sleep 0.5; exec awk 'BEGIN { s = \"x\"; while (1) s = s s }'",
        resources={"memory": "16MiB", "gpus": "none"},
    )
    site.once()
    eventually(lambda: not boxed.ours()["box"][0].alive, "killed by the kernel")
    site.once()
    row = site.rows("SELECT * FROM instances ORDER BY id")[0]
    assert (row["reason"], row["exit_signal"]) == ("oom-host", 9), row
    assert "at its limit of 16 MiB" in str(row["detail"])


def test_one_that_ignores_term_is_killed(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box(script="trap '' TERM; while :; do sleep 0.1; done", stop={"drain": "0s", "grace": "1s"})
    site.settle()
    assert site.run("stop", "box").rc == 0
    row = site.newest()["box"]
    assert (row["status"], row["exit_signal"]) == ("stopped", 9)
    assert boxed.ours() == {}


def test_a_changed_profile_is_another_container(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box()
    site.settle()
    before = boxed.one()
    boxed.box(resources={"memory": "32MiB", "gpus": "none"})
    site.once()
    site.settle()
    after = boxed.one()
    assert after.id != before.id
    assert after.memory_bytes == 32 << 20


def test_one_whose_row_was_lost_is_taken_back(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box(project="research")
    site.settle()
    before = boxed.one()
    for suffix in ("", "-wal", "-shm"):
        os.unlink(site.database + suffix)
    site.once()
    site.settle()
    row = site.newest()["box"]
    assert (row["container_id"], row["pid"], row["project"]) == (before.id, before.pid, "research")
    assert boxed.one() == before
    assert ("adopt", "adopted") in site.decisions("box")


def test_an_image_that_is_not_there_is_told_and_not_fetched_against_the_wish(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box(more={"image": "nowhere.invalid/nothing:1", "pull": "never"})
    site.once()
    row = site.newest()["box"]
    assert (row["status"], row["reason"]) == ("created", "missing-image")
    assert "nowhere.invalid/nothing:1 is not there" in str(row["detail"])


def test_a_command_that_is_not_in_the_image_is_told(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box(more={"command": ["/no/such/program"]})
    site.once()
    row = site.newest()["box"]
    assert (row["status"], row["reason"]) == ("error", "bad-command"), row
    assert boxed.ours() == {}


def test_an_engine_that_is_not_there_holds_the_launch(boxed: Boxed) -> None:
    site = boxed.site
    site.env[boxed.variable] = "unix:///nonexistent/docker.sock"
    boxed.box()
    site.once()
    row = site.newest()["box"]
    assert (row["status"], row["reason"]) == ("created", "no-engine")
    assert "unix:///nonexistent/docker.sock" in str(row["detail"])
    asked = site.run("complete", "a", "--model", "box", "-n", "1")
    assert (asked.rc, "box is held: no container engine" in asked.err) == (69, True), asked
    site.env[boxed.variable] = boxed.docker.url
    site.settle()


def test_what_we_did_not_start_is_left_alone(boxed: Boxed) -> None:
    site, engine = boxed.site, boxed.docker.engine()
    theirs = engine.create(
        "somebodys", {"image": "llamaagent-test:bb", "command": ["sleep", "300"]}, {"network_mode": "none"}
    )
    try:
        engine.start(theirs)
        boxed.box()
        site.settle()
        site.run("stop", "box")
        found = engine.inspect(theirs)
        assert found is not None
        assert found.alive
    finally:
        engine.remove(theirs, force=True)


def test_killed_between_intent_and_pid_it_is_one_container_in_the_end(boxed: Boxed) -> None:
    """Made and not started: put away and made anew."""
    site = boxed.site
    boxed.box()
    site.settle()
    found = boxed.one()
    site.edit("UPDATE instances SET pid = NULL, start_ticks = NULL, status = 'loading' WHERE profile = 'box'")
    site.settle()
    assert boxed.one().id == found.id
    assert site.newest()["box"]["pid"] == found.pid
    kill(found.pid)
    site.once()
    site.settle()
    assert boxed.one().id != found.id


def test_its_log_is_copied_once_and_long_lines_stay_whole(boxed: Boxed) -> None:
    """Engines cut long lines and write times into them, and Podman's times are whole seconds."""
    site = boxed.site
    line = "head -c 40000 /dev/zero | tr '\\0' x; echo"
    boxed.box(script=f"{line}; i=0; while :; do echo line $i; i=$((i+1)); sleep 0.05; done")
    site.settle()
    for _ in range(4):
        site.once()
    path = Path(str(site.newest()["box"]["log_path"]))
    eventually(lambda: site.once() and b"line 20\n" in path.read_bytes(), "more of it copied")
    first, *rest = path.read_text("ascii").splitlines()
    assert first == 40000 * "x"
    assert rest == [f"line {number}" for number in range(len(rest))]


@pytest.mark.container
def test_a_process_in_it_that_is_killed_for_memory_is_told_once(on_docker: Boxed) -> None:
    """Podman has no such event."""
    boxed, site = on_docker, on_docker.site
    hog = "awk 'BEGIN { s = \"x\"; while (1) s = s s }'"
    boxed.box(
        script=f"sleep 1; {hog}; echo survived; while :; do sleep 0.1; done",
        resources={"memory": "16MiB", "gpus": "none"},
    )
    site.settle()

    def lines() -> list[object]:
        found = site.rows("SELECT message FROM logs WHERE category = 'container'")
        return [row["message"] for row in found]

    eventually(lambda: site.once() and lines(), "told")
    assert lines() == ["box: the kernel killed a process in it for want of memory; its limit is 16 MiB"]
    site.once()
    eventually(lambda: site.once() and "survived" in site.run("logs", "box").out, "it lives")
    assert len(lines()) == 1
    assert site.newest()["box"]["status"] == "running"


def test_a_pause_from_outside_makes_it_unhealthy_and_is_told(boxed: Boxed) -> None:
    site, engine = boxed.site, boxed.docker.engine()
    boxed.box(health={"failures": 1}, restart={"policy": "never"})
    site.settle()
    engine.api.pause(boxed.one().id)
    eventually(lambda: site.once() and site.newest()["box"]["status"] != "running", "noticed")
    found = site.rows("SELECT message FROM logs WHERE category = 'container'")
    eventually(
        lambda: site.once() and site.rows("SELECT message FROM logs WHERE category = 'container'"), "told"
    )
    assert all("paused" in str(row["message"]) for row in found)


def test_a_command_of_a_probe_runs_inside(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box(
        script="touch /tmp/well; while :; do sleep 0.1; done",
        health={"probe": "command", "command": "test -e /tmp/well", "failures": 1},
        restart={"policy": "never"},
    )
    site.settle()
    site.once()
    assert site.newest()["box"]["status"] == "running"
    assert site.run("exec", "box", "--", "sh", "-c", "rm /tmp/well").rc == 0
    eventually(lambda: site.once() and site.newest()["box"]["status"] != "running", "not well")


def test_exec_passes_streams_and_the_exit_status(boxed: Boxed) -> None:
    site = boxed.site
    boxed.box()
    site.settle()
    done = site.run("exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.rc, done.out, done.err) == (7, "out\n", "err\n")
    site.run("stop", "box")
    done = site.run("exec", "box", "--", "true")
    assert done.rc == 69
    assert "llamaagent start box" in done.err
    assert site.run("exec", "box").rc == 2


def test_an_image_that_is_removed_ends_nothing_and_holds_the_next_launch(on_docker: Boxed) -> None:
    site, api = on_docker.site, on_docker.docker.engine().api
    api.tag("llamaagent-test:bb", "llamaagent-gone", "1")
    on_docker.box(more={"image": "llamaagent-gone:1", "pull": "never"})
    site.settle()
    found = on_docker.one()
    api.remove_image("llamaagent-gone:1")
    site.once()
    assert on_docker.one().id == found.id
    assert site.newest()["box"]["status"] == "running"
    on_docker.docker.engine().kill(found.id, "SIGKILL")
    eventually(lambda: site.once() and site.newest()["box"]["reason"] == "missing-image", "held")
    assert on_docker.ours() == {}


def test_the_doctor_names_an_engine_that_does_not_answer_and_who_waits_for_it(on_docker: Boxed) -> None:
    site = on_docker.site
    on_docker.box()

    def about() -> list[dict[str, object]]:
        rows = json.loads(site.run("doctor", "--json").out)
        return [row for row in rows if row["subject"] == "container engine of box"]

    assert about() == []
    site.env["DOCKER_HOST"] = "unix:///nonexistent/docker.sock"
    (found,) = about()
    assert (found["level"], "unix:///nonexistent/docker.sock" in str(found["what"])) == ("error", True)


def test_a_container_counts_in_its_project_and_is_refused_beyond_it(on_docker: Boxed) -> None:
    site = on_docker.site
    site.settings(projects={"research": {"instances": 1}})
    on_docker.box("first", project="research", priority=1)
    on_docker.box("second", project="research")
    site.settle("running", "first")
    row = site.newest()["second"]
    assert (row["status"], row["reason"]) == ("created", "quota"), row
    assert "first" in str(site.rows("SELECT arithmetic FROM decisions WHERE profile = 'second'"))
    assert site.one("SELECT current_containers FROM project_quotas")["current_containers"] == 1
    assert site.run("start", "second").rc == 77
