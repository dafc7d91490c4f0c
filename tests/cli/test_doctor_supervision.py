"""The doctor in real situations: a suspended pass, a launch that should be over, a clock that was set."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import apsw
import pytest
from scratch_home import Agent, program, scratch_environment

from llamaagent.cli.site import site_id

Finding = dict[str, str]


@pytest.fixture
def quiet(home: Path, site: Path, agent: Agent, fake_server: str) -> Path:
    """A site with nothing wrong but what a test adds."""
    (site / "llamaagent.yaml").write_text(f"profiles: profiles/\nbinary: {fake_server}\n")
    (site / ".git").mkdir()
    agent("run", "--once", "--no-report", cwd=site)
    return site


def about(agent: Agent, site: Path, subject: object, env: dict[str, str] | None = None) -> Finding:
    """The one finding about something."""
    rows: list[Finding] = json.loads(agent("doctor", "--json", cwd=site, code=None, env=env).stdout)
    found = [row for row in rows if row["subject"] == str(subject)]
    assert len(found) == 1, rows
    assert found[0]["remedy"]
    return found[0]


def database(home: Path) -> Path:
    return home / "data" / "llamaagent" / "llamaagent.db"


def test_a_pass_that_was_suspended_holds_its_lock(agent: Agent, quiet: Path, home: Path) -> None:
    lock = Path(f"{database(home)}.pass.lock")
    code = f"import fcntl,os,time; f = open({str(lock)!r}, 'r+'); fcntl.flock(f, fcntl.LOCK_EX); "
    code += "f.write(f'pid {os.getpid():<10}\\n'); f.flush(); print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert str(lock) not in agent("doctor", "--json", cwd=quiet, code=None).stdout
        holder.send_signal(signal.SIGSTOP)
        found = about(agent, quiet, lock)
        assert found["level"] == "error"
        assert found["remedy"] == f"kill -CONT {holder.pid}"
    finally:
        holder.kill()
        holder.communicate()


def test_a_lock_that_a_child_inherited(agent: Agent, quiet: Path, home: Path) -> None:
    lock = Path(f"{database(home)}.pass.lock")
    with lock.open("r+") as held:
        held.write("pid 4194304   \n")  # no pid is that large
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        found = about(agent, quiet, lock)
    assert f"held by pid {os.getpid()}" in found["what"]
    assert "inherited" in found["what"]


def test_a_server_whose_launch_is_over_by_its_row(agent: Agent, quiet: Path, home: Path) -> None:
    db = apsw.Connection(str(database(home)))
    db.execute(
        "INSERT INTO instances (profile, kind, project, status, reason, since_ts, created_ts, launch_id) "
        "VALUES ('old', 'process', 'default', 'stopped', 'override', 1, 1, 'beef')"
    )
    db.close()
    marks = {"LLAMAAGENT_SITE": site_id(str(quiet / "llamaagent.yaml")), "LLAMAAGENT_PROFILE": "old"}
    marks["LLAMAAGENT_LAUNCH_ID"] = "beef"
    server = subprocess.Popen(["/bin/sleep", "60"], env={**scratch_environment(home), **marks})
    try:
        found = about(agent, quiet, "old")
    finally:
        server.kill()
        server.wait()
    assert f"pid {server.pid} lives, although" in found["what"]
    assert f"kill {server.pid}" in found["remedy"]


def test_a_clock_that_was_set_and_passes_that_come_seldom(agent: Agent, quiet: Path, home: Path) -> None:
    (quiet / "profiles" / "tiny.yaml").write_text(
        f"model: {home / 'm.gguf'}\nhealth: {{start_timeout: 5m}}\n"
    )
    db = apsw.Connection(str(database(home)))
    now = int(time.time())
    columns = "ts, interval_s, clock_step_s, boot_id, cpu_cores, active_instances, uptime_s, requests"
    for number in range(1, 8):
        step = 3600 if number == 3 else None
        given = (now - 600 * number, 600, step)
        db.execute(f"INSERT INTO system_samples ({columns}) VALUES (?, ?, ?, 'boot', 1, 0, 0, 0)", given)
    db.close()
    assert "set once in the last week, last by +3600 s" in about(agent, quiet, "clock")["what"]
    assert "passes come every 600 s and start_timeout is 300 s" in about(agent, quiet, "tiny")["what"]


def test_a_unit_of_the_users_that_kills_the_servers(agent: Agent, quiet: Path, home: Path) -> None:
    folder = home / "config" / "systemd" / "user"
    folder.mkdir(parents=True)
    text = "[Service]\nType=oneshot\nExecStart=/usr/bin/llamaagent run --once\n"
    (folder / "passes.service").write_text(text)
    program(home, "loginctl", "echo no")
    found = about(agent, quiet, folder / "passes.service")
    assert found["level"] == "error"
    assert found["remedy"] == "systemctl --user edit passes.service   # [Service] KillMode=process"
    assert "enable-linger" in about(agent, quiet, f"{folder / 'passes.service'} (linger)")["remedy"]


def test_cron_and_the_shell_use_other_files(agent: Agent, quiet: Path, home: Path) -> None:
    program(home, "crontab", "echo '* * * * * llamaagent run --once'")
    assert "XDG_DATA_HOME" in about(agent, quiet, "cron")["what"]


def test_a_large_log(agent: Agent, quiet: Path, home: Path) -> None:
    (quiet / "llamaagent.yaml").write_text(
        (quiet / "llamaagent.yaml").read_text() + "logs: {max_size: 64KiB}\n"
    )
    logs = home / "state" / "llamaagent" / "logs"
    if os.geteuid() == 0 and not logs.is_dir():
        logs.mkdir(parents=True, mode=0o700)
    (logs / "tiny-0.log").write_bytes(b"x" * 200_000)
    assert "truncate -s 0" in about(agent, quiet, logs / "tiny-0.log")["remedy"]


def test_limits_of_this_shell_reach_what_is_launched_from_it(agent: Agent, quiet: Path, home: Path) -> None:
    (quiet / "profiles" / "live.yaml").write_text(f"model: {home / 'm.gguf'}\n")
    words = [sys.executable, "-m", "llamaagent", "doctor", "--json"]
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -n 200 && exec "$@"', "sh", *words],
        cwd=quiet,
        env=scratch_environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found = [row for row in json.loads(done.stdout) if "200 files" in row["what"]]
    assert [row["subject"] for row in found] == ["live"], done
