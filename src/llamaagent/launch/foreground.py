"""A program in the foreground, in our place: same terminal and process group, signals passed on, its exit status.

It begins only when it is told to, so that what it is to use can be written down under its own identity first; if
we are killed before that, it never begins, and if we are killed later, it goes on.
"""

from __future__ import annotations

import os
import signal

from llamaagent.base.record import NamedTuple
from llamaagent.launch.identity import identify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llamaagent.domain.instance import Identity

NOT_RUNNABLE, NOT_FOUND = 126, 127  # as env, nice and timeout have them
_PASSED_ON = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
)
_BY_KERNEL = 0x80  # SI_KERNEL: the terminal's, which the whole group has got already


class Waiting(NamedTuple):
    """A child that waits for the word to begin."""

    pid: int
    process: Identity | None
    go: int  # a byte written here lets it begin


def prepare(argv: Sequence[str], environment: Mapping[str, str]) -> Waiting:
    """Make the process, with the signals that we pass on held back. argv[0] is a path or a name on PATH."""
    wait_end, go = os.pipe()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, nobody could say how it ended
    signal.pthread_sigmask(signal.SIG_BLOCK, (*_PASSED_ON, signal.SIGCHLD))
    pid = os.fork()
    if pid == 0:
        os.close(go)
        _become(argv, environment, wait_end)
    os.close(wait_end)
    return Waiting(pid, identify(pid), go)


def _become(argv: Sequence[str], environment: Mapping[str, str], wait_end: int) -> None:
    """In the child: wait for the word, then be the program. Never returns."""
    code = NOT_RUNNABLE
    try:
        if os.read(wait_end, 1):
            for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python, and that would be inherited
                signal.signal(ignored, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_PASSED_ON, signal.SIGCHLD))
            os.execvpe(argv[0], list(argv), dict(environment))  # noqa: S606 - the user's own command
    except FileNotFoundError:
        code = NOT_FOUND
    except OSError as error:
        os.write(2, f"llamaagent: cannot run {argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(code)


def attend(child: Waiting) -> int:
    """Let it begin, pass signals on until it ends; its exit status, 128 + the signal that ended it."""
    os.write(child.go, b"g")
    os.close(child.go)
    while True:
        came = signal.sigwaitinfo((*_PASSED_ON, signal.SIGCHLD))
        if came.si_signo == signal.SIGCHLD:
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                return _status(status)
        elif came.si_code < _BY_KERNEL:
            os.kill(child.pid, came.si_signo)  # not waited for yet, so the number is still its


def forsake(child: Waiting) -> None:
    """It is not to begin after all."""
    os.close(child.go)
    os.waitpid(child.pid, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_PASSED_ON, signal.SIGCHLD))


def _status(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
