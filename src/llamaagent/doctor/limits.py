"""Limits of processes and control groups: reading their texts, and judging them. Pure.

Sources: proc_pid_limits(5), proc_pid_cgroup(5), the kernel's cgroup-v2 document, oom_score_adj in proc(5).
"""

from __future__ import annotations

from llamaagent.doctor.finding import INFO, WARNING, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llamaagent.domain.profile import Profile

_FILES = 1024  # a connection is one; the server keeps some hundred and its model's parts
_FULL_PERCENT = 90
UNLIMITED = 1 << 63


def parse_limits(text: bytes) -> dict[str, int]:
    r"""Soft limits of /proc/PID/limits by name; `unlimited` is 2^63.

    >>> parse_limits(b"Limit                     Soft Limit           Hard Limit           Units\\n"
    ...              b"Max open files            256                  unlimited            files\\n")
    {'Max open files': 256}
    """
    found: dict[str, int] = {}
    for line in text.decode("ascii", "replace").splitlines()[1:]:
        name, soft = line[:25].strip(), line[25:46].strip()
        if soft == "unlimited":
            found[name] = UNLIMITED
        elif soft.isdecimal():
            found[name] = int(soft)
    return found


def parse_cgroup(text: bytes) -> str | None:
    """The path of the unified hierarchy in /proc/PID/cgroup, None where there is none."""
    for line in text.decode("utf-8", "surrogateescape").splitlines():
        if line.startswith("0::"):
            return line[3:]
    return None


def judge_limits(profile: Profile, limits: Mapping[str, int], model_bytes: int | None) -> Iterator[Finding]:
    r"""Soft limits of a server's process against what it needs. model_bytes: what it would lock in memory."""
    files = limits.get("Max open files", UNLIMITED)
    if files < _FILES:
        what = f"it may open {files} files and connections only (ulimit -n)"
        yield Finding(
            WARNING,
            profile.name,
            what,
            f"LimitNOFILE=65536 in the unit, or: ulimit -n 65536 (wanted: {_FILES})",
        )
    if limits.get("Max file size", UNLIMITED) < UNLIMITED:
        what = f"no file may grow beyond {limits['Max file size'] >> 20} MiB (ulimit -f): logs and database will fail"
        yield Finding(WARNING, profile.name, what, "ulimit -f unlimited, or LimitFSIZE=infinity in the unit")
    locked = limits.get("Max locked memory", UNLIMITED)
    if _locks_memory(profile) and locked < UNLIMITED and (model_bytes is None or locked < model_bytes):
        what = f"it asks for its model to stay in memory (mlock), and {locked >> 20} MiB may be locked"
        yield Finding(
            WARNING, profile.name, what, "LimitMEMLOCK=infinity in the unit, or: ulimit -l unlimited"
        )


def _locks_memory(profile: Profile) -> bool:
    return profile.arg("mlock") is True or "mlock" in str(profile.arg("load-mode"))


def judge_group(group: str, used_bytes: int | None, limit_bytes: int | None) -> Finding | None:
    """A control group of servers against its memory.max."""
    if used_bytes is None or limit_bytes is None or used_bytes * 100 < limit_bytes * _FULL_PERCENT:
        return None
    what = f"the servers in it use {used_bytes >> 20} of the {limit_bytes >> 20} MiB that it may (memory.max)"
    unit = group.rstrip("/").rpartition("/")[2] or "the container"
    return Finding(WARNING, f"cgroup {group}", what, f"systemctl set-property {unit} MemoryMax=infinity")


def judge_oom_score(profile: str, score: int | None, usual: int) -> Finding | None:
    """How soon the kernel chooses it when memory is short. usual: what pid 1 has."""
    if score is None or score <= max(usual, 0):
        return None
    what = f"when memory is short the kernel ends it before others (oom_score_adj {score})"
    return Finding(INFO, profile, what, "OOMScoreAdjust=0 in the agent's unit")
