"""`doctor` looks at real files, programs, ports and processes, and gives each finding a remedy."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from scratch_home import Agent, program, scratch_environment

from llamaagent.cli.site import site_id

Finding = dict[str, str]


@pytest.fixture
def quiet(home: Path, site: Path, agent: Agent, fake_server: str) -> Path:
    """A site where nothing is wrong: a running profile without a launch, a pass just made, git, a loop's unit."""
    (site / "llamaagent.yaml").write_text(f"profiles: profiles/\nbinary: {fake_server}\n")
    (site / ".git").mkdir()
    (home / "config" / "systemd" / "user").mkdir(parents=True)
    (home / "config" / "systemd" / "user" / "llamaagent.service").write_text("[Unit]\n")
    agent("run", "--once", "--no-report", cwd=site)
    return site


def found(agent: Agent, site: Path, *, env: dict[str, str] | None = None) -> list[Finding]:
    """All findings but those about the machine that runs the tests."""
    result = agent("doctor", "--json", cwd=site, code=None, env=env)
    rows: list[Finding] = json.loads(result.stdout)
    bad = any(row["level"] in {"error", "warning"} for row in rows)
    assert result.returncode == (1 if bad else 0)
    assert all(list(row) == ["level", "subject", "what", "remedy"] for row in rows)
    return [row for row in rows if row["subject"] not in {"gpu", "/etc/llama.cpp/config.ini"}]


def about(rows: list[Finding], subject: str | Path) -> Finding:
    """The one finding about something."""
    (row,) = (row for row in rows if row["subject"] == str(subject))
    return row


def test_a_sound_site_has_no_findings(agent: Agent, quiet: Path) -> None:
    assert found(agent, quiet) == []


def test_the_worst_comes_first_and_remedies_stand_below(agent: Agent, quiet: Path) -> None:
    (quiet / ".git").rmdir()
    (quiet / "profiles" / "b.yaml").write_text("model: /nowhere.gguf\n")

    lines = agent("doctor", cwd=quiet, code=1).stdout.splitlines()
    levels = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert levels == sorted(levels, key=["error", "warning", "info"].index)
    assert "error    b: the model /nowhere.gguf is not there" in lines
    assert f"         {quiet / 'profiles' / 'b.yaml'}:1" in lines


def test_faults_of_files_are_findings(agent: Agent, quiet: Path) -> None:
    file = quiet / "profiles" / "tiny.yaml"
    file.write_text(file.read_text() + "stat: x\n")

    row = about(found(agent, quiet), f"{file}:3:1")
    assert row["level"] == "error"
    assert "did you mean 'state'?" in row["what"]


def test_a_program_is_tried_in_the_environment_of_a_server(agent: Agent, quiet: Path, home: Path) -> None:
    lacking = 'test "$GIVEN" = yes || { echo "lib missing" >&2; exit 3; }'
    script = program(home, "llama-server", f"{lacking}; echo '--model FILE'; echo '--port N'")
    (quiet / "llamaagent.yaml").write_text(f"profiles: profiles/\nbinary: {script}\n")
    assert "ended with 3: lib missing" in about(found(agent, quiet, env={"GIVEN": "yes"}), script)["what"]

    (quiet / "llamaagent.yaml").write_text(f"profiles: profiles/\nbinary: {script}\nenv: {{GIVEN: 'yes'}}\n")
    assert found(agent, quiet) == []


def test_a_program_that_lacks_a_library_or_is_missing(agent: Agent, quiet: Path, home: Path) -> None:
    text = "llama-server: error while loading shared libraries: libx.so.1: cannot open shared object file: No such"
    script = program(home, "llama-server", f"echo '{text}' >&2; exit 127")
    (quiet / "llamaagent.yaml").write_text(f"profiles: profiles/\nbinary: {script}\n")
    assert "libx.so.1 is not found" in about(found(agent, quiet), script)["what"]

    script.unlink()
    assert "not a program that can be run" in about(found(agent, quiet), script)["what"]


def test_secrets_without_a_value_and_of_this_shell_alone(agent: Agent, quiet: Path, home: Path) -> None:
    (quiet / "profiles" / "keyed.yaml").write_text(
        f"model: {home / 'm.gguf'}\nlisten: {{host: 0.0.0.0}}\nsecrets: {{api-key: {{env: KEYED}}}}\n"
    )
    assert about(found(agent, quiet), "keyed")["level"] == "error"

    row = about(found(agent, quiet, env={"KEYED": "canary"}), "keyed")
    assert (row["level"], "this shell only" in row["what"]) == ("warning", True)
    assert "canary" not in json.dumps(row)


def test_a_server_open_to_all_without_a_key(agent: Agent, quiet: Path, home: Path) -> None:
    (quiet / "profiles" / "tiny.yaml").write_text(
        f"model: {home / 'm.gguf'}\nstate: stopped\nlisten: {{host: 0.0.0.0}}\n"
    )

    assert "without an api-key" in about(found(agent, quiet), "tiny")["what"]


def test_modes_of_the_database_and_its_folder(agent: Agent, quiet: Path, home: Path) -> None:
    database = home / "data" / "llamaagent" / "llamaagent.db"
    database.chmod(0o644)
    database.parent.chmod(0o755)

    rows = found(agent, quiet)
    assert about(rows, database)["remedy"] == f"chmod 600 {database}"
    assert about(rows, database.parent)["remedy"] == f"chmod 700 {database.parent}"


def test_a_database_of_another_site_or_none(agent: Agent, quiet: Path, home: Path) -> None:
    other = home / "other"
    other.mkdir()
    (other / ".git").mkdir()
    (other / "llamaagent.yaml").write_text("binary: /bin/true\nprofiles: ../site/profiles\n")
    database = home / "data" / "llamaagent" / "llamaagent.db"
    assert f"belongs to the site {quiet / 'llamaagent.yaml'}" in about(found(agent, other), database)["what"]

    assert (
        about(found(agent, other, env={"LLAMAAGENT_DB_PATH": str(home / "n.db")}), home / "n.db")["level"]
        == "info"
    )


def test_disk_short_of_the_headroom(agent: Agent, quiet: Path) -> None:
    (quiet / "llamaagent.yaml").write_text(
        "profiles: profiles/\nbinary: /bin/true\nheadroom: {disk: 900000TiB}\n"
    )

    rows = [row for row in found(agent, quiet) if "headroom.disk" in row["what"]]
    assert rows
    assert any("database" in row["what"] for row in rows)


def test_a_stranger_on_a_fixed_port(agent: Agent, quiet: Path, home: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        (quiet / "profiles" / "fixed.yaml").write_text(
            f"model: {home / 'm.gguf'}\nlisten: {{port: {port}}}\n"
        )

        row = about(found(agent, quiet), "fixed")
    assert row["level"] == "error"
    assert f"its port {port} is held by pid {os.getpid()} (" in row["what"]


def test_a_range_of_ports_that_is_used_up(agent: Agent, quiet: Path, home: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        (quiet / "llamaagent.yaml").write_text(
            f"profiles: profiles/\nbinary: /bin/true\nports: {port}-{port}\n"
        )
        (quiet / "profiles" / "auto.yaml").write_text(f"model: {home / 'm.gguf'}\n")

        assert "1 more port(s) of" in about(found(agent, quiet), "ports")["what"]


def test_a_server_of_this_site_that_no_row_knows(agent: Agent, quiet: Path, home: Path) -> None:
    marks = {
        "LLAMAAGENT_SITE": site_id(str(quiet / "llamaagent.yaml")),
        "LLAMAAGENT_PROFILE": "lost",
        "LLAMAAGENT_LAUNCH_ID": "0123",
    }
    server = subprocess.Popen(["/bin/sleep", "60"], env={**scratch_environment(home), **marks})
    try:
        row = about(found(agent, quiet), "lost")
    finally:
        server.kill()
        server.wait()
    assert f"pid {server.pid} is a server of this site" in row["what"]
    assert about_none(found(agent, quiet), "lost")


def about_none(rows: list[Finding], subject: str) -> bool:
    return not [row for row in rows if row["subject"] == subject]


def test_our_own_server_is_no_stranger_and_a_dead_one_is_noticed(
    agent: Agent, quiet: Path, home: Path, fake_server: str, free_port: int
) -> None:
    (quiet / "llamaagent.yaml").write_text(f"profiles: profiles/\nbinary: {fake_server}\n")
    (quiet / "profiles" / "live.yaml").write_text(
        f"model: {home / 'm.gguf'}\nlisten: {{port: {free_port}}}\n"
    )
    agent("run", "--once", "--wait", "--no-report", cwd=quiet)
    try:
        assert found(agent, quiet) == []
        pid = int(json.loads(agent("ps", "live", "--json", cwd=quiet).stdout)[0]["pid"])
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 10
        while os.path.exists(f"/proc/{pid}/exe") and time.monotonic() < until:
            time.sleep(0.01)

        assert f"its process {pid} is gone" in about(found(agent, quiet), "live")["what"]
    finally:
        agent("stop", "--all", cwd=quiet, code=None)


def test_passes_that_nobody_makes(agent: Agent, quiet: Path, home: Path) -> None:
    (home / "config" / "systemd" / "user" / "llamaagent.service").unlink()
    program(home, "crontab", "exit 1")
    assert about(found(agent, quiet), "passes")["level"] == "info"

    program(home, "crontab", "echo '* * * * * llamaagent run --once'")
    assert about_none(found(agent, quiet), "passes")

    program(home, "crontab", "echo '# * * * * * llamaagent run --once'")
    lock = home / "data" / "llamaagent" / "llamaagent.db.agent.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert about_none(found(agent, quiet), "passes")
    assert about(found(agent, quiet), "passes")["level"] == "info"


def test_the_last_pass_was_long_ago(agent: Agent, quiet: Path, home: Path) -> None:
    import apsw

    db = apsw.Connection(str(home / "data" / "llamaagent" / "llamaagent.db"))
    db.execute("UPDATE system_samples SET ts = ts - 3600")
    db.close()

    row = about(found(agent, quiet), "passes")
    assert row["level"] == "warning"
    assert "1 h ago, although systemd" in row["what"]


def test_variables_that_mean_nothing_here(agent: Agent, quiet: Path) -> None:
    row = about(found(agent, quiet, env={"LLAMA_ARG_CTX_SIZE": "4096"}), "environment")

    assert row["level"] == "info"
    assert "LLAMA_ARG_CTX_SIZE" in row["what"]


def test_profiles_outside_of_git(agent: Agent, quiet: Path) -> None:
    (quiet / ".git").rmdir()

    assert about(found(agent, quiet), quiet / "profiles")["remedy"] == f"git init {quiet}"


def test_without_a_site_it_says_how_to_begin(agent: Agent, home: Path) -> None:
    assert about(found(agent, home), "settings")["remedy"] == "llamaagent init"


@pytest.mark.alone
def test_it_is_over_soon_when_a_program_hangs(agent: Agent, quiet: Path, home: Path) -> None:
    script = program(home, "llama-server", "exec sleep 60")
    (quiet / "llamaagent.yaml").write_text(f"profiles: profiles/\nbinary: {script}\n")
    before = time.monotonic()

    assert "did not end in time" in about(found(agent, quiet), script)["what"]
    assert time.monotonic() - before < 30
