"""`runtime.kind: external`: servers that somebody else runs are seen and counted, and never touched."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from scratch_site import ask, complete, eventually, living

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scratch_site import Site

    Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def stranger(fake_site: Site) -> Iterator[Start]:
    """Starts servers by hand, outside of the site; they are ended with the test."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(port: int, *words: str, mode: str = "") -> subprocess.Popen[bytes]:
        argv = [
            fake_site.binary,
            "--model",
            fake_site.model,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            *words,
        ]
        env = {"PATH": "/usr/bin:/bin", "FAKE_MODE": mode}
        begun.append(
            subprocess.Popen(
                argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
        )
        if "no-listen" not in mode:
            eventually(lambda: _answers(port), "the server listens")
        return begun[-1]

    yield start
    for child in begun:
        child.kill()
        child.wait()


def _answers(port: int) -> bool:
    try:
        return ask(port, "/health")[0] in {200, 503}
    except OSError:
        return False


def watched(site: Site, name: str = "theirs", **runtime: object) -> None:
    path = site.root / "profiles" / f"{name}.yaml"
    entries = ", ".join(f"{key}: {value}" for key, value in {"kind": "external", **runtime}.items())
    path.write_text(f"runtime: {{{entries}}}\n")


def test_a_server_of_others_is_seen_and_measured_and_left_alone(fake_site: Site, stranger: Start) -> None:
    port = fake_site.ports[0] + 10
    watched(fake_site, port=port)
    assert fake_site.run("check").err == "1 profile fine; 0 errors\n"
    child = stranger(port)
    fake_site.once()
    row = fake_site.newest()["theirs"]
    assert (row["kind"], row["status"], row["pid"], row["port"]) == ("external", "running", child.pid, port)
    assert (row["host"], row["launch_id"], row["log_path"]) == ("127.0.0.1", None, None)
    assert fake_site.decisions("theirs") == [("adopt", "watched"), ("ready", "healthy")]
    time.sleep(1.1)  # samples are kept by the second
    fake_site.once()
    assert fake_site.count("instance_samples") >= 1
    assert fake_site.newest()["theirs"]["id"] == row["id"]
    assert fake_site.run("plan", "--exit-code").rc == 0
    assert fake_site.run("status").rc == 0
    assert fake_site.run("url", "theirs").out == f"http://127.0.0.1:{port}\n"
    assert living(child.pid)


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_the_verbs_are_refused_and_change_nothing(fake_site: Site, stranger: Start, verb: str) -> None:
    port = fake_site.ports[0] + 10
    watched(fake_site, port=port)
    child = stranger(port)
    fake_site.once()
    for words in ((verb, "theirs"), (verb, "their*"), (verb, "theirs", "--no-wait")):
        said = fake_site.run(*words)
        assert (said.rc, said.out) == (77, "")
        assert f"cannot {verb} theirs: runtime.kind is external" in said.err
    assert fake_site.count("overrides") == 0
    assert living(child.pid)
    assert fake_site.newest()["theirs"]["status"] == "running"


def test_stop_all_and_an_ending_loop_stop_ours_only(fake_site: Site, stranger: Start) -> None:
    port = fake_site.ports[0] + 10
    watched(fake_site, port=port)
    fake_site.profile("ours")
    child = stranger(port)
    fake_site.settle()
    assert fake_site.run("stop", "--all").rc == 0
    assert fake_site.live() == {}
    assert fake_site.newest()["theirs"]["status"] == "running"
    assert fake_site.run("start", "--all").rc == 0
    loop = fake_site.start("run", "--stop-instances")
    eventually(lambda: "ours" in fake_site.live(), "ours runs")
    time.sleep(0.5)
    loop.send_signal(signal.SIGTERM)
    loop.communicate(timeout=30)
    assert fake_site.live() == {}
    assert living(child.pid)
    assert fake_site.newest()["theirs"]["status"] == "running"


def test_what_is_not_there_is_said_once_and_found_when_it_comes(fake_site: Site, stranger: Start) -> None:
    port = fake_site.ports[0] + 10
    watched(fake_site, port=port)
    said = fake_site.once()
    assert f"theirs: held: not running (not-found: nothing listens on port {port})" in said.err
    decisions = len(fake_site.rows("SELECT id FROM decisions"))
    assert fake_site.once().err == ""
    assert len(fake_site.rows("SELECT id FROM decisions")) == decisions
    assert fake_site.run("plan", "--exit-code").rc == 0
    held = fake_site.newest()["theirs"]
    assert held["status"] == "created"
    child = stranger(port)
    assert fake_site.once().err.startswith("ended: theirs")
    row = fake_site.newest()["theirs"]
    assert (row["id"], row["status"], row["pid"]) == (held["id"], "running", child.pid)


def test_one_that_died_is_lost_not_restarted_and_found_again(fake_site: Site, stranger: Start) -> None:
    port = fake_site.ports[0] + 10
    watched(fake_site, port=port)
    first = stranger(port)
    fake_site.once()
    first.kill()
    first.wait()
    assert "theirs: gone (lost: it is gone; whoever runs it has to start it)" in fake_site.once().err
    row = fake_site.newest()["theirs"]
    assert (row["status"], row["reason"], row["retry_ts"]) == ("error", "lost", None)
    assert fake_site.once().err == ""
    assert fake_site.run("status").rc == 1
    assert fake_site.run("plan", "--exit-code").rc == 0
    assert fake_site.live() == {}
    second = stranger(port)
    fake_site.once()
    again = fake_site.newest()["theirs"]
    assert (again["status"], again["pid"]) == ("running", second.pid)
    assert again["id"] != row["id"]
    # Restarted by its owner between two passes: the old row ends, the new process gets its own.
    second.kill()
    second.wait()
    third = stranger(port)
    fake_site.once()
    assert fake_site.newest()["theirs"]["pid"] == third.pid
    assert len(fake_site.rows("SELECT id FROM instances")) == 3


def test_a_sick_one_is_unhealthy_and_never_signalled(
    fake_site: Site, stranger: Start, tmp_path: Path
) -> None:
    port, switch = fake_site.ports[0] + 10, tmp_path / "sick"
    watched(fake_site, port=port)
    with (fake_site.root / "profiles" / "theirs.yaml").open("a") as file:
        file.write("health: {failures: 2}\n")
    child = stranger(port, mode=f"unhealthy-file:{switch}")
    fake_site.once()
    switch.touch()
    for _ in range(6):
        fake_site.once()
    assert fake_site.newest()["theirs"]["status"] == "unhealthy"
    assert living(child.pid)
    switch.unlink()
    fake_site.once()
    assert fake_site.newest()["theirs"]["status"] == "running"


def test_taken_out_of_the_folder_it_is_forgotten_and_runs_on(fake_site: Site, stranger: Start) -> None:
    port = fake_site.ports[0] + 10
    watched(fake_site, port=port)
    fake_site.profile("ours", state="stopped")
    child = stranger(port)
    fake_site.once()
    (fake_site.root / "profiles" / "theirs.yaml").write_text(
        f"runtime: {{kind: external, port: {port}}}\nstate: stopped\n"
    )
    fake_site.once()
    row = fake_site.newest()["theirs"]
    assert (row["status"], row["reason"]) == ("stopped", "state")
    assert "left running" in str(row["detail"])
    watched(fake_site, port=port)
    fake_site.once()
    assert fake_site.newest()["theirs"]["status"] == "running"
    (fake_site.root / "profiles" / "theirs.yaml").unlink()
    fake_site.once()
    row = fake_site.newest()["theirs"]
    assert (row["status"], row["reason"]) == ("stopped", "retired")
    assert living(child.pid)


def test_the_guard_counts_only_what_it_would_stop(fake_site: Site, stranger: Start) -> None:
    ports = [fake_site.ports[0] + 10 + n for n in range(3)]
    for n, port in enumerate(ports):
        watched(fake_site, f"w{n}", port=port)
    fake_site.profile("ours")
    children = [stranger(port) for port in ports]
    fake_site.settle()
    for n in range(3):
        (fake_site.root / "profiles" / f"w{n}.yaml").unlink()
    assert fake_site.once().err == ""
    assert {row["status"] for name, row in fake_site.newest().items() if name != "ours"} == {"stopped"}
    assert all(living(child.pid) for child in children)


def test_a_kind_that_changed_lets_go_of_the_one_and_takes_the_other(fake_site: Site, stranger: Start) -> None:
    port = fake_site.ports[0] + 10
    watched(fake_site, "both", port=port)
    child = stranger(port)
    fake_site.once()
    fake_site.profile("both")
    row = fake_site.settle()["both"]
    assert (row["kind"], living(child.pid)) == ("process", True)
    watched(fake_site, "both", port=port)
    fake_site.settle()
    row = fake_site.newest()["both"]
    assert (row["kind"], row["pid"]) == ("external", child.pid)
    assert fake_site.live() == {}


def test_one_of_our_own_is_no_external_server(fake_site: Site) -> None:
    port = fake_site.ports[0] + 3
    fake_site.profile("ours", listen={"port": port})
    fake_site.settle()
    fake_site.profile("ours", listen={"port": "auto"}, update={"restart": "manual"})
    watched(fake_site, port=port)
    fake_site.once()
    row = fake_site.newest()["theirs"]
    assert (row["status"], row["reason"]) == ("created", "not-found")
    assert "already the server of ours" in str(row["detail"])


def systemctl(site: Site, text: str) -> None:
    """A systemctl on the PATH of the site's commands."""
    folder = site.root / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "systemctl").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "systemctl").chmod(0o755)
    site.env["PATH"] = f"{folder}:/usr/bin:/bin"


def test_a_unit_says_which_process_it_is(fake_site: Site, stranger: Start) -> None:
    port = fake_site.ports[0] + 10
    child = stranger(port)
    watched(fake_site, pid_from="systemd:llama.service")
    systemctl(fake_site, f"echo $* >>{fake_site.root}/asked; echo LoadState=loaded; echo MainPID={child.pid}")
    fake_site.once()
    row = fake_site.newest()["theirs"]
    assert (row["status"], row["pid"], row["port"]) == ("running", child.pid, port)
    assert "-- llama.service" in (fake_site.root / "asked").read_text()
    systemctl(fake_site, "echo LoadState=loaded; echo MainPID=0")
    child.kill()
    child.wait()
    fake_site.once()
    assert fake_site.newest()["theirs"]["reason"] == "lost"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo LoadState=not-found; echo MainPID=0", "systemd knows no unit llama.service"),
        ("echo LoadState=loaded; echo MainPID=0", "unit llama.service has no running process"),
        ("echo 'System has not been booted with systemd' >&2; exit 1", "not been booted with systemd"),
        ("exec sleep 60", "systemctl did not answer for llama.service within 2 s"),
        (None, "cannot run systemctl"),
    ],
    ids=["unknown", "stopped", "no systemd", "hangs", "missing"],
)
def test_a_unit_that_says_nothing_is_told_with_its_reason(
    fake_site: Site, text: str | None, words: str
) -> None:
    watched(fake_site, pid_from="systemd:llama.service")
    if text is not None:
        systemctl(fake_site, text)
    else:
        (fake_site.root / "empty").mkdir()
        fake_site.env["PATH"] = str(fake_site.root / "empty")
    begin = time.monotonic()
    said = fake_site.once()
    assert words in said.err
    assert time.monotonic() - begin < 25
    assert fake_site.newest()["theirs"]["status"] == "created"


@pytest.mark.binary
def test_requests_are_counted_where_its_command_line_names_the_log(site: Site) -> None:
    port, log = site.ports[0] + 10, site.root / "their.log"
    (site.root / "profiles" / "theirs.yaml").write_text(f"runtime: {{kind: external, port: {port}}}\n")
    argv = [
        site.binary,
        "-m",
        site.model,
        "--port",
        str(port),
        "--metrics",
        "--log-file",
        "their.log",
        "-t",
        "1",
    ]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(site.root)}
    child = subprocess.Popen(
        argv,
        cwd=site.root,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        eventually(lambda: _answers(port) and ask(port, "/health")[0] == 200, "ready")
        complete(port, "hello", 5)
        eventually(lambda: "stop processing" in log.read_text("utf-8", "replace"), "logged")
        site.once()
        row = site.newest()["theirs"]
        assert (row["status"], row["log_path"]) == ("running", str(log))
        assert row["model_path"] == site.model
        complete(port, "hello again", 7)
        eventually(lambda: log.read_text("utf-8", "replace").count("stop processing") == 2, "logged")
        site.once()
        found = site.rows("SELECT profile, generated_tokens FROM generations ORDER BY id")
        assert found == [
            {"profile": "theirs", "generated_tokens": 5},
            {"profile": "theirs", "generated_tokens": 7},
        ]
        sample = site.one("SELECT max(predicted_tokens_total) AS n FROM instance_samples")
        assert sample["n"] is not None
    finally:
        child.kill()
        child.wait()


def test_no_key_of_its_command_line_is_stored(fake_site: Site, stranger: Start) -> None:
    port = fake_site.ports[0] + 10
    watched(fake_site, port=port)
    stranger(port, "--api-key", "hunter2hunter2", "--hf-token=hunter3")
    fake_site.once()
    with open(fake_site.database, "rb") as file:
        assert b"hunter" not in file.read()
    wal = f"{fake_site.database}-wal"
    if os.path.exists(wal):
        with open(wal, "rb") as file:
            assert b"hunter" not in file.read()
    assert "***" in str(fake_site.newest()["theirs"]["argv"])


def test_whoever_reads_is_told_as_of_any_other(fake_site: Site, stranger: Start) -> None:
    port = fake_site.ports[0] + 10
    watched(fake_site, port=port)
    stranger(port)
    fake_site.once()
    for words in (
        ("ps",),
        ("ps", "-a", "--json"),
        ("status", "--json"),
        ("show", "theirs"),
        ("show", "theirs", "--command"),
        ("show", "theirs", "--effective"),
        ("show", "theirs", "--env"),
        ("show", "theirs", "--diff"),
        ("why", "theirs"),
        ("history", "theirs"),
        ("logs", "theirs"),
        ("events",),
        ("gpus",),
        ("env", "theirs"),
        ("doctor",),
        ("profiles", "show", "theirs"),
        ("profiles", "export", "theirs"),
        ("report", "build", "-o", str(fake_site.root / "xdg" / "site")),
        ("query", "SELECT * FROM model_instances"),
    ):
        done = fake_site.run(*words)
        assert "Traceback" not in done.err, done
        assert done.rc != 70, done
        if words[-1] == "--command":
            assert f"--port {port}" in done.out
        if words[0] == "logs":
            assert "where its server logs is not known" in done.err


def test_detach_ends_the_watching_and_reset_begins_it_again(fake_site: Site, stranger: Start) -> None:
    port = fake_site.ports[0] + 10
    watched(fake_site, port=port)
    child = stranger(port)
    fake_site.once()
    assert fake_site.run("detach", "theirs").rc == 0
    fake_site.once()
    row = fake_site.newest()["theirs"]
    assert (row["status"], row["reason"]) == ("stopped", "detached")
    assert fake_site.run("plan", "--exit-code").rc == 0
    assert fake_site.run("reset", "theirs").rc == 0
    assert fake_site.newest()["theirs"]["status"] == "running"
    fake_site.profile("ours", state="stopped")
    (fake_site.root / "profiles" / "theirs.yaml").unlink()
    assert fake_site.run("rm", "theirs").rc == 0
    assert fake_site.newest()["theirs"]["status"] == "deleted"
    assert living(child.pid)
