"""Finding again what was launched: by session, and by the launch id that every process of a launch carries.

The environment of a process is readable to its own user and to root only, and cannot be changed from outside,
which makes it the place for the id. One walk over /proc finds everything of a site; it needs no row and no
file, so it works after the database was lost.
"""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple
from llamaagent.domain.instance import Identity
from llamaagent.launch.identity import LINUX, ProcStat, alive, boot_id, pids, read_small, read_stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from llamaagent.base.paths import HostPaths

SITE = "LLAMAAGENT_SITE"
PROFILE = "LLAMAAGENT_PROFILE"
LAUNCH_ID = "LLAMAAGENT_LAUNCH_ID"


class Found(NamedTuple):
    """One launch as /proc shows it. server is None when only a wrapper is left, or was not yet joined."""

    launch_id: str
    profile: str
    wrapper: Identity | None
    server: Identity | None
    others: tuple[Identity, ...]  # children of the server, oldest first


class _Process(NamedTuple):
    stat: ProcStat
    environ: bytes  # with a NUL before, between and after


def find_launched(site_id: str, host: HostPaths = LINUX, *, skip: Collection[int] = ()) -> tuple[Found, ...]:
    """Find every live launch of a site, sorted by launch id.

    skip: pids that need not be looked at, because their identity has just been verified. A launch of which
    every process is skipped does not appear.
    """
    marker = f"\0{SITE}={site_id}\0".encode()
    launches: dict[str, list[_Process]] = {}
    for process in _processes(host, marker, skip):
        launches.setdefault(_value(process.environ, LAUNCH_ID), []).append(process)
    boot = boot_id(host)
    return tuple(_found(key, launches[key], boot, host) for key in sorted(launches) if key)


def _processes(host: HostPaths, marker: bytes, skip: Collection[int] = ()) -> Iterator[_Process]:
    """Live processes whose environment holds the marker; never ourselves."""
    for pid in pids(host):
        if pid in skip or pid == os.getpid():
            continue
        try:
            environ = b"\0" + read_small(f"{host.proc}/{pid}/environ") + b"\0"
        except OSError:  # gone, or another user's
            continue
        if marker in environ:
            stat = read_stat(pid, host)
            if stat is not None and not stat.gone:
                yield _Process(stat, environ)


def _found(launch_id: str, processes: list[_Process], boot: str, host: HostPaths) -> Found:
    processes = sorted(processes, key=lambda process: (process.stat.start_ticks, process.stat.pid))
    stats = [process.stat for process in processes]
    wrapper = next((stat for stat in stats if stat.pid == stat.session and _is_wrapper(stat.pid, host)), None)
    rest = [stat for stat in stats if stat is not wrapper]
    inner = {stat.pid for stat in rest}
    if wrapper is not None:
        roots = [stat for stat in rest if stat.ppid == wrapper.pid]
    else:  # the wrapper was killed: the server is now init's child, its children are not
        roots = [stat for stat in rest if stat.ppid not in inner]
    server = roots[0] if roots else None
    return Found(
        launch_id=launch_id,
        profile=_value(processes[0].environ, PROFILE),
        wrapper=_name(wrapper, boot),
        server=_name(server, boot),
        others=tuple(Identity(boot, stat.pid, stat.start_ticks) for stat in rest if stat is not server),
    )


def _name(stat: ProcStat | None, boot: str) -> Identity | None:
    return None if stat is None else Identity(boot, stat.pid, stat.start_ticks)


def _is_wrapper(pid: int, host: HostPaths) -> bool:
    """Whether a session leader is our shell (a wrapped server may lead a session of its own)."""
    try:
        words = read_small(f"{host.proc}/{pid}/cmdline").split(b"\0")
    except OSError:
        return False
    return len(words) > 2 and words[1] == b"-c" and b"trap : TERM INT HUP" in words[2]


def _value(environ: bytes, name: str) -> str:
    start = environ.find(f"\0{name}=".encode())
    if start < 0:
        return ""
    start += len(name) + 2
    return environ[start : environ.index(b"\0", start)].decode("utf-8", "replace")


def members(
    wrapper: Identity | None, server: Identity | None, launch_id: str | None, host: HostPaths = LINUX
) -> tuple[Identity, ...]:
    """Every live process of one launch, oldest first; the wrapper and the server among them.

    A process belongs to it by identity, by carrying the launch id, or by being in the wrapper's session; the
    last counts only while wrapper or server themselves still stand in that session, because its number is
    handed out again once the session is empty. Processes of another boot are never members.
    """
    boot = boot_id(host)
    named = {identity for identity in (wrapper, server) if alive(identity, host, boot=boot)}
    session = _session(wrapper, named, host)
    found = {identity for identity in named if identity is not None}
    if launch_id:
        marker = f"\0{LAUNCH_ID}={launch_id}\0".encode()
        for process in _processes(host, marker):
            found.add(Identity(boot, process.stat.pid, process.stat.start_ticks))
    if session is not None:
        for pid in pids(host):
            stat = read_stat(pid, host)
            if stat is not None and not stat.gone and stat.session == session:
                found.add(Identity(boot, pid, stat.start_ticks))
    return tuple(sorted(found, key=lambda identity: (identity.start_ticks, identity.pid)))


def _session(wrapper: Identity | None, named: set[Identity | None], host: HostPaths) -> int | None:
    """The wrapper's session, when one of the verified processes is in it."""
    if wrapper is None:
        return None
    for identity in named:
        stat = read_stat(identity.pid, host) if identity else None
        if stat is not None and stat.session == wrapper.pid:
            return wrapper.pid
    return None
