"""A child that reads cards: started, waited for, and abandoned when the driver holds it."""

from __future__ import annotations

import os
import select
import time

from llamaagent.collect.gpu import GpuReading
from llamaagent.collect.gpureading import parse_reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_BYTES = 4 << 20
_DYING_MS = 1000  # what a process takes at most that only has to be torn down, on a busy machine too
# Children that did not even die at once, with what they read; a loop must not pile them up.
_abandoned: list[tuple[int, str]] = []


class GpuProbe:
    """A child that is asking, so that other work can go on meanwhile. what: the source, for messages."""

    def __init__(self, what: str, pid: int, fd: int, started: float) -> None:
        self.what = what
        self.pid = pid
        self.fd = fd
        self.started = started


def begin_gpus(what: str, command: Sequence[str]) -> GpuProbe | GpuReading:
    """Start asking. A reading only when that is not possible: then it carries the error."""
    _reap_abandoned()
    stuck = next((pid for pid, source in _abandoned if source == what), None)
    if stuck is not None:
        return GpuReading(available=True, error=f"an earlier {what} reader (pid {stuck}) still hangs")
    read_end, write_end = os.pipe()
    try:
        pid = os.posix_spawn(
            command[0],
            list(command),
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, write_end, 1),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setpgroup=0,  # a Ctrl-C for the agent is not for a child in the middle of the driver
        )
    except OSError as error:
        os.close(read_end)
        return GpuReading(available=True, error=f"cannot start the {what} reader: {error.strerror}")
    finally:
        os.close(write_end)
    return GpuProbe(what, pid, read_end, time.monotonic())


def finish_gpus(probe: GpuProbe, timeout_s: float) -> GpuReading:
    """Take the result, waiting until timeout_s seconds after the start at most; then kill and let go."""
    try:
        data = _read_until(probe.fd, probe.started + timeout_s)
    finally:
        os.close(probe.fd)
    if data is None:
        _kill(probe)
        return GpuReading(available=True, error=f"{probe.what} did not answer within {timeout_s:g} s")
    status = os.waitstatus_to_exitcode(os.waitpid(probe.pid, 0)[1])
    if status:
        return GpuReading(available=True, error=f"the {probe.what} reader ended with {status}")
    return parse_reading(data, probe.what)


def _read_until(fd: int, until: float) -> bytes | None:
    """Everything up to the end of the pipe, None when that does not come in time."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    parts: list[bytes] = []
    size = 0
    while (left := until - time.monotonic()) > 0 and size < _MAX_BYTES:
        if not poll.poll(max(1, int(left * 1000))):
            continue
        data = os.read(fd, 65536)
        if not data:
            return b"".join(parts)
        parts.append(data)
        size += len(data)
    return None


def _kill(probe: GpuProbe) -> None:
    """Kill our child; it is not waited for yet, so the pid is still its. Inside the driver it lives on."""
    import signal  # its enumerations cost a millisecond

    os.kill(probe.pid, signal.SIGKILL)
    _abandoned.append((probe.pid, probe.what))
    if hasattr(os, "pidfd_open"):
        fd = os.pidfd_open(probe.pid)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(_DYING_MS)
        os.close(fd)
    _reap_abandoned()


def _reap_abandoned() -> None:
    for pid, what in list(_abandoned):
        try:
            gone, _status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            gone = pid
        if gone:
            _abandoned.remove((pid, what))
