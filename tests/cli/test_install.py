"""`install cron` and `install systemd`: one block, one unit, nothing else touched, nothing without consent."""

import os
import pty
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scratch_home import Agent, program, scratch_environment

CRONTAB = """
case "$1" in
-l) cat "$HOME/crontab" 2>/dev/null || { echo "no crontab for me" >&2; exit 1; } ;;
-) cat >"$HOME/crontab" ;;
*) exit 2 ;;
esac
"""
OTHERS = "# mine\n0 1 * * * backup\n"


@pytest.fixture
def crontab(home: Path) -> Path:
    """The file behind a crontab program."""
    program(home, "crontab", CRONTAB)
    return home / "crontab"


def block(site: Path, text: str) -> list[str]:
    """The lines of the site's block, marks included."""
    lines = text.splitlines()
    mark = f"llamaagent {site / 'llamaagent.yaml'}"
    return lines[lines.index(f"# BEGIN {mark}") : lines.index(f"# END {mark}") + 1]


def test_the_block_is_shown_and_put_behind_what_is_there(agent: Agent, site: Path, crontab: Path) -> None:
    crontab.write_text(OTHERS)

    result = agent("install", "cron", "--yes", cwd=site)
    assert crontab.read_text() == OTHERS + result.stdout
    assert len(block(site, result.stdout)) == 3


def test_the_line_runs_a_pass_as_cron_would(agent: Agent, site: Path, crontab: Path, home: Path) -> None:
    """A percent sign is escaped for cron, which hands the rest to sh, with almost no environment."""
    odd = site.rename(home / "50% of 'it'")
    agent("install", "cron", "--yes", cwd=odd)
    line = block(odd, crontab.read_text())[1]
    assert line.startswith("* * * * * ")

    command = line.removeprefix("* * * * * ").replace("\\%", "%")
    bare = {"HOME": str(home), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
    result = subprocess.run(
        ["/bin/sh", "-c", command], env=bare, cwd="/", capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert (home / "data" / "llamaagent" / "llamaagent.db").exists()


def test_a_second_time_changes_nothing_and_a_change_replaces_the_block(
    agent: Agent, site: Path, crontab: Path
) -> None:
    crontab.write_text(OTHERS)
    agent("install", "cron", "--yes", cwd=site)
    with crontab.open("a") as file:
        file.write("5 5 * * * later\n")
    before = crontab.read_text()

    assert "already_installed" in agent("install", "cron", cwd=site).stderr
    assert crontab.read_text() == before
    agent("install", "cron", "--yes", "--db", "other.db", cwd=site)
    after = crontab.read_text()
    assert after.replace(f" --db {site / 'other.db'}", "") == before
    assert after.count("# BEGIN llamaagent") == 1


def test_removing_leaves_the_rest_as_it_was(agent: Agent, site: Path, crontab: Path) -> None:
    crontab.write_text(OTHERS)
    agent("install", "cron", "--yes", cwd=site)

    agent("install", "cron", "--remove", "--yes", cwd=site)
    assert crontab.read_text() == OTHERS
    assert "already_removed" in agent("install", "cron", "--remove", cwd=site).stderr


def test_two_sites_have_two_blocks(agent: Agent, site: Path, crontab: Path, home: Path) -> None:
    other = home / "other"
    shutil.copytree(site, other)
    for folder in (site, other):
        agent("install", "cron", "--yes", cwd=folder)

    agent("install", "cron", "--remove", "--yes", cwd=site)
    assert len(block(other, crontab.read_text())) == 3
    assert crontab.read_text().count("# BEGIN") == 1


def test_without_a_terminal_nothing_is_done_unasked(agent: Agent, site: Path, crontab: Path) -> None:
    assert "--yes" in agent("install", "cron", cwd=site, code=2).stderr
    closed = agent("install", "cron", cwd=site, code=2, before=["sh", "-c", 'exec "$@" <&-', "sh"])
    assert "nobody can be asked" in closed.stderr
    assert not crontab.exists()


def test_printing_changes_nothing(agent: Agent, site: Path, crontab: Path, home: Path) -> None:
    assert len(block(site, agent("install", "cron", "--print", cwd=site).stdout)) == 3
    assert agent("install", "systemd", "--user", "--print", cwd=site).stdout.startswith(
        "# made by llamaagent"
    )
    assert not crontab.exists()
    assert not (home / "config" / "systemd").exists()


@pytest.mark.parametrize(
    ("answer", "code", "there"), [(b"y\n", 0, True), (b"n\n", 1, False), (b"\n", 1, False)]
)
def test_on_a_terminal_it_asks(
    site: Path, crontab: Path, home: Path, answer: bytes, code: int, there: bool
) -> None:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        result = subprocess.run(
            [sys.executable, "-m", "llamaagent", "install", "cron"],
            cwd=site,
            env=scratch_environment(home),
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert result.returncode == code, result.stderr
    assert "put this into the crontab? [y/N]" in result.stderr
    assert crontab.exists() == there


def test_a_crontab_that_cannot_be_read_is_not_taken_for_an_empty_one(
    agent: Agent, site: Path, crontab: Path, home: Path
) -> None:
    crontab.write_text(OTHERS)
    program(
        home, "crontab", 'case "$1" in -l) echo "not allowed" >&2; exit 1 ;; -) cat >"$HOME/crontab" ;; esac'
    )

    assert "not allowed" in agent("install", "cron", "--yes", cwd=site, code=69).stderr
    assert crontab.read_text() == OTHERS


def test_without_cron_it_says_so(agent: Agent, site: Path, home: Path) -> None:
    result = agent("install", "cron", "--yes", cwd=site, code=69, env={"PATH": str(home / "bin")})

    assert "cannot run crontab" in result.stderr


def test_without_a_settings_file_nothing_is_installed(agent: Agent, crontab: Path) -> None:
    assert "llamaagent init" in agent("install", "cron", "--yes", code=78).stderr
    assert not crontab.exists()


def test_a_secret_of_this_shell_alone_is_pointed_out(
    agent: Agent, site: Path, crontab: Path, home: Path
) -> None:
    (site / "profiles" / "keyed.yaml").write_text(
        f"model: {home / 'm.gguf'}\nstate: stopped\nsecrets: {{api-key: {{env: KEYED}}}}\n"
    )
    assert "env_file: KEYED" in agent("install", "cron", "--yes", cwd=site).stderr

    (site / "secrets.env").touch(mode=0o600)
    (site / "secrets.env").write_text("KEYED=canary\n")
    (site / "llamaagent.yaml").write_text("profiles: profiles/\nenv_file: secrets.env\n")
    result = agent("install", "cron", "--yes", "--db", "x.db", cwd=site)
    assert "KEYED" not in result.stderr
    assert "canary" not in result.stdout + result.stderr + crontab.read_text()


def unit_of(home: Path) -> Path:
    return home / "config" / "systemd" / "user" / "llamaagent.service"


def test_the_unit_leaves_the_servers_alone(agent: Agent, site: Path, home: Path) -> None:
    program(home, "systemctl", 'echo "$*" >>"$HOME/told"')

    result = agent("install", "systemd", "--user", "--yes", cwd=site)
    text = unit_of(home).read_text()
    lines = text.splitlines()
    assert text in result.stdout
    assert {"Type=notify", "KillMode=process", "OOMPolicy=continue", "Restart=on-failure"} <= set(lines)
    (start,) = (line for line in lines if line.startswith("ExecStart="))
    assert shlex.split(start.removeprefix("ExecStart="))[-3:] == [
        "--config",
        str(site / "llamaagent.yaml"),
        "run",
    ]
    assert (home / "told").read_text() == "--user daemon-reload\n"
    assert "systemctl --user enable --now llamaagent.service" in result.stderr
    assert "loginctl enable-linger" in result.stderr


def test_the_unit_is_updated_and_removed(agent: Agent, site: Path, home: Path) -> None:
    program(home, "systemctl", "exit 1")
    agent("install", "systemd", "--user", "--yes", cwd=site)

    assert "already_installed" in agent("install", "systemd", "--user", cwd=site).stderr
    changed = agent("install", "systemd", "--user", "--yes", "--db", "x.db", cwd=site)
    assert "restart llamaagent.service" in changed.stderr
    assert "daemon-reload" in changed.stderr
    assert f"--db {site / 'x.db'}" in unit_of(home).read_text()
    agent("install", "systemd", "--user", "--remove", "--yes", cwd=site)
    assert not unit_of(home).exists()
    assert "already_removed" in agent("install", "systemd", "--user", "--remove", cwd=site).stderr


def test_a_unit_of_somebody_else_stays(agent: Agent, site: Path, home: Path) -> None:
    unit_of(home).parent.mkdir(parents=True)
    unit_of(home).write_text("[Service]\nExecStart=/bin/true\n")

    for words in (["--yes"], ["--remove", "--yes"]):
        assert "not ours" in agent("install", "systemd", "--user", *words, cwd=site, code=73).stderr
    assert unit_of(home).read_text() == "[Service]\nExecStart=/bin/true\n"


def test_a_path_with_odd_characters_is_quoted_for_systemd(agent: Agent, site: Path, home: Path) -> None:
    """Where systemd's own checker is installed, it has the last word."""
    odd = site.rename(home / '50% of $it "x"')
    text = agent("install", "systemd", "--print", cwd=odd).stdout

    assert f'--config "{home}/50%% of $$it \\"x\\"/llamaagent.yaml" run\n' in text
    checker = shutil.which("systemd-analyze")
    if checker is not None:
        file = home / "llamaagent.service"
        file.write_text(text)
        result = subprocess.run(
            [checker, "verify", file], capture_output=True, text=True, timeout=60, check=False
        )
        assert (result.returncode, result.stderr) == (0, "")
