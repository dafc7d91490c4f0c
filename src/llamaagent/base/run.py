"""Running a short program with a deadline and a cap on what it may print.

For git, `llama-server --help`, probes and notifications; servers are started by `launch`. The program leads
a session of its own, so that at the deadline its children end with it. What it prints beyond the cap is
read and dropped, since a program that cannot print would wait for ever.
"""

from __future__ import annotations

import os

from llamaagent.base.errors import ServiceUnavailableError
from llamaagent.base.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import selectors
    import subprocess
    from collections.abc import Mapping, Sequence

_CHUNK = 65536
_TICK_S = 0.05  # how late the end is noticed when a grandchild keeps the pipes open


class Result(NamedTuple):
    """How it ended. code: exit status, or minus the signal (-9 at the deadline)."""

    code: int
    out: bytes
    err: bytes
    timed_out: bool
    truncated: bool

    @property
    def text(self) -> str:
        """Standard output as text, whatever its bytes are."""
        return self.out.decode("utf-8", "replace")


def run(
    argv: Sequence[str],
    *,
    deadline_s: float,
    max_output_bytes: int = 1_000_000,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    stdin: bytes | None = None,
) -> Result:
    """Run a program to its end or to the deadline, whichever is first.

    max_output_bytes: kept of each of the two outputs. env: the whole environment, None = ours.
    At the deadline the whole process group is killed. When the program ends while something it started still
    holds the pipes, that is left running and not waited for.
    Raises ServiceUnavailableError when the program cannot be started.
    """
    import subprocess

    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        raise ServiceUnavailableError(f"cannot run {argv[0]}: {error.strerror}") from error
    with process:
        try:
            return _attend(process, deadline_s, max_output_bytes, stdin or b"")
        finally:
            if process.poll() is None:
                _kill_group(process)


def _attend(process: subprocess.Popen[bytes], deadline_s: float, cap: int, stdin: bytes) -> Result:
    import selectors
    import time

    kept: dict[int, bytearray] = {}
    truncated = timed_out = False
    end = time.monotonic() + deadline_s
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            assert stream is not None  # noqa: S101 - both are pipes, as asked for above
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
            kept[stream.fileno()] = bytearray()
        out, err = kept.values()
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            ended = process.poll() is not None  # asked before reading: what it printed is in the pipe by now
            if not ended and time.monotonic() >= end:
                timed_out = True
                _kill_group(process)
                ended = True
            ready = selector.select(0 if ended else max(0.0, min(_TICK_S, end - time.monotonic())))
            for key, _ in ready:
                if key.fd in kept:
                    truncated = _read(selector, key, kept[key.fd], cap) or truncated
                else:
                    stdin = _write(selector, key, stdin)
            if ended and (time.monotonic() >= end or not any(key.fd in kept for key, _ in ready)):
                break
    code = _wait(process, end - time.monotonic())
    if code is None:
        timed_out = True
        _kill_group(process)
        code = process.wait()
    return Result(code, bytes(out), bytes(err), timed_out, truncated)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """For a program that closed its outputs and goes on."""
    import subprocess

    try:
        return process.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        return None


def _read(selector: selectors.BaseSelector, key: selectors.SelectorKey, into: bytearray, cap: int) -> bool:
    """Take what is there, keeping up to the cap; whether some was dropped."""
    try:
        data = os.read(key.fd, _CHUNK)
    except BlockingIOError:
        return False
    if not data:
        selector.unregister(key.fileobj)
    room = cap - len(into)
    into += data[:room]
    return len(data) > room


def _write(selector: selectors.BaseSelector, key: selectors.SelectorKey, data: bytes) -> bytes:
    """Hand over what fits, and close when all is gone; a reader that left is its own affair."""
    try:
        data = data[os.write(key.fd, data[:_CHUNK]) :]
    except BlockingIOError:
        return data
    except BrokenPipeError:
        data = b""
    if not data:
        selector.unregister(key.fileobj)
        key.fileobj.close()  # type: ignore[union-attr]
    return data


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """End it and all that it started; not yet waited for, so the group's number is still its own."""
    import signal

    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
    process.wait()
