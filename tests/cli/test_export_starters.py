"""`export shell`, `systemd`, `cron`, `supervisor`: what they start is what our launch would start, secrets included."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
from export_site import EVIL, SECRET, evil_site, launch_words, no_secret
from live_site import Site, ports
from scratch_home import Agent, program

from neighbours.export_readers import cron_command, supervisor_sections, unit_values, unit_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BARE = {"PATH": "/usr/bin:/bin", "HOME": "/"}
CARDS = f"1,GPU-{'a' * 8}"


@pytest.fixture
def evil(home: Path) -> Path:
    """Values with line ends too."""
    return evil_site(home)


@pytest.fixture
def one_line(home: Path) -> Path:
    """The same without line ends, for files that cannot hold them."""
    return evil_site(home, lines=False)


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text() + text)


def started(words: Sequence[str], env: dict[str, str], cwd: str = "/") -> dict[str, object]:
    """Run what was exported; what the server says of its start."""
    result = subprocess.run(
        words, cwd=cwd, env={**BARE, **env}, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    assert no_secret(*found["argv"])
    return found


def same_as_a_launch(agent: Agent, site: Path, name: str, found: dict[str, object]) -> None:
    """The command line, the folder, and the variables that a launch sets."""
    env = found["env"]
    assert found["argv"] == launch_words(agent, site, name)[1:]
    assert found["cwd"] == "/"
    assert isinstance(env, dict)
    assert env["ODD"] == EVIL
    wanted = {
        "evil": {"LLAMA_API_KEY": SECRET, "CUDA_VISIBLE_DEVICES": CARDS, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
        "file": {"LLAMA_ARG_API_KEY_FILE": "/run/a key", "HF_TOKEN": "hf-value"},
        "cpu": {"CUDA_VISIBLE_DEVICES": "-1"},
    }[name]
    assert {key: env.get(key) for key in wanted} == wanted


# --- shell ---


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_the_script_runs_what_our_launch_runs(agent: Agent, evil: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        shell = "sh"
    script = evil / "run it.sh"
    agent("export", "shell", "-o", script, cwd=evil)

    assert no_secret(script.read_text())
    for name in ("evil", "file", "cpu"):
        found = started([shell, str(script), name], {"EVIL_KEY": SECRET}, str(evil))
        same_as_a_launch(agent, evil, name, found)


def test_the_script_says_what_it_lacks(agent: Agent, evil: Path) -> None:
    script = evil / "run.sh"
    agent("export", "shell", "-o", script, cwd=evil)

    def told(*words: str) -> tuple[int, str]:
        result = subprocess.run(
            [script, *words], env=BARE, capture_output=True, text=True, timeout=60, check=False
        )
        return result.returncode, result.stderr

    assert stat.S_IMODE(script.stat().st_mode) & 0o111 == 0o111
    code, text = told("evil")
    assert code != 0
    assert "EVIL_KEY is not set, evil needs it" in text
    assert told("nobody") == (2, f"usage: {script} NAME; the names are: cpu evil file\n")
    assert told()[0] == 2


def test_a_script_for_one_needs_no_name_and_passes_the_signal_on(
    agent: Agent, evil: Path, home: Path
) -> None:
    program(home, "llama-server", 'echo "$$"\n')
    script = agent("export", "shell", "cpu", cwd=evil).stdout

    with subprocess.Popen(["sh", "-c", script], env=BARE, stdout=subprocess.PIPE, text=True) as child:
        assert child.communicate(timeout=60)[0] == f"{child.pid}\n"


# --- systemd ---


def units(agent: Agent, site: Path, *words: str) -> dict[str, str]:
    folder = site / "units"
    agent("export", "systemd", "--servers", "-o", folder, *words, cwd=site)
    return {file.name: file.read_text() for file in sorted(folder.iterdir())}


def test_a_unit_starts_what_our_launch_starts(agent: Agent, evil: Path) -> None:
    made = units(agent, evil)

    assert list(made) == [f"llama-server-{name}.service" for name in ("cpu", "evil", "file")]
    for name in ("evil", "file", "cpu"):
        text = made[f"llama-server-{name}.service"]
        assert no_secret(text)
        values = unit_values(text)
        env = dict(unit_words(one, dollar=False)[0].split("=", 1) for one in values["Environment"])
        found = started(unit_words(values["ExecStart"][0], dollar=True), {**env, "EVIL_KEY": SECRET})
        same_as_a_launch(agent, evil, name, found)
        assert "INSTEAD OF llamaagent" in text


def test_a_unit_without_its_key_says_so_and_starts_nothing(agent: Agent, evil: Path) -> None:
    words = unit_words(
        unit_values(units(agent, evil)["llama-server-evil.service"])["ExecStart"][0], dollar=True
    )
    result = subprocess.run(words, env=BARE, capture_output=True, text=True, timeout=60, check=False)

    assert result.returncode != 0
    assert "EVIL_KEY is not set" in result.stderr
    assert result.stdout == ""


def test_a_unit_keeps_how_to_restart_and_where_the_keys_are(agent: Agent, evil: Path) -> None:
    append(evil / "llamaagent.yaml", f"env_file: {evil}/50%.env\n")
    append(
        evil / "profiles" / "all.yaml",
        "restart: {policy: on-failure, backoff: 7s, give_up_after: {failures: 3, within: 2m}}\n"
        "runtime: {cwd: '/srv/50% x'}\nstop: {grace: 33s}\n",
    )
    made = units(agent, evil)

    cpu = unit_values(made["llama-server-cpu.service"])
    assert (cpu["Restart"], cpu["RestartSec"], cpu["TimeoutStopSec"]) == (["on-failure"], ["7"], ["33"])
    assert (cpu["StartLimitBurst"], cpu["StartLimitIntervalSec"]) == (["3"], ["120"])
    assert cpu["WorkingDirectory"] == ["/srv/50%% x"]
    assert "EnvironmentFile" not in cpu
    assert unit_values(made["llama-server-evil.service"])["EnvironmentFile"] == [f"{evil}/50%%.env"]


def test_units_are_written_all_or_none(agent: Agent, site: Path, home: Path) -> None:
    """A disk that is full at the second of two leaves none; one that is there keeps all from being written."""
    for name, size in (("a", 10), ("b", 900_000)):
        (site / "profiles" / f"{name}.yaml").write_text(f"model: /m.gguf\nargs: {{grammar: {'x' * size}}}\n")
    folder = home / "units"
    words = ("export", "systemd", "--servers", "-o", folder, "a", "b")
    small = ["prlimit", "--fsize=800000"]

    full = agent(*words, cwd=site, code=73, before=small)
    assert "cannot write" in full.stderr
    assert full.stdout == ""
    assert list(folder.iterdir()) == []

    (folder / "llama-server-b.service").write_text("mine")
    agent(*words, cwd=site, code=73)
    assert [file.name for file in folder.iterdir()] == ["llama-server-b.service"]


@pytest.mark.parametrize("who", ["--servers", "--agent"])
def test_systemd_finds_nothing_wrong_with_a_unit(agent: Agent, evil: Path, who: str) -> None:
    """Where systemd is; the tests above read the same units by its rules."""
    folder = evil / "checked"
    folder.mkdir()
    target = folder if who == "--servers" else folder / "llamaagent.service"
    agent("export", "systemd", who, "-o", target, cwd=evil)

    if shutil.which("systemd-analyze"):
        result = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *map(str, sorted(folder.iterdir()))],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert [line for line in result.stderr.splitlines() if str(folder) in line] == []
        assert result.returncode == 0, result.stderr


# --- cron ---


def test_cron_starts_what_our_launch_starts(agent: Agent, one_line: Path, home: Path) -> None:
    log = home / "syslog"
    program(home, "logger", f'cat >"{log}.$2"\n')
    text = agent("export", "cron", "--servers", cwd=one_line).stdout
    lines = {line.rpartition(" llama-server-")[2]: line for line in text.splitlines() if "@reboot" in line}

    assert no_secret(text)
    assert "These variables: EVIL_KEY" in text or "EVIL_KEY" in text.partition("@reboot")[0]
    assert lines["file"].startswith("# stopped: @reboot ")
    for name, line in lines.items():
        for strips in (True, False):
            command = cron_command(line.removeprefix("# stopped: ").removeprefix("@reboot "), strips=strips)
            env = {**BARE, "PATH": f"{home / 'bin'}:/usr/bin:/bin", "EVIL_KEY": SECRET}
            subprocess.run(["/bin/sh", "-c", command], env=env, timeout=60, check=True)
            found = json.loads((home / f"syslog.llama-server-{name}").read_text())
            same_as_a_launch(agent, one_line, name, found)


def test_what_no_line_can_hold_is_left_out(agent: Agent, evil: Path) -> None:
    file = evil / "profiles" / "long.yaml"
    file.write_text(f"model: /m.gguf\nargs: {{grammar: '{'x' * 1000}'}}\n")
    result = agent("export", "cron", "--servers", cwd=evil)

    assert "evil: args was not carried over: a line cannot hold a line end" in result.stderr
    assert "long: args was not carried over: cron takes 990 bytes" in result.stderr
    assert "cpu: restart was not carried over: cron starts a server once" in result.stderr
    assert max(len(line) for line in result.stdout.splitlines()) < 998
    agent("export", "cron", "--servers", "long", cwd=evil, code=65)


# --- supervisord ---


def test_supervisord_starts_what_our_launch_starts(agent: Agent, one_line: Path) -> None:
    text = agent("export", "supervisor", "--servers", cwd=one_line).stdout
    sections = supervisor_sections(text)

    assert no_secret(text)
    for name in ("evil", "file", "cpu"):
        section = sections[f"program:llama-server-{name}"]
        found = started(shlex.split(section["command"]), {"EVIL_KEY": SECRET}, section["directory"])
        same_as_a_launch(agent, one_line, name, found)
    assert sections["program:llama-server-file"]["autostart"] == "false"
    assert sections["program:llama-server-file"]["stopwaitsecs"] == "20"
    assert sections["program:llama-server-cpu"]["autorestart"] == "true"


def test_a_folder_that_supervisord_would_cut_is_gone_to_by_a_shell(
    agent: Agent, evil: Path, home: Path
) -> None:
    place = home / "50% ;x"
    place.mkdir()
    append(evil / "profiles" / "all.yaml", f"runtime: {{cwd: {json.dumps(str(place))}}}\n")
    section = supervisor_sections(agent("export", "supervisor", "--servers", "cpu", cwd=evil).stdout)

    command = shlex.split(section["program:llama-server-cpu"]["command"])
    assert started(command, {})["cwd"] == str(place)


# --- who runs llamaagent ---


def test_the_agent_of_an_export_is_that_of_an_install(agent: Agent, evil: Path) -> None:
    for kind, words in (("systemd", ("--user",)), ("cron", ())):
        printed = agent("install", kind, *words, "--print", cwd=evil).stdout
        assert agent("export", kind, "--agent", *words, cwd=evil).stdout == printed


def test_supervisord_runs_the_loop_of_this_site_and_not_its_servers(agent: Agent, one_line: Path) -> None:
    odd = one_line.rename(one_line.parent / "50% ;of 'it' #1")
    section = supervisor_sections(agent("export", "supervisor", "--agent", cwd=odd).stdout)[
        "program:llamaagent"
    ]
    words = shlex.split(section["command"])

    assert words[-3:] == ["--config", str(odd / "llamaagent.yaml"), "run"]
    assert (section["killasgroup"], section["stopasgroup"]) == ("false", "false")
    result = subprocess.run(
        [*words[:-1], "settings", "binary", "--json"],
        cwd="/",
        env=BARE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "llama-server" in result.stdout


def test_one_of_agent_and_servers_must_be_said(agent: Agent, evil: Path) -> None:
    for kind in ("systemd", "cron", "supervisor"):
        assert "--agent" in agent("export", kind, cwd=evil, code=2).stderr
        agent("export", kind, "--agent", "--servers", cwd=evil, code=2)
        agent("export", kind, "--agent", "cpu", cwd=evil, code=2)


# --- never two supervisors ---


@pytest.fixture
def fake_site(tmp_path: Path, fake_server: str) -> Iterator[Site]:
    """A site whose servers are the fake."""
    model = tmp_path / "fake.gguf"
    model.write_bytes(b"GGUF" + bytes(60))
    with ports() as block:
        made = Site(tmp_path, block, fake_server, str(model))
        yield made
        made.stop_all()


@pytest.mark.parametrize("kind", ["systemd", "cron", "supervisor"])
def test_what_the_agent_runs_gets_no_second_supervisor(fake_site: Site, kind: str) -> None:
    fake_site.profile("alpha")
    fake_site.profile("beta", state="stopped")
    fake_site.settle("running", "alpha")

    refused = fake_site.run("export", kind, "--servers", "-o", "out")
    assert refused.rc == 78, refused.err
    assert "the agent runs alpha now" in refused.err
    assert not os.path.exists(fake_site.root / "out")
    assert fake_site.run("export", kind, "--servers", "beta").rc == 0
    assert fake_site.run("export", kind, "--servers", "--force").rc == 0


def test_a_port_once_had_is_kept_and_a_live_server_is_told(fake_site: Site) -> None:
    fake_site.profile("zeta")
    fake_site.profile("alpha", state="stopped")
    fake_site.settle("running", "zeta")
    result = fake_site.run("export", "shell")

    port = fake_site.newest()["zeta"]["port"]
    assert result.out.count(f"--port {port} ") == 1
    assert "llamaagent runs now: zeta" in result.err
    fake_site.run("stop", "zeta")
    assert "llamaagent runs now" not in fake_site.run("export", "shell").err
