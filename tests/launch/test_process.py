"""Launching, finding again and ending, with real processes."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from llamaagent.base.clock import SystemClock
from llamaagent.base.errors import CannotCreateError, ServiceUnavailableError
from llamaagent.launch.adopt import find_launched, members
from llamaagent.launch.ending import signal_launch
from llamaagent.launch.exits import ExitRecord, parse_exit, read_exit
from llamaagent.launch.identity import alive, identify, read_stat
from llamaagent.launch.process import bury, children_of, start, wait_for_server

if TYPE_CHECKING:
    import pathlib

    from conftest import Ground, Launched

SHELLS = [
    pytest.param([path], id=os.path.basename(path))
    for path in ("/bin/sh", "/bin/dash", "/bin/bash")
    if os.path.exists(path)
]
SLOW_TO_END = """
import signal, sys, time
def end(*_):
    time.sleep(0.3)
    sys.exit(7)
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
while True:
    time.sleep(1)
"""
PLAIN = "import time; print('up', flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
WITH_CHILD = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    print("grandchild", flush=True)
    time.sleep(60)
while "grandchild" not in open("/proc/self/fd/1").read():
    time.sleep(0.01)
print("up", flush=True)
time.sleep(60)
"""


def exit_of(ground: Ground, launched: Launched) -> ExitRecord:
    """The exit record, once it is there."""
    ground.until(lambda: read_exit(launched.request.exit_path))
    record = read_exit(launched.request.exit_path)
    assert record is not None
    return record


def busybox(tmp_path: pathlib.Path) -> str | None:
    """A `sh` that is busybox, where there is one."""
    found = shutil.which("busybox")
    if found is None:
        return None
    link = tmp_path / "sh"
    link.symlink_to(found)
    return str(link)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_signal_to_the_group_leaves_the_servers_true_status(ground: Ground, shell: list[str]) -> None:
    launched = ground.python(SLOW_TO_END, shell=shell[0])
    assert launched.signal(signal.SIGTERM)
    assert launched.signal(signal.SIGTERM), "the wrapper and the server wait for the end"
    record = exit_of(ground, launched)
    assert (record.exit_code, record.exit_signal) == (7, None)
    ground.until(launched.gone)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_server_without_a_handler_dies_of_the_signal_and_it_is_recorded(
    ground: Ground, shell: list[str], signum: int
) -> None:
    program = f"import signal; signal.signal({int(signum)}, signal.SIG_DFL); {PLAIN}"
    launched = ground.python(program, shell=shell[0])
    assert launched.signal(signum)
    assert exit_of(ground, launched).exit_signal == signum


def test_busybox_sh_does_the_same(ground: Ground, tmp_path: pathlib.Path) -> None:
    shell = busybox(tmp_path)
    launched = ground.python(SLOW_TO_END, shell=shell or "/bin/sh")  # else the machine's own has to do
    launched.signal(signal.SIGTERM)
    assert exit_of(ground, launched).exit_code == 7


@pytest.mark.parametrize("status", [0, 1, 3, 127])
def test_an_exit_status_is_recorded_as_it_is(ground: Ground, status: int) -> None:
    launched = ground.launch("/bin/sh", "-c", f"exit {status}")
    record = exit_of(ground, launched)
    assert (record.status, record.exit_code, record.exit_signal) == (status, status, None)
    assert abs(record.ended_ts - SystemClock().now()) < 60


def test_a_killed_server_is_recorded_as_137(ground: Ground) -> None:
    launched = ground.python(PLAIN)
    assert launched.server is not None
    os.kill(launched.server.pid, signal.SIGKILL)
    record = exit_of(ground, launched)
    assert (record.status, record.exit_code, record.exit_signal) == (137, None, 9)


def test_our_own_sigkill_leaves_a_record_too(ground: Ground) -> None:
    launched = ground.python(DEAF)
    launched.signal(signal.SIGTERM)
    assert alive(launched.server)
    assert launched.signal(signal.SIGKILL)
    assert exit_of(ground, launched).exit_signal == 9
    ground.until(launched.gone)


def test_a_program_that_does_not_exist_is_status_127(ground: Ground) -> None:
    launched = ground.launch("/nowhere/llama-server")
    assert exit_of(ground, launched).exit_code == 127
    assert "/nowhere/llama-server" in launched.log()


def test_waiting_for_the_server_of_a_dead_wrapper_ends_at_once(ground: Ground) -> None:
    launched = ground.launch("/nowhere/llama-server")
    exit_of(ground, launched)
    clock = SystemClock()
    begin = clock.monotonic()
    assert wait_for_server(launched.wrapper, begin + 30, clock) is None
    assert clock.monotonic() - begin < 5


def test_the_exit_record_is_private_and_nothing_else_is_left(ground: Ground) -> None:
    launched = ground.launch("/bin/true")
    exit_of(ground, launched)
    assert stat.S_IMODE(os.stat(launched.request.exit_path).st_mode) == 0o600
    assert not os.path.exists(f"{launched.request.exit_path}.new")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_ends_the_wrapper_without_a_record(ground: Ground) -> None:
    launched = ground.launch("/bin/sh", "-c", "sleep 0.2")
    os.symlink("/dev/full", f"{launched.request.exit_path}.new")  # every write to it fails with ENOSPC
    ground.until(launched.gone)
    assert read_exit(launched.request.exit_path) is None
    assert not os.path.lexists(f"{launched.request.exit_path}.new")


@pytest.mark.parametrize("text", [b"", b"\n", b"x\n", b"-1\n", b"256\n", b"12345678901234567"])
def test_an_exit_record_that_makes_no_sense_is_none(text: bytes) -> None:
    assert parse_exit(text, 0) is None


def test_the_log_is_private_and_appended_to(ground: Ground) -> None:
    launched = ground.launch("/bin/sh", "-c", "echo to-out; echo to-err >&2")
    with open(launched.request.log_path, "ab") as file:
        file.write(b"in between\n")
    exit_of(ground, launched)
    assert stat.S_IMODE(os.stat(launched.request.log_path).st_mode) == 0o600
    assert {"to-out", "to-err", "in between"} <= set(launched.log().splitlines())
    start(launched.request._replace(argv=("/bin/echo", "again")))
    ground.until(lambda: "again" in launched.log())
    assert "to-out" in launched.log()
    ground.until(launched.gone)
    bury()


def test_a_truncated_log_goes_on_from_its_beginning(ground: Ground) -> None:
    launched = ground.python(
        "import time\nprint('up'*99, flush=True); time.sleep(.5); print('later', flush=True)"
    )
    os.truncate(launched.request.log_path, 0)
    exit_of(ground, launched)
    assert launched.log() == "later\n"


def test_a_log_that_is_a_link_is_refused(ground: Ground) -> None:
    launched = ground.launch("/bin/true")
    os.symlink("/etc/hostname", f"{ground.folder}/link.log")
    with pytest.raises(CannotCreateError, match="cannot open log"):
        start(launched.request._replace(log_path=f"{ground.folder}/link.log"))


def test_a_folder_to_run_in_that_is_missing_is_refused(ground: Ground) -> None:
    launched = ground.launch("/bin/true")
    with pytest.raises(CannotCreateError, match="no such folder"):
        start(launched.request._replace(cwd="/nowhere"))


def test_a_missing_shell_is_said(ground: Ground) -> None:
    launched = ground.launch("/bin/true")
    with pytest.raises(ServiceUnavailableError, match="cannot start p with /nowhere/sh"):
        start(launched.request, shell="/nowhere/sh")


def test_the_server_gets_three_descriptors_default_signals_and_its_folder(ground: Ground) -> None:
    leak, other = os.pipe()
    os.set_inheritable(leak, True)
    program = (
        "import os, signal; fds = [n for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')];"
        "status = open('/proc/self/status').read();"
        "print(sorted(fds), os.getcwd(), os.readlink('/proc/self/fd/0'), oct(os.umask(0)));"
        "print([l for l in status.splitlines() if l.startswith(('SigBlk', 'SigIgn'))])"
    )
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        launched = ground.launch("/usr/bin/env", "python3", "-c", program)
        exit_of(ground, launched)
    finally:
        signal.signal(signal.SIGHUP, old)
        os.close(leak)
        os.close(other)
    first, second = launched.log().splitlines()
    assert first == f"['0', '1', '2'] {ground.folder} /dev/null 0o77"
    ignored = int(second.partition("SigIgn:\\t")[2][:16], 16)
    assert not ignored & 1 << (signal.SIGHUP - 1)
    assert "SigBlk:\\t0000000000000000" in second


def test_a_launch_leads_a_session_of_its_own(ground: Ground) -> None:
    launched = ground.python(PLAIN)
    assert launched.server is not None
    wrapper, server = read_stat(launched.wrapper.pid), read_stat(launched.server.pid)
    assert wrapper is not None
    assert server is not None
    assert wrapper.session == wrapper.pgrp == wrapper.pid == server.session == server.pgrp
    assert children_of(wrapper.pid) == [server.pid]


def test_a_launch_is_found_by_its_site(ground: Ground) -> None:
    first, second = ground.python(PLAIN, profile="a"), ground.python(PLAIN, profile="b")
    found = find_launched(ground.site)
    assert [(one.launch_id, one.profile, one.wrapper, one.server, one.others) for one in found] == [
        (one.launch_id, one.request.profile, one.wrapper, one.server, ()) for one in (first, second)
    ]
    assert find_launched("another-site") == ()
    assert first.server is not None
    known = {first.wrapper.pid, first.server.pid}
    assert [one.profile for one in find_launched(ground.site, skip=known)] == ["b"]


def test_a_server_is_found_after_its_wrapper_was_killed(ground: Ground) -> None:
    launched = ground.python(PLAIN)
    os.kill(launched.wrapper.pid, signal.SIGKILL)
    ground.until(lambda: not alive(launched.wrapper))
    (found,) = find_launched(ground.site)
    assert (found.wrapper, found.server) == (None, launched.server)
    assert launched.signal(signal.SIGTERM), "its group outlives the leader"
    ground.until(launched.gone)


def test_a_wrapper_that_has_not_started_its_server_is_a_wrapper(ground: Ground) -> None:
    launched = ground.python(PLAIN)
    os.kill(launched.wrapper.pid, signal.SIGSTOP)
    try:
        assert launched.server is not None
        os.kill(launched.server.pid, signal.SIGKILL)
        ground.until(lambda: not alive(launched.server))
        (found,) = find_launched(ground.site)
        assert (found.wrapper, found.server) == (launched.wrapper, None)
    finally:
        os.kill(launched.wrapper.pid, signal.SIGCONT)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_grandchild_in_another_session_is_found_and_ended(ground: Ground, signum: int) -> None:
    launched = ground.python(WITH_CHILD)
    assert launched.server is not None
    (found,) = find_launched(ground.site)
    assert found.server == launched.server
    assert len(found.others) == 1
    os.kill(launched.wrapper.pid, signal.SIGKILL)
    os.kill(launched.server.pid, signal.SIGKILL)
    ground.until(lambda: not alive(launched.server))
    assert members(launched.wrapper, launched.server, launched.launch_id) == found.others
    assert launched.signal(signum)
    ground.until(lambda: not alive(found.others[0]))
    assert not launched.signal(signum), "nothing is left to be reached"


def test_a_process_that_drops_its_environment_stays_a_member_by_session(ground: Ground) -> None:
    launched = ground.launch("/bin/sh", "-c", "env -i sleep 60 & echo up; wait")
    launched.joined()
    ground.until(lambda: len(members(launched.wrapper, launched.server, launched.launch_id)) == 3)
    launched.signal(signal.SIGKILL)
    ground.until(launched.gone)


def test_a_foreign_server_is_signalled_alone(ground: Ground) -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"]) as process:
        server = identify(process.pid)
        assert members(None, server, None) == (server,)
        assert signal_launch(None, server, None, signal.SIGTERM)  # shares our own process group
        assert process.wait(10) == -signal.SIGTERM


def test_ended_wrappers_are_buried(ground: Ground) -> None:
    launched = ground.launch("/bin/true")
    exit_of(ground, launched)
    ground.until(lambda: not alive(launched.wrapper))
    bury()
    assert read_stat(launched.wrapper.pid) is None
