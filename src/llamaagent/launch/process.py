"""Starting one server so that it outlives us, and finding the server under its wrapper.

What is started is a tiny shell that runs the server in the foreground and afterwards leaves its exit status
in a file, so that the status is known when nobody was there to wait. The shell leads a session of its own:
no terminal hangs it up, and one signal to its group reaches everything. Its handlers (`trap :`) make it
outlast a signal to the group; they are not inherited, as an ignored signal would be. It uses no variable,
so that it cannot change the server's environment, and becomes `mv` at the end, so that the server is the
only child it ever has. `posix_spawn` neither forks this process (an open database is safe) nor needs the
subprocess module.
"""

from __future__ import annotations

import os

from llamaagent.base.errors import CannotCreateError, ServiceUnavailableError
from llamaagent.base.record import NamedTuple
from llamaagent.domain.instance import Identity
from llamaagent.launch.identity import LINUX, alive, boot_id, identify, pids, read_small, read_stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.base.clock import Clock
    from llamaagent.base.paths import HostPaths

SHELL = "/bin/sh"
# $0 is the exit record's path, $1 the folder to run in, the rest the server's command line.
WRAPPER = """umask 077
trap : TERM INT HUP
cd -- "$1" && unset PWD OLDPWD && shift && "$@"
set -- "$?"
printf '%s\\n' "$1" >"$0.new" || exec rm -f -- "$0.new"
exec mv -f -- "$0.new" "$0"
"""
_LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_POLL_S = 0.005
_ours: set[int] = set()  # wrappers and others that this very process started and has to bury


class LaunchRequest(NamedTuple):
    """All that a launch needs. Paths are absolute; their folders exist."""

    launch_id: str
    profile: str
    site_id: str
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    log_path: str
    exit_path: str
    cwd: str = "/"


def start(request: LaunchRequest, *, shell: str = SHELL) -> Identity:
    """Start the wrapper, which starts the server, and name the wrapper.

    The log is opened for appending with mode 0600 and never through a symbolic link; it gets both outputs. No
    descriptor but 0, 1 and 2 is passed on, ignored signals are set back to their defaults.
    Raises CannotCreateError (log, folder to run in) or ServiceUnavailableError (the shell cannot be started).
    """
    import signal

    _create_log(request.log_path)
    if not os.path.isdir(request.cwd):
        raise CannotCreateError(f"cannot run {request.profile} in {request.cwd}: no such folder")
    argv = (shell, "-c", WRAPPER, request.exit_path, request.cwd, *request.argv)
    try:
        pid = os.posix_spawn(
            shell,
            argv,
            dict(request.environment),
            file_actions=_descriptors(request.log_path),
            setsid=True,
            setsigmask=(),
            setsigdef=[s for s in signal.valid_signals() if s not in {signal.SIGKILL, signal.SIGSTOP}],
        )
    except OSError as error:
        raise ServiceUnavailableError(
            f"cannot start {request.profile} with {shell}: {error.strerror}"
        ) from error
    _ours.add(pid)
    found = read_stat(pid)  # a zombie is still named: it keeps its pid until we bury it
    return Identity(boot_id(), pid, found.start_ticks if found else 0)


def _create_log(path: str) -> None:
    """Make the log here, where a failure can be told; the child opens it for itself."""
    try:
        os.close(os.open(path, _LOG_FLAGS, 0o600))
    except OSError as error:
        raise CannotCreateError(f"cannot open log {path}: {error.strerror}") from error


def _descriptors(log_path: str) -> list[tuple[object, ...]]:
    actions: list[tuple[object, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log_path, _LOG_FLAGS & ~os.O_CLOEXEC, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    for name in os.listdir("/dev/fd"):  # what cron or a shell left open in us, Python's own do not inherit
        fd = int(name)
        try:
            if fd > 2 and os.get_inheritable(fd):
                actions.append((os.POSIX_SPAWN_CLOSE, fd))
        except OSError:  # the descriptor of the listing itself, closed by now
            continue
    return actions


def bury_later(pid: int) -> None:
    """Another child of this process that is to outlive it, and is waited for while it does not."""
    _ours.add(pid)


def bury() -> None:
    """Take leave of the wrappers that this process started and that have ended; a loop calls it each pass."""
    for pid in tuple(_ours):
        try:
            done, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            done = pid
        if done:
            _ours.discard(pid)


def server_of(wrapper: Identity, host: HostPaths = LINUX) -> Identity | None:
    """The server under a live wrapper; None while it has none (not yet, or no more) or is gone itself."""
    if not alive(wrapper, host):
        return None
    children = (identify(pid, host, boot=wrapper.boot_id) for pid in children_of(wrapper.pid, host))
    return min((child for child in children if child), key=_age, default=None)


def wait_for_server(wrapper: Identity, deadline: float, clock: Clock) -> Identity | None:
    """Wait until the wrapper has started the server.

    Until a fresh child has become the server's program it still has the shell's handlers and would swallow a
    SIGTERM, so that is waited for. deadline: on clock.monotonic(). None when the wrapper ended first; at the
    deadline whatever is there.
    """
    while True:
        server = server_of(wrapper)
        if server is not None and _command_line(server.pid) != _command_line(wrapper.pid):
            return server
        if not alive(wrapper) or clock.monotonic() >= deadline:
            return server
        clock.sleep(_POLL_S)


def _command_line(pid: int) -> bytes:
    try:
        return read_small(f"{LINUX.proc}/{pid}/cmdline")
    except OSError:
        return b""


def children_of(pid: int, host: HostPaths = LINUX) -> list[int]:
    """Pids of the direct children, zombies included."""
    try:
        return [int(word) for word in read_small(f"{host.proc}/{pid}/task/{pid}/children").split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN: ask everybody for the parent
        stats = (read_stat(other, host) for other in pids(host))
        return [stat.pid for stat in stats if stat is not None and stat.ppid == pid]


def _age(identity: Identity) -> tuple[int, int]:
    return identity.start_ticks, identity.pid
