"""What a launch is made of, and that the next pass adopts it without doing anything."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from scratch_site import Site, ask, complete, kill

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.binary


def words_of(pid: object, name: str) -> list[str]:
    with open(f"/proc/{pid}/{name}", "rb") as file:
        return file.read().decode().rstrip("\0").split("\0")


def test_two_profiles_are_launched_once_and_adopted_by_every_later_pass(site: Site) -> None:
    site.profile("alpha")
    site.profile("beta")
    first = site.once()
    assert (first.out, first.err) == ("", "")
    pids = site.live()
    assert sorted(pids) == ["alpha", "beta"]
    assert all(len(found) == 1 for found in pids.values())
    rows = site.settle()
    assert {name: [row["pid"]] for name, row in rows.items()} == pids
    before = {table: site.count(table) for table in ("decisions", "instances", "logs", "audit_log")}
    for _ in range(2):
        done = site.once()
        assert (done.out, done.err) == ("", "")
    assert {table: site.count(table) for table in before} == before
    assert site.live() == pids
    assert site.decisions("alpha") == [("start", "declared"), ("ready", "healthy")]
    for row in rows.values():
        assert ask(row["port"], "/health")[0] == 200


def test_the_row_says_what_was_really_started(site: Site) -> None:
    site.profile("alpha", args={"threads": 1, "c": 512, "temp": 0.7})
    row = site.settle()["alpha"]
    argv = words_of(row["pid"], "cmdline")
    assert json.loads(str(row["argv"])) == argv
    assert argv[0] == site.binary
    assert argv[argv.index("--host") + 1] == "127.0.0.1"
    assert argv[argv.index("--port") + 1] == str(row["port"])
    assert argv[argv.index("--ctx-size") + 1] == "512"
    assert "--metrics" in argv
    assert "--log-file" not in argv
    environ = dict(word.partition("=")[::2] for word in words_of(row["pid"], "environ"))
    assert json.loads(str(row["environment"])) == environ
    assert environ["LLAMAAGENT_SITE"] == site.id
    assert (environ["LLAMAAGENT_PROFILE"], environ["LLAMAAGENT_LAUNCH_ID"]) == ("alpha", row["launch_id"])
    assert row["context_size"] == 512


def test_the_server_stands_alone_with_its_output_in_a_private_log(site: Site) -> None:
    site.profile("alpha")
    row = site.settle()["alpha"]
    log = str(row["log_path"])
    assert stat.S_IMODE(os.stat(log).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(log)).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(site.database).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(site.database)).st_mode) == 0o700
    for number, target in ((0, "/dev/null"), (1, log), (2, log)):
        assert os.readlink(f"/proc/{row['pid']}/fd/{number}") == target
    with open(f"/proc/{row['pid']}/fdinfo/1", encoding="ascii") as file:
        flags = int(next(line for line in file if line.startswith("flags:")).split()[1], 8)
    assert flags & os.O_APPEND
    wrapper = int(str(row["wrapper_pid"]))
    assert os.getsid(int(str(row["pid"]))) == wrapper == os.getpgid(int(str(row["pid"])))


def test_a_config_ini_of_the_caller_is_not_read(site: Site) -> None:
    for folder in (site.env["XDG_CONFIG_HOME"], f"{site.env['HOME']}/.config"):
        os.makedirs(f"{folder}/llama.cpp", exist_ok=True)
        with open(f"{folder}/llama.cpp/config.ini", "w", encoding="ascii") as file:
            file.write("[*]\nctx-size = 256\n")
    site.profile("alpha")
    row = site.settle()["alpha"]
    with open(str(row["log_path"]), encoding="utf-8") as file:
        assert "config file" not in file.read()
    assert row["context_size"] != 256
    # The same words in the caller's own environment: there the file is read, so the test means something.
    control = subprocess.Popen(
        json.loads(str(row["argv"])), env=site.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    out, _ = control.communicate(timeout=20)  # its port is taken, so it ends by itself
    assert b"using config file" in out


def test_variables_of_the_caller_do_not_reach_the_server(site: Site) -> None:
    site.env |= {"LLAMA_ARG_CTX_SIZE": "128", "LLAMA_ARG_NO_MMAP": "1", "LC_ALL": "C", "CANARY": "1"}
    site.profile("alpha", args={"threads": 1})
    row = site.settle()["alpha"]
    names = {word.partition("=")[0] for word in words_of(row["pid"], "environ")}
    assert not {name for name in names if name.startswith("LLAMA_ARG_")}
    assert "CANARY" not in names
    assert row["context_size"] != 128


NOISE = """
export LC_ALL=C.UTF-8 LANG=de_DE.UTF-8 TZ=Asia/Tokyo FOO='two words' LLAMA_ARG_THREADS=7 CUDA_VISIBLE_DEVICES=7
export TMPDIR=/nowhere XDG_CONFIG_DIRS=/nowhere HF_TOKEN=unwanted EDITOR=vi OLDPWD=/
umask 022; ulimit -c 0; trap '' HUP; exec 7</etc/passwd
"""


def test_a_bare_and_a_noisy_shell_launch_the_same(site: Site) -> None:
    """Cron has next to no environment, a login shell has plenty: argv and environment come out equal."""
    site.profile("alpha", restart={"backoff": "1m"})  # long enough to be seen down
    kept = {name: value for name, value in site.env.items() if name.startswith(("XDG_", "PYTHON"))}
    program = [sys.executable, "-P", "-m", "llamaagent"]
    options = ["--config", str(site.root / "llamaagent.yaml")]
    bare = [
        "env",
        "-i",
        *(f"{name}={value}" for name, value in kept.items()),
        *program,
        "run",
        "--once",
        *options,
    ]
    seen = []
    noisy = ["bash", "-l", "-c", f'{NOISE}\nexec "$@"', "bash", *program, "run", "--once", *options]
    for argv, folder in ((bare, "/"), (noisy, str(site.root / "profiles"))):
        done = subprocess.run(argv, env=site.env, cwd=folder, capture_output=True, timeout=30, check=False)
        assert done.returncode == 0, done
        row = site.settle()["alpha"]
        environ = [w for w in words_of(row["pid"], "environ") if not w.startswith("LLAMAAGENT_LAUNCH_ID=")]
        with open(f"/proc/{row['pid']}/status", encoding="ascii") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        state = [status[name].strip() for name in ("Umask", "SigBlk", "SigIgn")]
        files = sorted(os.listdir(f"/proc/{row['pid']}/fd"), key=int)[:3]
        seen.append(
            (words_of(row["pid"], "cmdline"), environ, state, files, os.readlink(f"/proc/{row['pid']}/cwd"))
        )
        kill(int(str(row["pid"])))
        site.settle("error")
        site.edit("UPDATE instances SET retry_ts = NULL")
    assert seen[0] == seen[1]


def test_a_name_on_path_is_looked_up_once_and_remembered(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    wrapper = folder / "llama-server"
    wrapper.write_text(f'#!/bin/sh\nexec "{site.binary}" "$@"\n')
    wrapper.chmod(0o700)
    site.settings(binary="llama-server")
    site.profile("alpha", restart={"backoff": "1m"})  # long enough to be seen down
    row = {}
    for path in (f"{folder}:{site.env['PATH']}", site.env["PATH"]):
        site.env["PATH"] = path
        row = site.settle()["alpha"]
        assert row["binary"] == str(wrapper)
        kill(int(str(row["pid"])))
        site.settle("error")
        site.edit("UPDATE instances SET retry_ts = NULL")
    assert complete(site.settle()["alpha"]["port"], "hello", 4)["content"] is not None
