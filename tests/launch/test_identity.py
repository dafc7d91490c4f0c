"""A process is known by boot, pid and start tick, and by nothing less."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamaagent.base.errors import ParseError
from llamaagent.base.paths import HostPaths
from llamaagent.launch.ending import signal_launch, signal_one
from llamaagent.launch.identity import alive, boot_id, identify, parse_stat, read_stat

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

    from conftest import Ground

STAT = b"%d (%s) %s 7 8 9 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 0 0\n"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A stranger: a process that carries nothing of ours."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def proc_folder(tmp_path: pathlib.Path, boot: str, **processes: bytes) -> HostPaths:
    """A /proc with these processes (`p7=...` is pid 7)."""
    (tmp_path / "sys/kernel/random").mkdir(parents=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text(boot + "\n")
    for name, stat in processes.items():
        (tmp_path / name[1:]).mkdir()
        (tmp_path / name[1:] / "stat").write_bytes(stat)
    return HostPaths(proc=str(tmp_path))


def test_start_tick_agrees_with_psutil() -> None:
    mine = read_stat(os.getpid())
    assert mine is not None
    assert (mine.ppid, mine.pgrp, mine.session) == (os.getppid(), os.getpgid(0), os.getsid(0))
    started = psutil.boot_time() + mine.start_ticks / os.sysconf("SC_CLK_TCK")
    assert abs(started - psutil.Process().create_time()) < 2


def test_boot_id_is_the_kernels() -> None:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        assert boot_id() == file.read().strip()


@settings(max_examples=60)
@given(st.binary(max_size=15).filter(lambda name: b"\0" not in name))
def test_a_name_of_any_bytes_does_not_shift_the_fields(name: bytes) -> None:
    stat = parse_stat(STAT % (42, name, b"S"))
    assert (stat.pid, stat.state, stat.ppid, stat.pgrp, stat.session) == (42, "S", 7, 8, 9)
    assert stat.start_ticks == 4711


def test_a_name_that_looks_like_a_stat_line_fools_nobody() -> None:
    assert parse_stat(STAT % (42, b"x) Z 1 2 3 (y", b"S")).state == "S"


@pytest.mark.parametrize("text", [b"", b"42", b"42 (x) S 1", b"x (y) S " + b"1 " * 20, b"\xff"])
def test_nonsense_is_a_parse_error(text: bytes) -> None:
    with pytest.raises(ParseError):
        parse_stat(text)


def test_a_live_process_is_itself(sleeper: subprocess.Popen[bytes]) -> None:
    found = identify(sleeper.pid)
    assert alive(found)
    assert found == identify(sleeper.pid)


def test_a_zombie_counts_as_dead(ground: Ground) -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "pass"]) as process:
        ground.until(lambda: (stat := read_stat(process.pid)) is not None and stat.state == "Z")
        os.kill(process.pid, 0)  # the usual question says it lives
        stat = read_stat(process.pid)
        assert stat is not None
        assert stat.gone
        assert identify(process.pid) is None
        process.wait()


def test_a_process_that_ended_is_gone() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    assert identify(process.pid) is None


@pytest.mark.parametrize("state", ["Z", "X", "x"])
def test_dead_states_are_dead(tmp_path: pathlib.Path, state: str) -> None:
    host = proc_folder(tmp_path, "b", p42=STAT % (42, b"x", state.encode()))
    assert identify(42, host) is None


def test_a_process_that_waits_for_a_device_is_alive(tmp_path: pathlib.Path) -> None:
    host = proc_folder(tmp_path, "b", p42=STAT % (42, b"x", b"D"))
    assert alive(identify(42, host), host)


def test_another_boot_never_matches(tmp_path: pathlib.Path) -> None:
    before = proc_folder(tmp_path / "a", "first", p42=STAT % (42, b"x", b"S"))
    after = proc_folder(tmp_path / "b", "second", p42=STAT % (42, b"x", b"S"))
    identity = identify(42, before)
    assert alive(identity, before)
    assert not alive(identity, after)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_wrong_start_tick_or_boot_is_never_signalled(sleeper: subprocess.Popen[bytes], signum: int) -> None:
    found = identify(sleeper.pid)
    assert found is not None
    for other in (found._replace(start_ticks=found.start_ticks - 1), found._replace(boot_id="another")):
        assert not signal_one(other, signum)
        assert not signal_launch(None, other, None, signum)
        assert not signal_launch(other, other, "no-such-launch", signum)
        assert not signal_launch(other, None, None, signum)
    assert sleeper.poll() is None
    assert alive(found)
