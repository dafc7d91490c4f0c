"""llama-servers that run on this host and that no llamaagent launched: what /proc says of each. Changes nothing.

Of another user's process the command line and the control group can be read, its environment and its open
files cannot. Source: proc_pid_cmdline(5), proc_pid_cgroup(5), namespaces(7).
"""

from __future__ import annotations

import os

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.base.record import NamedTuple
from llamaagent.domain.takeover import Circumstances, Parent, UnitFacts, unit_of
from llamaagent.launch.adopt import LAUNCH_ID
from llamaagent.launch.identity import LINUX, identify, pids, read_small, read_stat
from llamaagent.launch.outside import address_text, command_words, listening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.base.paths import HostPaths
    from llamaagent.domain.instance import Identity

SERVER = "llama-server"
_DEEPEST = 32
_INTERPRETERS = ("sh", "bash", "dash", "zsh", "python", "perl", "ruby", "node")


class Foreign(NamedTuple):
    """One of them. words: its whole command line, secrets included: they go nowhere from here as they are."""

    identity: Identity
    uid: int
    user: str | None
    words: tuple[str, ...]
    cwd: str | None
    exe: str | None  # its program's file; None: not readable, or replaced since
    environment: dict[str, str] | None  # None: not readable
    output: str | None  # the file that its output goes to
    host: str | None  # where it listens
    port: int | None


def find_foreign(host: HostPaths = LINUX) -> list[Foreign]:
    """All of them, by pid."""
    found = []
    for pid in sorted(pids(host)):
        words = command_words(pid, host)
        if not words or not _is_server(pid, words, host):
            continue
        environment = _environment(pid, host)
        identity = identify(pid, host)
        if identity is not None and LAUNCH_ID not in (environment or {}):
            found.append(_read(identity, words, environment, host))
    return found


def _is_server(pid: int, words: list[str], host: HostPaths) -> bool:
    """By the name it was called by, or by the name of its file."""
    return os.path.basename(words[0]) == SERVER or os.path.basename(_link(pid, "exe", host) or "") == SERVER


def _read(
    identity: Identity, words: list[str], environment: dict[str, str] | None, host: HostPaths
) -> Foreign:
    pid = identity.pid
    uid, user = _owner(pid, host)
    exe = _link(pid, "exe", host)
    socket = listening(pid, host)
    return Foreign(
        identity,
        uid,
        user,
        tuple(words),
        _link(pid, "cwd", host),
        exe if exe is not None and os.path.isfile(exe) else None,
        environment,
        _output(pid, host),
        address_text(socket.address) if socket else None,
        socket.port if socket else None,
    )


def _environment(pid: int, host: HostPaths) -> dict[str, str] | None:
    try:
        text = read_small(f"{host.proc}/{pid}/environ").decode("utf-8", "surrogateescape")
    except OSError:
        return None
    return dict(word.partition("=")[::2] for word in text.split("\0") if "=" in word)


def _link(pid: int, name: str, host: HostPaths) -> str | None:
    try:
        return os.readlink(f"{host.proc}/{pid}/{name}")
    except OSError:
        return None


def _output(pid: int, host: HostPaths) -> str | None:
    target = _link(pid, "fd/2", host)
    return target if target is not None and target.startswith("/") and os.path.isfile(target) else None


def _owner(pid: int, host: HostPaths) -> tuple[int, str | None]:
    import pwd

    try:
        uid = os.stat(f"{host.proc}/{pid}").st_uid
        return uid, pwd.getpwuid(uid).pw_name
    except OSError:
        return -1, None
    except KeyError:
        return uid, None


def circumstances(server: Foreign, host: HostPaths = LINUX) -> Circumstances:
    """What bears on whether it can become ours."""
    pid = server.identity.pid
    cgroup = _text(f"{host.proc}/{pid}/cgroup")
    namespace, mine = _link(pid, "ns/pid", host), _link(os.getpid(), "ns/pid", host)
    named = unit_of(cgroup)
    return Circumstances(
        pid=pid,
        uid=server.uid,
        my_uid=os.geteuid(),
        user=server.user,
        cgroup=cgroup,
        my_cgroup=_text(f"{host.proc}/self/cgroup"),
        same_namespace=None if namespace is None or mine is None else namespace == mine,
        parents=_parents(pid, host),
        unit=None if named is None else _unit(*named),
    )


def _unit(name: str, user: bool) -> UnitFacts:
    from llamaagent.launch.systemd import ask_unit

    try:
        unit = ask_unit(name, user=user)
    except ServiceUnavailableError as error:
        return UnitFacts(name, user, fault=str(error))
    return UnitFacts(name, user, unit.restart, unit.main_pid)


def _text(path: str) -> str:
    try:
        return read_small(path).decode("utf-8", "replace")
    except OSError:
        return ""


def _parents(pid: int, host: HostPaths) -> tuple[Parent, ...]:
    """The processes above it, nearest first, without the first of all."""
    found: list[Parent] = []
    stat = read_stat(pid, host)
    while stat is not None and stat.ppid > 1 and len(found) < _DEEPEST:
        stat = read_stat(stat.ppid, host)
        if stat is not None:
            names = (stat.comm, *_names(command_words(stat.pid, host)))
            found.append(Parent(stat.pid, tuple(dict.fromkeys(names))))
    return tuple(found)


def _names(words: list[str]) -> tuple[str, ...]:
    """The program, and the script when it is an interpreter that runs one."""
    program = os.path.basename(words[0]) if words else ""
    if not program.startswith(_INTERPRETERS) or len(words) < 2 or words[1].startswith("-"):
        return (program,)
    return program, os.path.basename(words[1])
