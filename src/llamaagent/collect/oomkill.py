"""Whether the kernel killed a process for want of memory: its counters, and its log where that may be read.

Sources: memory.events (cgroup v2) or memory.oom_control (v1) of our own group, in which our servers are too; else
/proc/vmstat of the whole host. The records of /dev/kmsg begin `priority,sequence,microseconds since boot,...;`.
"""

from __future__ import annotations

from llamaagent.collect.files import read_file
from llamaagent.collect.kmsg import KMSG, read_kernel_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.base.paths import HostPaths


def read_oom_kills(paths: HostPaths) -> str | None:
    """Where the kernel counts, and how many it has counted, as one text: "PATH COUNT". None: nowhere."""
    for path in _counters(paths):
        count = _count(path)
        if count is not None:
            return f"{path} {count}"
    return None


def kills_since(baseline: str | None) -> int | None:
    """Kills counted since `read_oom_kills` gave that text; None = not known."""
    path, _, before = (baseline or "").rpartition(" ")
    count = _count(path) if path else None
    return None if count is None or not before.isdigit() else count - int(before)


def kernel_named(pid: int, since_boot_s: float, path: str = KMSG) -> bool:
    """Whether the kernel's log says that it killed this pid, later than so many seconds after the boot."""
    words = b"Killed process %d " % pid
    for line in (read_kernel_log(path) or b"").split(b"\n"):
        head, _, text = line.partition(b";")
        fields = head.split(b",")
        if words in text and len(fields) > 2 and fields[2].isdigit() and int(fields[2]) >= since_boot_s * 1e6:
            return True
    return False


def kernel_killed_in(container_id: str, path: str = KMSG) -> bool | None:
    """Whether the kernel's log says that it killed something in this container; None = it may not be read."""
    log = read_kernel_log(path)
    if log is None:
        return None
    word = container_id.encode()
    return any(
        b";oom-kill:" in line and word in line.partition(b"task_memcg=")[2] for line in log.split(b"\n")
    )


def _counters(paths: HostPaths) -> list[str]:
    found = []
    for line in (read_file(f"{paths.proc}/self/cgroup") or b"").decode("utf-8", "replace").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        place = group.rstrip("/")
        if not controllers:
            found.append(f"{paths.sys}/fs/cgroup{place}/memory.events")
        elif "memory" in controllers.split(","):
            found.append(f"{paths.sys}/fs/cgroup/memory{place}/memory.oom_control")
    return [*found, f"{paths.proc}/vmstat"]


def _count(path: str) -> int | None:
    for line in (read_file(path) or b"").split(b"\n"):
        name, _, value = line.partition(b" ")
        if name == b"oom_kill" and value.strip().isdigit():
            return int(value)
    return None
