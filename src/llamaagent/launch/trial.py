"""Commands that say whether a server is well: several at once, each with a time limit, none of them outliving it.

They are no part of a launch: a session of their own, and without the names by which a launch is found again, so that a
stop never takes one for a process of the server and an adoption never takes one for the server.
"""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llamaagent.base.clock import Clock

_OUTPUT_BYTES = 65536  # of one command are kept; what comes after is read and dropped
_TICK_MS = 20  # how late an end is noticed when something else holds the pipe
_CHUNK = 65536
_TIMED_OUT = -1


class Ended(NamedTuple):
    """How one command ended. code: exit status, 128 + n after signal n; None = it was ended at its time limit."""

    code: int | None
    last_line: str
    seconds: float


class Trial:
    """One command that runs."""

    def __init__(self, pid: int, pipe: int, begun: float, timeout_s: float) -> None:
        self.pid = pid
        self.pipe = pipe
        self.begun = begun
        self.until = begun + timeout_s
        self._output = b""
        self._open = True

    def read(self) -> None:
        """Take what it has printed so far."""
        while self._open:
            try:
                data = os.read(self.pipe, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                self.close()
                return
            self._output = (self._output + data)[-_OUTPUT_BYTES:]

    @property
    def open(self) -> bool:
        """Whether somebody may still print."""
        return self._open

    def close(self) -> None:
        """Let go of its output."""
        if self._open:
            self._open = False
            os.close(self.pipe)

    def last_line(self) -> str:
        """The last line that is not blank, as text that can be shown."""
        lines = [line for line in self._output.decode("utf-8", "replace").splitlines() if line.strip()]
        text = lines[-1].strip() if lines else ""
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:200]


def try_out(argv: Sequence[str], environment: Mapping[str, str], timeout_s: float, monotonic: float) -> Trial:
    """Start one command. monotonic: the time now. Raises OSError when it cannot be started."""
    import signal

    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.set_blocking(writing, True)
        pid = os.posix_spawnp(
            argv[0],
            list(argv),
            dict(environment),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, writing, 1),
                (os.POSIX_SPAWN_DUP2, writing, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=[s for s in signal.valid_signals() if s not in {signal.SIGKILL, signal.SIGSTOP}],
        )
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    return Trial(pid, reading, monotonic, timeout_s)


def attend(trials: Mapping[int, Trial], until: float, clock: Clock) -> dict[int, Ended]:
    """Wait for all of them, each to its own limit and none beyond `until`; what runs on then is killed.

    What a command started and left behind ends with a command that ran into its limit, and is not waited for
    otherwise, even if it holds the command's output open.
    """
    import select

    ended: dict[int, Ended] = {}
    waiting = dict(trials)
    poll = select.poll()
    for trial in waiting.values():
        poll.register(trial.pipe, select.POLLIN)
    while waiting:
        now = clock.monotonic()
        for key, trial in list(waiting.items()):
            code = _code(trial.pid, late=now >= min(trial.until, until))
            was_open = trial.open
            trial.read()  # after the look at its end: what it printed is in the pipe by then
            if was_open and (not trial.open or code is not None):
                poll.unregister(trial.pipe)
            if code is not None:
                trial.close()
                known = None if code == _TIMED_OUT else code
                ended[key] = Ended(known, trial.last_line(), now - trial.begun)
                del waiting[key]
        if waiting:
            poll.poll(_TICK_MS)
    return ended


def _code(pid: int, *, late: bool) -> int | None:
    """Exit status as a shell tells it; None while it runs and may."""
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return _TIMED_OUT
    if done:
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code
    if not late:
        return None
    _kill((pid,))
    return _TIMED_OUT


def _kill(pids: Iterable[int]) -> None:
    """End a command with all that it started; it leads its group until we have waited for it."""
    import signal
    import time

    for pid in pids:
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        for _ in range(50):  # as a rule at once; one that waits in the kernel is left as it is
            if os.waitpid(pid, os.WNOHANG)[0]:
                break
            time.sleep(0.002)
