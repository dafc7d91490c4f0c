"""Servers that somebody else runs, as /proc and systemd show them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.base.paths import HostPaths
from llamaagent.domain.takeover import obstacle
from llamaagent.launch.foreign import circumstances, find_foreign
from llamaagent.launch.systemd import find_unit

if TYPE_CHECKING:
    from pathlib import Path


class Proc:
    """A /proc of a few pretended processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = HostPaths(str(root), str(root))
        (root / "sys/kernel/random").mkdir(parents=True)
        (root / "sys/kernel/random/boot_id").write_text("b\n")
        (root / "self").mkdir()
        (root / "self/cgroup").write_text("0::/user.slice/user-1000.slice/session-1.scope\n")
        (root / str(os.getpid()) / "ns").mkdir(parents=True)
        (root / str(os.getpid()) / "ns/pid").symlink_to("pid:[1]")

    def process(
        self,
        pid: int,
        ppid: int,
        *words: str,
        cgroup: str = "0::/\n",
        namespace: str = "pid:[1]",
        **environ: str,
    ) -> None:
        folder = self.root / str(pid)
        (folder / "ns").mkdir(parents=True)
        comm = os.path.basename(words[0])[:15]
        (folder / "stat").write_text(f"{pid} ({comm}) S {ppid} {pid} {pid} " + "0 " * 15 + "77 0\n")
        (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
        (folder / "environ").write_bytes(b"".join(f"{k}={v}".encode() + b"\0" for k, v in environ.items()))
        (folder / "cgroup").write_text(cgroup)
        (folder / "ns/pid").symlink_to(namespace)
        (folder / "cwd").symlink_to("/srv")


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path / "proc")


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl on PATH; the test writes what it says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "systemctl"
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return path


def says(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")


def test_only_llama_servers_that_nobody_of_us_launched_are_found(proc: Proc) -> None:
    proc.process(10, 1, "/opt/llama-server", "-m", "x.gguf", FOO="bar")
    proc.process(11, 1, "/opt/llama-server", "-m", "y.gguf", LLAMAAGENT_LAUNCH_ID="aa")
    proc.process(12, 1, "/usr/bin/vim", "llama-server")
    found = find_foreign(proc.host)
    assert [(one.identity.pid, one.identity.start_ticks) for one in found] == [(10, 77)]
    assert found[0].words == ("/opt/llama-server", "-m", "x.gguf")
    assert (found[0].cwd, found[0].environment, found[0].port) == ("/srv", {"FOO": "bar"}, None)


def test_a_service_that_systemd_restarts_is_recognised(proc: Proc, systemctl: Path) -> None:
    proc.process(10, 1, "llama-server", "-m", "x", cgroup="0::/system.slice/llama.service\n")
    says(
        systemctl,
        f"echo $* >{systemctl}.asked; echo MainPID=10; echo LoadState=loaded; echo Restart=on-failure",
    )
    (server,) = find_foreign(proc.host)
    found = obstacle(circumstances(server, proc.host)._replace(my_uid=server.uid))
    assert found is not None
    assert "Restart=on-failure in llama.service" in found.reason
    assert systemctl.with_name("systemctl.asked").read_text().endswith("-- llama.service\n")
    says(systemctl, "echo MainPID=10; echo LoadState=loaded; echo Restart=no")
    assert obstacle(circumstances(server, proc.host)._replace(my_uid=server.uid)) is None


def test_without_an_answer_of_systemd_nothing_is_taken_over(proc: Proc, systemctl: Path) -> None:
    proc.process(10, 1, "llama-server", "-m", "x", cgroup="0::/system.slice/llama.service\n")
    says(systemctl, "echo no bus >&2; exit 1")
    (server,) = find_foreign(proc.host)
    found = obstacle(circumstances(server, proc.host)._replace(my_uid=server.uid))
    assert found is not None
    assert "no bus" in found.reason


def test_what_stands_above_it_is_named_by_program_and_script(proc: Proc) -> None:
    proc.process(7, 1, "/usr/bin/python3", "/usr/bin/supervisord", "-n")
    proc.process(8, 7, "/bin/sh", "-c", "exec /opt/llama-server")
    proc.process(10, 8, "/opt/llama-server", "-m", "x")
    (server,) = find_foreign(proc.host)
    at = circumstances(server, proc.host)
    assert [parent.pid for parent in at.parents] == [8, 7]
    assert "llama-server" not in at.parents[0].names
    assert "supervisord" in at.parents[1].names


def test_another_pid_namespace_is_seen(proc: Proc) -> None:
    proc.process(10, 1, "/opt/llama-server", "-m", "x", namespace="pid:[2]")
    (server,) = find_foreign(proc.host)
    found = obstacle(circumstances(server, proc.host)._replace(my_uid=server.uid))
    assert found is not None
    assert "container" in found.reason


def test_a_users_unit_is_asked_for_where_the_system_has_none(systemctl: Path) -> None:
    says(
        systemctl,
        'test "$1" = --user && echo LoadState=loaded MainPID=5 | tr " " "\\n" || echo LoadState=not-found',
    )
    unit = find_unit("llama.service")
    assert (unit.user, unit.loaded, unit.main_pid) == (True, True, 5)
    says(systemctl, "exit 3")
    with pytest.raises(ServiceUnavailableError, match="status 3"):
        find_unit("llama.service")
