"""What the kernel says about kills for want of memory, and how much of a card was not enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llamaagent.base.paths import HostPaths
from llamaagent.collect.oomkill import kernel_killed_in, kernel_named, kills_since, read_oom_kills
from llamaagent.collect.oomlog import demand_mib

if TYPE_CHECKING:
    from pathlib import Path


def host(root: Path, cgroup: str, files: dict[str, str]) -> HostPaths:
    """A host with this /proc/self/cgroup and these files."""
    for name, text in {"proc/self/cgroup": cgroup, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return HostPaths(str(root / "proc"), str(root / "sys"))


@pytest.mark.parametrize(("cgroup", "where", "text"), [
    ("0::/user.slice/a\n", "sys/fs/cgroup/user.slice/a/memory.events", "low 0\noom 5\noom_kill 3\n"),
    ("4:memory:/b\n0::/\n", "sys/fs/cgroup/memory/b/memory.oom_control", "under_oom 0\noom_kill 3\n"),
    ("0::/\n", "proc/vmstat", "nr_free_pages 9\noom_kill 3\n"),
])  # fmt: skip
def test_kills_are_counted_where_the_kernel_counts_them(
    tmp_path: Path, cgroup: str, where: str, text: str
) -> None:
    paths = host(tmp_path, cgroup, {where: text})
    baseline = read_oom_kills(paths)
    assert baseline == f"{tmp_path}/{where} 3"
    assert kills_since(baseline) == 0
    (tmp_path / where).write_text(text.replace("oom_kill 3", "oom_kill 5"))
    assert kills_since(baseline) == 2
    (tmp_path / where).unlink()
    assert kills_since(baseline) is None


def test_where_nothing_counts_nothing_is_known(tmp_path: Path) -> None:
    assert read_oom_kills(host(tmp_path, "", {})) is None
    assert kills_since(None) is None
    assert kills_since("nonsense") is None


def test_the_kernels_log_names_the_pid_after_its_start(tmp_path: Path) -> None:
    log = tmp_path / "kmsg"
    log.write_text(
        "6,1,1000000,-;Out of memory: Killed process 77 (llama-server) total-vm:1kB\n"
        "6,2,9000000,-;Memory cgroup out of memory: Killed process 78 (llama-server) total-vm:1kB\n"
    )
    assert kernel_named(78, 5.0, str(log))
    assert not kernel_named(77, 5.0, str(log))  # another process that had this pid before
    assert not kernel_named(7, 0.0, str(log))
    assert not kernel_named(78, 5.0, str(tmp_path / "none"))


@pytest.mark.parametrize(
    "group", ["/docker/{}", "/system.slice/docker-{}.scope", "/libpod_parent/libpod-{}/container"]
)
def test_the_kernels_log_names_the_container(tmp_path: Path, group: str) -> None:
    log = tmp_path / "kmsg"
    killed = 64 * "a"
    log.write_text(
        f"6,1,1000000,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset={64 * 'b'},mems_allowed=0,"
        f"oom_memcg=/,task_memcg={group.format(killed)},task=awk,pid=2854,uid=0\n"
        f"6,2,1000000,-;something else about {64 * 'c'}\n"
        f"12,3,1000000,-;a program says oom-kill: task_memcg={64 * 'c'}\n"
    )
    assert kernel_killed_in(killed, str(log)) is True
    assert kernel_killed_in(64 * "b", str(log)) is False
    assert kernel_killed_in(64 * "c", str(log)) is False
    assert kernel_killed_in(killed, str(tmp_path / "none")) is None


def test_the_real_kernels_log_does_no_harm() -> None:
    assert kernel_named(2**30, 0.0) is False


def test_what_was_given_and_what_was_refused_together_were_not_enough() -> None:
    log = (
        b"load_tensors:        CUDA0 model buffer size =  4096.50 MiB\n"
        b"load_tensors:        CUDA1 model buffer size =  1000.00 MiB\n"
        b"llama_kv_cache:      CUDA0 KV buffer size =   100.00 MiB\n"
        b"0.01 E alloc_buffer: allocating 512.00 MiB on device 0: cudaMalloc failed: out of memory\n"
    )
    assert demand_mib(log) == 4708
    assert demand_mib(b"allocating 9216.00 MiB on device 1: cudaMalloc failed: out of memory") == 9216
    assert demand_mib(b"model loaded\n") is None
