"""`import running`: servers that were started by hand become profiles, and ours, without a restart."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from scratch_site import ask, complete, eventually, kill, living

from llamaagent.launch.identity import pids, read_stat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scratch_site import Outcome, Site

    Hand = Callable[..., subprocess.Popen[bytes]]

pytestmark = pytest.mark.binary


@pytest.fixture
def hand(site: Site) -> Iterator[Hand]:
    """Starts a real llama-server as a person would in a shell; whatever is left of them is ended with the test."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(
        port: int,
        *words: str,
        env: dict[str, str] | None = None,
        cwd: str | None = None,
        log: str = "",
        under: str = "",
    ) -> subprocess.Popen[bytes]:
        argv = [site.binary, *words, "--port", str(port)]
        given = {"PATH": "/usr/bin:/bin", "HOME": str(site.root), **(env or {})}
        with open(log or os.devnull, "ab") as out:
            begun.append(
                subprocess.Popen(
                    [under, *argv] if under else argv,
                    env=given,
                    cwd=cwd or site.root,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
            )
        eventually(lambda: healthy(port), f"a server on port {port}")
        return begun[-1]

    yield start
    for child in begun:
        child.kill()
        child.wait()


def healthy(port: int) -> bool:
    try:
        return ask(port, "/health")[0] == 200
    except OSError:
        return False


def three(site: Site, hand: Hand) -> dict[int, subprocess.Popen[bytes]]:
    folder = site.root / "models"
    folder.mkdir()
    for name in ("One.gguf", "two.gguf"):
        shutil.copy(site.model, folder / name)
    first = site.ports[0] + 10
    return {
        first: hand(
            first, "-m", "models/One.gguf", "-c", "256", "--temp", "0.5", log=str(site.root / "one.log")
        ),
        first + 1: hand(first + 1, "--model", "two.gguf", "-t", "1", cwd=str(folder)),
        first + 2: hand(
            first + 2, "-m", str(folder / "two.gguf"), "--parallel", "2", env={"LLAMA_ARG_THREADS": "1"}
        ),
    }


def take(site: Site, *children: subprocess.Popen[bytes] | int, word: str = "--adopt") -> Outcome:
    """The command for these servers alone: others may run on this machine that are nobody's to touch here."""
    pids = [str(one if isinstance(one, int) else one.pid) for one in children]
    return site.run("import", "running", *pids, *([word] if word else []))


def below(pid: int) -> list[int]:
    """Children of every thread of a process."""
    stats = (read_stat(one) for one in pids())
    return [stat.pid for stat in stats if stat is not None and stat.ppid == pid]


def profiles(site: Site) -> list[str]:
    return sorted(name for name in os.listdir(site.root / "profiles") if not name.startswith("."))


def test_three_servers_are_taken_over_by_one_command(site: Site, hand: Hand) -> None:
    children = three(site, hand)
    said = take(site, *children.values())
    assert said.rc == 0, said
    assert profiles(site) == ["one.yaml", "two-2.yaml", "two.yaml"]
    rows = site.newest()
    assert {row["port"]: row["pid"] for row in rows.values()} == {
        port: child.pid for port, child in children.items()
    }
    assert {row["status"] for row in rows.values()} == {"running"}, said
    plan = site.run("plan", "--exit-code", "--json")
    assert (plan.rc, plan.out) == (0, "[]\n"), plan
    assert site.run("status").rc == 0
    assert site.run("check").rc == 0
    # Passes go on with the same processes.
    site.once()
    assert {row["pid"] for row in site.newest().values()} == {child.pid for child in children.values()}
    assert all(child.poll() is None for child in children.values())
    # They are known from now on.
    again = take(site, *children.values())
    assert (again.rc, again.out) == (2, "")
    assert f"no running server is called {min(child.pid for child in children.values())}" in again.err


def test_what_was_taken_over_is_supervised(site: Site, hand: Hand) -> None:
    port = site.ports[0] + 10
    child = hand(port, "-m", site.model, "-c", "256")
    assert take(site, child).rc == 0
    (name,) = site.newest()
    child.kill()
    child.wait()
    text = (site.root / "profiles" / f"{name}.yaml").read_text()
    (site.root / "profiles" / f"{name}.yaml").write_text(
        text + "restart: {backoff: 0s}\nstop: {drain: 0s, grace: 2s}\n"
    )
    row = site.settle()[name]
    assert (row["port"], row["restarts"]) == (port, 1)
    assert site.live() == {name: [row["pid"]]}
    assert row["context_size"] == 256
    first = site.one("SELECT status, reason FROM instances WHERE pid = ?", child.pid)
    assert first == {"status": "error", "reason": "lost"}


def test_the_doctor_says_what_cannot_be_seen_of_it(site: Site, hand: Hand) -> None:
    """Started by hand a server has no /metrics as a rule: then idleness, for one, is never acted on."""
    mute, told = hand(site.ports[0] + 10, "-m", site.model, "--alias", "mute"), site.ports[0] + 11
    spoken = hand(told, "-m", site.model, "--alias", "spoken", env={"LLAMA_ARG_ENDPOINT_METRICS": "1"})
    assert take(site, mute, spoken).rc == 0
    name = next(name for name, row in site.newest().items() if row["pid"] == mute.pid)
    path = site.root / "profiles" / f"{name}.yaml"
    path.write_text(path.read_text() + "idle: {stop_after: 1s}\n")
    assert site.run("plan", "--exit-code").rc == 0
    found = [one for one in json.loads(site.run("doctor", "--json").out) if "/metrics" in one["what"]]
    assert [(one["subject"], one["level"]) for one in found] == [(name, "warning")]
    assert found[0]["remedy"].startswith(f"llamaagent restart {name}")
    path.write_text(path.read_text().replace("idle: {stop_after: 1s}\n", ""))
    assert site.run("restart", name).rc == 0
    assert "/metrics" not in site.run("doctor").out


def test_a_stop_reaches_the_very_process_that_was_taken_over(site: Site, hand: Hand) -> None:
    child = hand(site.ports[0] + 10, "-m", site.model)
    other = hand(site.ports[0] + 11, "-m", site.model, "--alias", "other")
    assert take(site, child).rc == 0
    (name,) = site.newest()
    assert site.run("stop", name).rc == 0
    assert child.wait(timeout=20) == 0
    row = site.newest()[name]
    assert (row["status"], row["reason"]) == ("stopped", "override")
    assert other.poll() is None
    assert site.run("start", name).rc == 0
    assert site.live()[name] == [site.newest()[name]["pid"]]


def test_requests_from_then_on_are_counted(site: Site, hand: Hand) -> None:
    log, port = site.root / "hand.log", site.ports[0] + 10
    log.write_text("0.00.000.001 I slot print_timing: id  0 | task 0 | an older server's line\n")
    child = hand(port, "-m", site.model, log=str(log))
    complete(port, "before", 3)
    eventually(lambda: "stop processing" in log.read_text("utf-8", "replace"), "logged")
    assert take(site, child).rc == 0
    (row,) = site.newest().values()
    assert row["log_path"] == str(log)
    complete(port, "after that", 6)
    counted = "SELECT generated_tokens AS n FROM generations"
    eventually(lambda: site.once() and site.rows(counted), "counted")
    assert site.rows(counted) == [{"n": 6}]  # neither what was before nor our own question after the takeover


def test_printing_writes_nothing_and_says_what_is_left_out(site: Site, hand: Hand) -> None:
    port = site.ports[0] + 10
    child = hand(
        port,
        *("-m", site.model, "--api-key", "hunter2hunter2", "--log-file", "x.log", "-c", "256"),
        env={"HF_TOKEN": "hunter3", "GGML_X": "1", "CUDA_VISIBLE_DEVICES": "0,1", "OMP_SECRET": "hunter4"},
    )
    said = take(site, child, word="")
    assert said.rc == 0
    assert profiles(site) == []
    assert not os.path.exists(site.database)
    assert f"model: {site.model}\n" in said.out
    assert f"listen:\n  port: {port}\n" in said.out
    assert "secrets:\n  api-key:\n    env: TINY_API_KEY\n" in said.out
    assert 'resources:\n  gpus: ["0", "1"]\n' in said.out
    assert 'GGML_X: "1"' in said.out
    assert "ctx-size: 256" in said.out
    assert "--api-key: its value was not written" in said.err
    assert "OMP_SECRET was not carried over" in said.err
    assert "--log-file was left out" in said.err
    assert "--adopt" in said.err
    assert "hunter" not in said.out + said.err


def test_no_secret_gets_into_files_rows_or_output(site: Site, hand: Hand) -> None:
    port = site.ports[0] + 10
    child = hand(port, "-m", site.model, "--metrics", env={"LLAMA_API_KEY": "hunter2hunter2"})
    said = take(site, child)
    assert said.rc == 0, said
    assert "hunter" not in said.out + said.err
    for folder, _, names in os.walk(site.root):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                assert b"hunter" not in file.read(), name
    assert site.run("plan", "--exit-code").rc == 0
    assert living(child.pid)


def test_write_alone_takes_nothing_over(site: Site, hand: Hand) -> None:
    child = hand(site.ports[0] + 10, "-m", site.model)
    said = take(site, child, word="--write")
    assert said.rc == 0
    (path,) = said.out.splitlines()
    assert os.path.isfile(path)
    assert f"held until pid {child.pid} is stopped" in said.err
    site.once()
    (row,) = site.newest().values()
    assert (row["status"], row["reason"]) == ("created", "port-taken")
    # Another word takes it over after all: the file stands, its held row becomes the launch.
    again = take(site, child)
    assert (again.rc, again.out) == (0, ""), again
    (now,) = site.newest().values()
    assert (now["id"], now["status"], now["pid"]) == (row["id"], "running", child.pid)
    assert site.run("plan", "--exit-code").rc == 0


def test_what_the_settings_give_every_profile_is_taken_away_again(site: Site, hand: Hand) -> None:
    site.settings(defaults={"args": {"threads": 1, "temp": 0.1}})
    child = hand(site.ports[0] + 10, "-m", site.model, "--temp", "0.9")
    assert take(site, child).rc == 0
    (name,) = site.newest()
    command = site.run("show", name, "--command").out
    assert "--threads" not in command
    assert "--temp 0.9" in command
    assert site.run("plan", "--exit-code").rc == 0
    assert living(child.pid)


def test_a_profile_that_differs_is_not_adopted_to(site: Site, hand: Hand) -> None:
    port = site.ports[0] + 10
    child = hand(port, "-m", site.model, "-c", "256")
    site.profile("mine", listen={"port": port}, args={"ctx-size": 512})
    said = take(site, child)
    assert said.rc == 77, said
    assert f"mine declares port {port} already" in said.err
    assert profiles(site) == ["mine.yaml"]
    assert living(child.pid)


def test_one_below_a_supervisor_is_refused_and_can_be_watched(site: Site, hand: Hand) -> None:
    keeper = site.root / "supervisord"
    keeper.write_text('#!/bin/sh\n"$@" &\necho $! >server.pid\nwait\n')
    keeper.chmod(0o755)
    port = site.ports[0] + 10
    hand(port, "-m", site.model, under=str(keeper))
    pid = int((site.root / "server.pid").read_text())
    try:
        said = take(site, pid)
        assert said.rc == 77
        assert "supervisord (pid" in said.err
        assert "two supervisors would fight" in said.err
        assert profiles(site) == []
        said = take(site, pid, word="--write")
        assert said.rc == 0
        text = (site.root / "profiles" / "tiny.yaml").read_text()
        assert f"runtime:\n  kind: external\n  port: {port}\n" in text
        assert f"# model: {site.model}\n" in text
        site.once()
        (row,) = site.newest().values()
        assert (row["kind"], row["status"], row["pid"]) == ("external", "running", pid)
    finally:
        kill(pid)


@pytest.mark.root
def test_one_of_another_user_is_refused(site: Site, hand: Hand) -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("no setpriv")
    port = site.ports[0] + 10
    command = f'exec {setpriv} --reuid 65534 --clear-groups "$@"'
    under = site.root / "as-nobody"
    under.write_text(f"#!/bin/sh\n{command}\n")
    under.chmod(0o755)
    site.root.chmod(0o755)
    folder = f"/tmp/llamaagent-nobody-{os.getpid()}"
    os.mkdir(folder, 0o755)
    try:
        shutil.copy(site.model, f"{folder}/theirs.gguf")
        os.chmod(f"{folder}/theirs.gguf", 0o644)
        child = hand(port, "-m", f"{folder}/theirs.gguf", under=str(under), cwd="/")
        said = take(site, child)
        assert said.rc == 77
        assert "it runs as nobody: we could neither signal it" in said.err
        assert child.poll() is None
    finally:
        shutil.rmtree(folder)


def test_a_router_and_its_children_are_left_alone(site: Site, hand: Hand) -> None:
    folder = site.root / "many"
    folder.mkdir()
    shutil.copy(site.model, folder / "a.gguf")
    port = site.ports[0] + 10
    router = hand(port, "--models-dir", str(folder))
    ask(port, "/models/load", {"model": "a"})
    eventually(lambda: below(router.pid), "the router's child")
    said = take(site, router, *below(router.pid))
    assert said.rc == 77
    assert "it is a router" in said.err
    assert f"the router pid {router.pid} started it" in said.err
    assert profiles(site) == []


def test_a_name_that_means_nothing_is_a_usage_error(site: Site, hand: Hand) -> None:
    hand(site.ports[0] + 10, "-m", site.model)
    said = site.run("import", "running", "nonsense", "--adopt")
    assert said.rc == 2
    assert "no running server is called nonsense; there are: " in said.err
    assert "tiny" in said.err
    assert site.run("import", "walking").rc == 65, "any other word is a file"


def test_killed_between_the_files_and_the_rows_it_is_done_by_the_next_call(site: Site, hand: Hand) -> None:
    children = three(site, hand)
    child = site.start("import", "running", *(str(one.pid) for one in children.values()), "--adopt")
    eventually(lambda: len(profiles(site)) >= 1, "a file is written")
    child.send_signal(signal.SIGKILL)
    child.communicate()
    for _ in range(2):
        site.run("run", "--once")
    live = {row["pid"] for row in site.newest().values() if row["status"] == "running"}
    left = [one for one in children.values() if one.pid not in live]
    if left:
        done = take(site, *left)
        assert done.rc == 0, done
    assert len(profiles(site)) == 3
    assert {row["pid"] for row in site.newest().values()} == {one.pid for one in children.values()}
    assert site.run("plan", "--exit-code").rc == 0
