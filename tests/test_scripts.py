"""The scripts behind make: what they say and do on a machine that lacks something."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPTS = sorted(name for name in os.listdir(os.path.join(ROOT, "scripts")) if name.endswith(".sh"))
TOOLS = ["cat", "cksum", "dirname", "id", "ln", "mkdir", "rm", "sh", "tail"]
NO_PIP = 'case "$*" in *"import ensurepip"*|*"import pip"*|"-m pip"*) exit 1;; esac\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the scripts need of a checkout."""
    copy = tmp_path / "a check out"
    shutil.copytree(os.path.join(ROOT, "scripts"), copy / "scripts")
    shutil.copy(os.path.join(ROOT, "pyproject.toml"), copy)
    return copy


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder to be the whole PATH: a machine with the basic tools and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (folder / tool).symlink_to(found)
    return folder


def program(folder: Path, name: str, body: str) -> None:
    """Put a shell script on the machine's PATH."""
    (folder / name).write_text(f"#!/bin/sh\n{body}")
    (folder / name).chmod(0o755)


def run(checkout: Path, programs: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(checkout / "scripts" / script), *words],
        cwd=programs,
        env={"PATH": str(programs), "HOME": str(programs)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_a_program_in_plain_shell(name: str) -> None:
    path = os.path.join(ROOT, "scripts", name)
    with open(path, encoding="utf-8") as file:
        assert file.readline() == "#!/bin/sh\n"

    assert os.stat(path).st_mode & stat.S_IXUSR
    assert subprocess.run(["sh", "-n", path], check=False).returncode == 0


def test_a_python_that_is_too_old_gets_one_line(checkout: Path, programs: Path) -> None:
    program(programs, "python3", 'case "$*" in *platform*) echo Python 3.9.2;; *) exit 1;; esac\n')

    result = run(checkout, programs, "setup.sh", "demo")

    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("setup: python3 is Python 3.9.2, llamaagent needs Python 3.11 or later: ")
    assert line.endswith("PYTHON=/path/to/python3.11 make demo")


def test_no_python_at_all_gets_one_line(checkout: Path, programs: Path) -> None:
    result = run(checkout, programs, "setup.sh", "test")

    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("setup: python3 is not there or does not start, ")


def test_a_python_under_its_own_name_is_found(checkout: Path, programs: Path) -> None:
    """The python3 on PATH is too old; the good one also is no more than a stub: it fails to make .venv."""
    program(programs, "python3", "exit 1\n")
    program(
        programs,
        "python3.12",
        'case "$*" in *ensurepip*|*version_info*) ;; -V) echo Python 3.12.1;; *) exit 3;; esac\n',
    )

    result = run(checkout, programs, "setup.sh", "demo")

    assert result.returncode == 1
    assert f"with Python 3.12.1 ({programs}/python3.12)" in result.stdout
    assert "could not make .venv" in result.stderr


def test_a_python_without_ensurepip_and_pip_gets_one_line_to_type(checkout: Path, programs: Path) -> None:
    program(programs, "python3", f'{NO_PIP}exec "{sys.executable}" "$@"\n')

    result = run(checkout, programs, "setup.sh", "demo")

    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line == "setup: python3 has neither ensurepip nor pip; type: sudo apt-get install python3-venv"
    assert not (checkout / ".venv").exists()


def test_what_is_up_to_date_is_left_alone_until_the_project_changes(checkout: Path, programs: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / ".made-in").write_text(f"{checkout}\n")
    program(checkout / ".venv" / "bin", "python", 'case "$*" in *"-m pip"*) echo "$*" >>installs;; esac\n')

    first = run(checkout, programs, "setup.sh", "demo")
    second = run(checkout, programs, "setup.sh", "demo")
    with (checkout / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("# a change\n")
    third = run(checkout, programs, "setup.sh", "demo")

    assert first.stdout == third.stdout == "setup: installing what 'make demo' needs\n"
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert len((checkout / "installs").read_text().splitlines()) == 2


def test_an_install_that_fails_shows_why_and_is_tried_again(checkout: Path, programs: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / ".made-in").write_text(f"{checkout}\n")
    program(
        checkout / ".venv" / "bin", "python", 'case "$*" in *"-m pip"*) echo no network here; exit 1;; esac\n'
    )

    for _ in range(2):
        result = run(checkout, programs, "setup.sh", "demo")

        assert result.returncode == 1
        assert result.stderr.splitlines() == [
            "no network here",
            "setup: could not install what 'make demo' needs; everything it printed is in .cache/setup.log",
        ]


def test_a_kind_of_work_that_does_not_exist_is_refused(checkout: Path, programs: Path) -> None:
    result = run(checkout, programs, "setup.sh", "everything")

    assert result.returncode == 1
    assert result.stderr == "setup: usage: scripts/setup.sh demo|test|lint\n"


def test_building_llama_server_without_a_compiler_says_what_to_type(checkout: Path, programs: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    program(checkout / ".venv" / "bin", "python", "exit 1\n")
    (programs / "ls").symlink_to(shutil.which("ls") or "")

    result = run(checkout, programs, "install_llama_server.sh")

    assert result.returncode == 1
    assert result.stderr == "llama-server: no c++ here; type: sudo apt-get install g++ cmake make\n"


def test_tools_that_root_would_have_to_install_are_named(checkout: Path, programs: Path) -> None:
    for tool in ["ls", "grep"]:
        (programs / tool).symlink_to(shutil.which(tool) or "")
    (programs / "id").unlink()
    program(programs, "id", "echo 1000\n")
    program(programs, "apt-get", "echo it must not be called >&2; exit 1\n")

    result = run(checkout, programs, "install_test_tools.sh")

    assert result.returncode == 1
    assert result.stderr.startswith(
        "test tools: not root; type: sudo apt-get install git docker.io busybox-static g++ cmake make"
    )
