"""The machine's sample: recorded /proc trees, differences, and psutil as the second opinion."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamaagent.base.errors import ParseError
from llamaagent.base.paths import HostPaths
from llamaagent.collect import cpu, disk, load, memory, network
from llamaagent.collect.portable import portable_system
from llamaagent.collect.system import collect_system, with_differences
from llamaagent.domain.sample import SystemSample

if TYPE_CHECKING:
    from collections.abc import Callable

FIXTURES = os.path.join(os.path.dirname(os.path.dirname(__file__)), "fixtures")


def tree(name: str) -> HostPaths:
    return HostPaths(os.path.join(FIXTURES, name, "proc"), os.path.join(FIXTURES, name, "sys"))


def test_workstation_tree_gives_every_figure() -> None:
    """Partitions, stacked devices, guest time and virtual interfaces must not count twice."""
    sample = collect_system(tree("proc-workstation"), None, None, same_boot=True)
    assert sample == SystemSample(
        cpu_cores=4,
        cpu_busy_ticks_total=1000 + 20 + 300 + 0 + 40 + 60,
        cpu_ticks_total=1000 + 20 + 300 + 0 + 40 + 60 + 90000 + 680,
        memory_total_mib=64146,
        memory_used_mib=31378,
        memory_available_mib=32768,
        swap_total_mib=8191,
        swap_used_mib=1024,
        load_1min_centi=1207,
        load_5min_centi=350,
        load_15min_centi=8,
        disk_read_bytes_total=512 * (200000 + 1000),
        disk_write_bytes_total=512 * (400000 + 2000),
        network_rx_bytes_total=1_000_005_000,
        network_tx_bytes_total=2_000_007_000,
    )


def test_recorded_virtual_machine_gives_plain_figures() -> None:
    sample = collect_system(tree("proc-6.18-vm"), None, None, same_boot=True)
    assert sample.cpu_cores == 2
    assert sample.memory_total_mib == 24105
    assert sample.swap_total_mib == 0
    assert sample.disk_read_bytes_total is not None
    assert sample.network_rx_bytes_total is not None


def test_inside_a_container_the_plain_interface_counts() -> None:
    paths = tree("proc-container")
    found = network.parse_net_dev(network.read_net_dev(paths) or b"")
    assert network.sum_real(paths, found) == network.NetworkBytes(3000, 4000)


def test_a_folder_without_anything_gives_only_unknowns(tmp_path: object) -> None:
    sample = collect_system(
        HostPaths(f"{tmp_path}/p", f"{tmp_path}/s"), f"{tmp_path}/gone", None, same_boot=True
    )
    assert sample == SystemSample(cpu_cores=os.cpu_count() or 1)


def test_one_source_of_another_shape_leaves_the_others(tmp_path: object) -> None:
    os.mkdir(f"{tmp_path}/proc")
    with open(f"{tmp_path}/proc/stat", "w") as file:
        file.write("cpu of a new kind\n")
    with open(f"{tmp_path}/proc/loadavg", "w") as file:
        file.write("1.50 0.25 0.00 1/2 3\n")
    sample = collect_system(HostPaths(f"{tmp_path}/proc", f"{tmp_path}/sys"), None, None, same_boot=True)
    assert (sample.cpu_ticks_total, sample.load_1min_centi) == (None, 150)


def test_space_is_that_of_the_models_folder(tmp_path: object) -> None:
    sample = collect_system(HostPaths(), f"{tmp_path}", None, same_boot=True)
    usage = psutil.disk_usage(f"{tmp_path}")
    assert sample.disk_total_mib == usage.total >> 20
    assert sample.disk_used_mib is not None
    assert abs(sample.disk_used_mib - (usage.used >> 20)) <= 64


def test_agrees_with_psutil_on_this_machine() -> None:
    """Counters are read at slightly different moments, hence the tolerances."""
    mine, theirs = collect_system(HostPaths(), None, None, same_boot=True), portable_system()
    assert mine.cpu_cores == theirs.cpu_cores
    assert mine.memory_total_mib == theirs.memory_total_mib
    assert mine.swap_total_mib == theirs.swap_total_mib
    close = (
        (mine.cpu_ticks_total, theirs.cpu_ticks_total, 200),
        (mine.cpu_busy_ticks_total, theirs.cpu_busy_ticks_total, 200),
        (mine.memory_available_mib, theirs.memory_available_mib, 256),
        (mine.memory_used_mib, theirs.memory_used_mib, 256),
        (mine.load_1min_centi, theirs.load_1min_centi, 100),
    )
    for one, other, tolerance in close:
        assert one is not None
        assert other is not None
        assert abs(one - other) <= tolerance


def test_interfaces_agree_with_psutil() -> None:
    mine = network.parse_net_dev(network.read_net_dev(HostPaths()) or b"")
    theirs = psutil.net_io_counters(pernic=True)
    assert set(mine) == set(theirs)
    for name, counted in theirs.items():
        assert abs(mine[name].rx_bytes_total - counted.bytes_recv) < 1 << 20


def test_whole_disks_agree_with_psutil() -> None:
    disks = disk.list_disks(HostPaths()) or ()
    mine = disk.parse_diskstats(disk.read_diskstats(HostPaths()) or b"", disks)
    theirs = psutil.disk_io_counters(perdisk=True) or {}
    total = sum(counted.read_bytes for name, counted in theirs.items() if name in disks)
    assert abs(mine.read_bytes_total - total) < 64 << 20


def test_busy_loop_shows_as_processor_use() -> None:
    before = collect_system(HostPaths(), None, None, same_boot=True)
    until = time.monotonic() + 0.4
    while time.monotonic() < until:
        pass
    sample = collect_system(HostPaths(), None, before, same_boot=True)
    assert sample.cpu_permille is not None
    assert sample.cpu_permille >= 500 // sample.cpu_cores


BEFORE = SystemSample(
    cpu_cores=1,
    cpu_busy_ticks_total=100,
    cpu_ticks_total=1000,
    network_rx_bytes_total=5000,
    disk_read_bytes_total=0,
)


def test_differences_are_taken_from_the_previous_row() -> None:
    after = BEFORE._replace(cpu_busy_ticks_total=150, cpu_ticks_total=1200, network_rx_bytes_total=6000)
    sample = with_differences(after, BEFORE)
    assert (sample.cpu_permille, sample.network_rx_bytes, sample.disk_read_bytes) == (250, 1000, 0)
    assert sample.disk_write_bytes is None


@pytest.mark.parametrize(
    "after",
    [
        BEFORE._replace(cpu_ticks_total=900, cpu_busy_ticks_total=150),
        BEFORE._replace(cpu_ticks_total=1000, cpu_busy_ticks_total=100),
        BEFORE._replace(cpu_ticks_total=1010, cpu_busy_ticks_total=200),
    ],
    ids=["backwards", "no time", "busier than time"],
)
def test_an_impossible_processor_share_is_unknown(after: SystemSample) -> None:
    assert with_differences(after, BEFORE).cpu_permille is None


def test_a_counter_that_jumps_absurdly_is_unknown() -> None:
    after = BEFORE._replace(
        cpu_ticks_total=1100, network_rx_bytes_total=1 << 60, disk_read_bytes_total=1 << 20
    )
    sample = with_differences(after, BEFORE)
    assert (sample.network_rx_bytes, sample.disk_read_bytes) == (None, 1 << 20)


def test_a_row_of_another_boot_gives_no_differences() -> None:
    before = SystemSample(cpu_cores=1, cpu_ticks_total=0, cpu_busy_ticks_total=0, network_rx_bytes_total=0)
    sample = collect_system(tree("proc-workstation"), None, before, same_boot=False)
    assert (sample.cpu_permille, sample.network_rx_bytes) == (None, None)


def test_memory_without_an_available_line_is_unknown() -> None:
    found = memory.parse_meminfo(b"MemTotal: 2048 kB\nMemFree: 1024 kB\n")
    assert found == memory.Memory(total_mib=2)


@pytest.mark.parametrize(
    "parse",
    [
        cpu.parse_stat,
        load.parse_loadavg,
        lambda text: memory.parse_meminfo(b"MemTotal: " + text),
        lambda text: disk.parse_diskstats(b"8 0 sda " + text, ["sda"]),
        lambda text: network.parse_net_dev(b"\n\n eth0: " + text),
    ],
    ids=["stat", "loadavg", "meminfo", "diskstats", "net/dev"],
)
@settings(max_examples=60, deadline=None)
@given(text=st.binary(max_size=200))
def test_rubbish_raises_only_our_own_error(parse: Callable[[bytes], object], text: bytes) -> None:
    with contextlib.suppress(ParseError):
        parse(text)
