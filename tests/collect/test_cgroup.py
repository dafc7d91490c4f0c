"""Control groups of both versions as folders: what a container uses, without an engine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llamaagent.base.paths import HostPaths
from llamaagent.collect.cgroup import collect_container, parse_groups

if TYPE_CHECKING:
    from pathlib import Path

PID = 4242
TICKS = os.sysconf("SC_CLK_TCK")
NET = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     999      6    0    0    0     0          0         0      999       6    0    0    0     0       0          0
  eth0:     572      6    0    0    0     0          0         0      126       2    0    0    0     0       0          0
  eth1:    1000      6    0    0    0     0          0         0      100       2    0    0    0     0       0          0
"""  # noqa: E501


def host(
    root: Path, groups: str, *, own: str = "0::/init\n", files: dict[str, str] | None = None
) -> HostPaths:
    """A kernel with one container's process."""
    texts = {
        f"proc/{PID}/cgroup": groups,
        f"proc/{PID}/net/dev": NET,
        f"proc/{PID}/ns/net": "",
        "proc/self/cgroup": own,
        "proc/self/ns/net": "",
        **{f"sys/fs/cgroup/{path}": text for path, text in (files or {}).items()},
    }
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return HostPaths(str(root / "proc"), str(root / "sys"), str(root / "dev"))


SECOND = {
    "box/memory.current": f"{300 << 20}\n",
    "box/memory.stat": f"anon 1\nfile 2\ninactive_anon 5\ninactive_file {100 << 20}\n",
    "box/cpu.stat": "usage_usec 2500000\nuser_usec 1\nsystem_usec 2\n",
    "box/io.stat": "8:0 rbytes=4096 wbytes=100 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2 rios=1 wios=1\n",
    "box/pids.current": "7\n",
}
FIRST = {
    "memory/box/memory.usage_in_bytes": f"{300 << 20}\n",
    "memory/box/memory.stat": f"cache 1\ninactive_file 5\ntotal_inactive_file {100 << 20}\n",
    "cpu,cpuacct/box/cpuacct.usage": "2500000000\n",
    "blkio/box/blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Write 100\n8:0 Sync 1\n8:16 Read 1\n"
    "8:16 Write 2\nTotal 4199\n",
    "pids/box/pids.current": "7\n",
}
FIRST_GROUPS = "9:memory:/box\n5:cpu,cpuacct:/box\n4:blkio:/box\n3:pids:/box\n1:name=systemd:/box\n0::/box\n"


def test_version_2(tmp_path: Path) -> None:
    found = collect_container(host(tmp_path, "0::/box\n", files=SECOND), PID)
    assert found is not None
    assert (found.processes, found.cpu_ticks_total, found.rss_kib) == (7, int(2.5 * TICKS), 200 << 10)
    assert (found.read_bytes_total, found.write_bytes_total) == (4097, 102)
    assert (found.network_rx_bytes_total, found.network_tx_bytes_total) == (1572, 226)


def test_version_1_and_the_hybrid_say_the_same(tmp_path: Path) -> None:
    second = collect_container(host(tmp_path / "2", "0::/box\n", files=SECOND), PID)
    assert collect_container(host(tmp_path / "1", FIRST_GROUPS, files=FIRST), PID) == second


def test_a_controller_may_be_mounted_under_its_own_name(tmp_path: Path) -> None:
    files = {path.replace("cpu,cpuacct", "cpuacct"): text for path, text in FIRST.items()}
    found = collect_container(host(tmp_path, FIRST_GROUPS, files=files), PID)
    assert found is not None
    assert found.cpu_ticks_total == int(2.5 * TICKS)


def test_our_own_group_is_no_container(tmp_path: Path) -> None:
    assert collect_container(host(tmp_path, "0::/box\n", own="0::/box\n", files=SECOND), PID) is None


def test_one_that_is_gone_or_may_not_be_read_is_none(tmp_path: Path) -> None:
    paths = host(tmp_path, "0::/elsewhere\n", files=SECOND)
    assert collect_container(paths, PID) is None
    assert collect_container(paths, PID + 1) is None


def test_a_network_that_is_shared_is_not_counted(tmp_path: Path) -> None:
    paths = host(tmp_path, "0::/box\n", files=SECOND)
    inside = tmp_path / f"proc/{PID}/ns/net"
    inside.unlink()
    os.link(tmp_path / "proc/self/ns/net", inside)
    found = collect_container(paths, PID)
    assert found is not None
    assert (found.network_rx_bytes_total, found.network_tx_bytes_total) == (None, None)


def test_files_that_a_kernel_lacks_cost_only_their_figures(tmp_path: Path) -> None:
    files = {path: text for path, text in FIRST.items() if not path.startswith(("blkio", "pids"))}
    found = collect_container(host(tmp_path, FIRST_GROUPS, files=files), PID)
    assert found is not None
    assert (found.read_bytes_total, found.write_bytes_total, found.processes) == (None, None, 0)
    assert found.rss_kib == 200 << 10


def test_paths_with_colons_and_commas_are_kept() -> None:
    groups = parse_groups(b"0::/a:b/c,d\n", "/nowhere")
    assert groups.unified == "/nowhere/a:b/c,d"
