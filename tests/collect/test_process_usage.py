"""What processes use: recorded stat files, a real family of processes, and psutil as the second opinion."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from llamaagent.base.errors import ParseError
from llamaagent.base.paths import HostPaths
from llamaagent.collect.instance import build_instance_sample, cpu_share
from llamaagent.collect.metrics import ServerCounters
from llamaagent.collect.portable import portable_process
from llamaagent.collect.process import (
    ProcessUsage,
    collect_process,
    list_descendants,
    parse_io,
    parse_stat,
    read_process,
)

FIXTURES = os.path.join(os.path.dirname(os.path.dirname(__file__)), "fixtures")
WORKSTATION = HostPaths(os.path.join(FIXTURES, "proc-workstation", "proc"))
PAGE_KIB = os.sysconf("SC_PAGESIZE") // 1024


def test_a_name_with_brackets_does_not_shift_the_fields() -> None:
    stat = read_process(WORKSTATION, 4242)
    assert stat is not None
    assert stat == ("S", 1, 4242, 5, 120, 8888, 256 * PAGE_KIB)


def test_family_is_found_through_every_thread() -> None:
    assert list_descendants(WORKSTATION, 4242) == (4242, 4300, 4310)


def test_family_is_summed_without_zombies_and_ghosts() -> None:
    usage = collect_process(WORKSTATION, (4242, 4300, 4310, 9999))
    assert usage == ProcessUsage(
        processes=2,
        cpu_ticks_total=1320,
        rss_kib=1280 * PAGE_KIB,
        threads=14,
        read_bytes_total=1_004_096,
        write_bytes_total=10_192,
    )


def test_nothing_alive_is_nothing() -> None:
    assert collect_process(WORKSTATION, (4310, 9999)) is None


def test_unreadable_input_and_output_leave_the_rest(tmp_path: object) -> None:
    os.makedirs(f"{tmp_path}/7")
    with open(f"{WORKSTATION.proc}/4300/stat") as source, open(f"{tmp_path}/7/stat", "w") as copy:
        copy.write(source.read())
    usage = collect_process(HostPaths(f"{tmp_path}"), (7,))
    assert usage is not None
    assert (usage.read_bytes_total, usage.write_bytes_total, usage.threads) == (None, None, 9)


def test_half_a_stat_line_is_our_own_error() -> None:
    with pytest.raises(ParseError):
        parse_stat(b"12 (x) S 1 2")
    assert parse_io(b"read_bytes: 1\n") is None


def test_a_real_family_agrees_with_psutil() -> None:
    """A shell with a Python child that has burnt some processor time."""
    code = "x = bytearray(30_000_000)\nfor i in range(3_000_000): pass\nprint('ready', flush=True)\ninput()"
    shell = subprocess.Popen(
        ["/bin/sh", "-c", f'"{sys.executable}" -c "$0"; :', code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"ready\n"
        family = list_descendants(HostPaths(), shell.pid)
        theirs = [shell.pid, *(child.pid for child in psutil.Process(shell.pid).children(recursive=True))]
        assert sorted(family) == sorted(theirs)
        mine, other = collect_process(HostPaths(), family), portable_process(family)
        assert mine is not None
        assert other is not None
        assert mine.rss_kib > 30_000
        assert abs(mine.rss_kib - other.rss_kib) < 4096
        assert abs(mine.cpu_ticks_total - other.cpu_ticks_total) <= 4
        assert mine.threads == other.threads
        moved = psutil.Process(family[1]).io_counters()
        assert mine.read_bytes_total is not None
        assert mine.read_bytes_total >= moved.read_bytes
    finally:
        shell.communicate(b"\n", timeout=10)


def test_a_process_that_ended_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    until = time.monotonic() + 10
    while (stat := read_process(HostPaths(), child.pid)) and stat.state != "Z" and time.monotonic() < until:
        time.sleep(0.01)
    assert collect_process(HostPaths(), (child.pid,)) is None  # a zombie until it is waited for
    child.wait()
    assert read_process(HostPaths(), child.pid) is None


def test_one_busy_core_is_a_thousand() -> None:
    hertz = os.sysconf("SC_CLK_TCK")
    assert cpu_share(10 * hertz, 10) == 1000
    assert cpu_share(0, 10) == 0


@pytest.mark.parametrize(("ticks", "elapsed"), [(None, 10), (5, None), (5, 0), (5, -3), (10**9, 1)])
def test_an_impossible_share_is_unknown(ticks: int | None, elapsed: int | None) -> None:
    assert cpu_share(ticks, elapsed) is None


def test_instance_sample_takes_differences_from_the_previous_row() -> None:
    usage = ProcessUsage(2, 500, 4096, 9, 1000, 70)
    first = build_instance_sample(
        7,
        usage=usage,
        counters=ServerCounters(100, 3, 50, 2000, 900, 60, 1, 0),
        previous=None,
        elapsed_s=None,
        health_ms=3,
    )
    assert (first.prompt_tokens_total, first.prompt_tokens, first.cpu_permille, first.health_ms) == (
        100,
        None,
        None,
        3,
    )
    second = build_instance_sample(
        7,
        usage=usage._replace(
            cpu_ticks_total=500 + os.sysconf("SC_CLK_TCK"), read_bytes_total=1500, write_bytes_total=60
        ),
        counters=ServerCounters(160, 3, 75, 2500, 1000, 80, 0, 2),
        previous=first,
        elapsed_s=2,
    )
    assert (second.prompt_tokens, second.predicted_tokens, second.prompt_ms, second.predicted_ms) == (
        60,
        25,
        500,
        100,
    )
    assert (second.cpu_permille, second.read_bytes, second.write_bytes) == (500, 500, None)
    assert (second.requests_processing, second.requests_deferred) == (0, 2)


def test_instance_sample_without_readings_is_all_unknown() -> None:
    sample = build_instance_sample(7, usage=None, counters=None, previous=None, elapsed_s=30)
    assert set(sample) == {7, None}
