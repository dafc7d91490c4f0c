"""Judgements. Pure: plain values in, a finding or None out; nothing here looks at anything."""

from __future__ import annotations

import os
import re
import stat

from llamaagent.doctor.finding import ERROR, INFO, WARNING, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from llamaagent.domain.profile import Profile

LOCAL_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
# Locks and shared memory, on which the WAL rests, do not work between machines.
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "afs", "beegfs", "gpfs"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.ceph-fuse", "fuse.s3fs", "fuse.rclone", "virtiofs"}
)
_WAL_LARGE_BYTES = 64 << 20
_DISK_FULL_MIB = 64
_LATE_INTERVALS = 5
_LOGS_LARGE_BYTES = 1 << 30
_MISSING_LIBRARY = re.compile(r"(\S+\.so[.\d]*): cannot open shared object file")


def version(name: str, found: str | None, needed: str) -> Finding | None:
    """A Python package against the least version it must have."""
    if found is None:
        return Finding(ERROR, name, "the Python package is not installed", f"pip install '{name}>={needed}'")
    if _numbers(found) < _numbers(needed):
        return Finding(
            ERROR, name, f"version {found} is older than {needed}", f"pip install '{name}>={needed}'"
        )
    return None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.partition("+")[0])[:4])


def binary(path: str, code: int | None, output: str, *, timed_out: bool) -> Finding | None:
    """What `llama-server --version` did. code None: it could not even be started."""
    if timed_out:
        return Finding(WARNING, path, "--version did not end in time", "a hung GPU driver? try it by hand")
    if code == 0:
        return None
    library = _MISSING_LIBRARY.search(output)
    if library is not None:
        remedy = "set LD_LIBRARY_PATH under `env:` in the settings: a server does not inherit the shell's"
        return Finding(ERROR, path, f"its shared library {library[1]} is not found", remedy)
    last = output.strip().splitlines()[-1][:200] if output.strip() else "it printed nothing"
    how = f"ended with signal {-code}" if code is not None and code < 0 else f"ended with {code}"
    return Finding(ERROR, path, f"--version {how}: {last}", "llamaagent settings binary")


def exposure(profile: Profile) -> Finding | None:
    """A server that others can reach, and no key to keep them out."""
    host = profile.listen.host
    if host in LOCAL_HOSTS or host.endswith(".sock") or any(name == "api-key" for name, _ in profile.secrets):
        return None
    if profile.runtime.kind == "external":
        return None
    what = f"it listens on {host} without an api-key: whoever reaches this machine can use it"
    return Finding(
        WARNING, profile.name, what, "secrets: {api-key: {env: NAME}}, or listen: {host: 127.0.0.1}"
    )


def mode(path: str, permissions: int, owner: int, me: int, *, shared: bool = False) -> Finding | None:
    """A file or folder of ours. permissions: st_mode; shared: the settings let a group read."""
    bits = stat.S_IMODE(permissions)
    right = (0o750 if shared else 0o700) if stat.S_ISDIR(permissions) else (0o640 if shared else 0o600)
    if owner not in {me, 0} and me != 0:
        return Finding(ERROR, path, f"it belongs to uid {owner}, not to you", f"run the agent as uid {owner}")
    if bits & 0o022:
        return Finding(ERROR, path, "others can write to it", f"chmod {right:o} {path}")
    if bits & 0o077 & ~right:
        return Finding(WARNING, path, "others can read it", f"chmod {right:o} {path}")
    return None


def location(path: str, file_system: str | None) -> Finding | None:
    """The kind of file system that holds the database."""
    if file_system not in NETWORK_FILE_SYSTEMS:
        return None
    what = f"it lies on {file_system}, where SQLite's locks cannot be relied on"
    return Finding(WARNING, path, what, "set `database:` to a path on a local disk")


def wal(path: str, size_bytes: int) -> Finding | None:
    """The write-ahead log grows while somebody keeps reading."""
    if size_bytes <= _WAL_LARGE_BYTES:
        return None
    what = f"{size_bytes >> 20} MiB of changes wait to be moved into the database: a reader does not end"
    return Finding(WARNING, f"{path}-wal", what, f"fuser -v {path}")


def space(folder: str, free_mib: int, headroom_mib: int, uses: Collection[str]) -> Finding | None:
    """Free space where we write. uses: for what."""
    if free_mib >= headroom_mib:
        return None
    level = ERROR if free_mib < min(_DISK_FULL_MIB, headroom_mib) else WARNING
    what = f"{free_mib} MiB are free for {', '.join(uses)}, headroom.disk asks for {headroom_mib}"
    return Finding(level, folder, what, f"du -xhd1 {folder}")


def range_full(ports: tuple[int, int], needed: int, free: int) -> Finding | None:
    """Ports left in the range against profiles that still need one."""
    if needed <= free:
        return None
    what = f"{needed} more port(s) of {ports[0]}-{ports[1]} are needed, {free} are free"
    return Finding(ERROR, "ports", what, "widen `ports:` in the settings")


def stranger(profile: str, port: int, holder: str | None, *, fixed: bool) -> Finding:
    """Somebody else listens on a profile's port. holder: pid and command, None = another user's process."""
    who = holder or "a process of another user"
    if fixed:
        remedy = f"stop it, or choose another port for {profile}"
        return Finding(ERROR, profile, f"its port {port} is held by {who}", remedy)
    return Finding(INFO, profile, f"its port {port} is held by {who}; the next launch takes another", None)


def stray(
    profile: str, pid: int, row: tuple[str, str | None] | None, *, declared: bool, others: bool
) -> Finding:
    """A live server of ours that is no live row's. row: status and reason; others: its profile has another live one."""
    stop = f"llamaagent logs {profile} -n 5; kill {pid}"
    if row is not None and row[1] == "detached":
        return Finding(INFO, profile, f"pid {pid} was detached and runs on by itself", f"kill {pid}")
    if row is not None:
        what = f"pid {pid} lives, although the database says that its launch is over ({row[0]}, {row[1]})"
        return Finding(WARNING, profile, what, stop)
    what = f"pid {pid} is a server of this site that the database does not know"
    if others:
        return Finding(WARNING, profile, f"{what}, beside the one that it knows", stop)
    if not declared:
        return Finding(
            WARNING, profile, f"{what}, and no file declares {profile}", f"declare it, or: kill {pid}"
        )
    return Finding(WARNING, profile, what, "llamaagent run --once adopts it")


def log_folder(path: str, total_bytes: int, largest: tuple[str, int], limit_bytes: int) -> Finding | None:
    """The folder of the servers' logs. largest: a file and its size; limit_bytes: `logs.max_size`, for one server."""
    name, size = largest
    if size > 2 * limit_bytes:
        what = f"it holds {size >> 20} MiB, and logs.max_size is {limit_bytes >> 20} MiB"
        return Finding(WARNING, os.path.join(path, name), what, f"truncate -s 0 {os.path.join(path, name)}")
    if total_bytes > max(_LOGS_LARGE_BYTES, 16 * limit_bytes):
        what = f"the logs take {total_bytes >> 20} MiB"
        return Finding(WARNING, path, what, f"ls -lSr {path}; retention: {{logs: 7d}} in the settings")
    return None


def inodes(folder: str, free: int, total: int) -> Finding | None:
    """Files that can still be made on a disk; total 0: the file system makes them as needed."""
    if total == 0 or free * 100 >= total:
        return None
    return Finding(ERROR, folder, f"only {free} more files can be made on its disk", f"df -i {folder}")


def sqlite(found: str) -> Finding | None:
    """The SQLite inside APSW: STRICT tables need 3.37; nothing else is asked of it."""
    remedy = "pip install --upgrade apsw"
    if _numbers(found) < (3, 37):
        return Finding(ERROR, "sqlite", f"SQLite {found} is older than 3.37", remedy)
    return None


def passes(last_ts: int | None, now: int, interval_s: int, wanted: int, who: str | None) -> Finding | None:
    """Whether passes are made, and by whom. who: cron, systemd or a running loop, None = nobody is known."""
    install = "llamaagent install cron, or: llamaagent install systemd"
    if last_ts is None:
        if not wanted:
            return None
        return Finding(WARNING, "passes", "no pass has been made yet", "llamaagent run --once")
    age = now - last_ts
    if age > _LATE_INTERVALS * max(60, interval_s):
        if who is None:
            return Finding(
                WARNING, "passes", f"the last pass was {_age(age)} ago and nobody makes them", install
            )
        what = f"the last pass was {_age(age)} ago, although {who} should make them"
        return Finding(WARNING, "passes", what, "llamaagent run --once --require-lock; llamaagent events")
    if who is None:
        what = "passes are made, but neither cron nor systemd nor a loop was found: who starts them after a reboot?"
        return Finding(INFO, "passes", what, install)
    return None


def _age(seconds: int) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def gpu(available: bool, error: str | None) -> Finding | None:
    """A card whose state nobody knows is not the same as no card."""
    if not available or error is None:
        return None
    what = f"a driver is loaded and its cards cannot be read: {error}"
    return Finding(WARNING, "gpu", what, "nvidia-smi; after a driver update: reboot")
