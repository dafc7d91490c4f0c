"""Locks beside the database, named after it, never unlinked: `DB.pass.lock` for a pass, `DB.agent.lock` for a loop.

The kernel's flock is gone with its holder, whatever ended it, so a lock is never stale. The file's text (pid and
start) is for people only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from llamaagent.base.errors import CannotCreateError, LockHeldError
from llamaagent.base.paths import ensure_private_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from llamaagent.base.clock import Clock

_POLL_S = 0.02


class Lock:
    """One lock file. As a context manager it is taken already and released at the end."""

    def __init__(self, database: str, name: str) -> None:
        self.path = f"{database}.{name}.lock"
        self._fd: int | None = None

    def take(self, clock: Clock, wait_s: float = 0.0) -> Lock:
        """Take it, waiting at most wait_s. Raises LockHeldError, or CannotCreateError when the file cannot be made."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        if not os.path.isdir(os.path.dirname(self.path)):  # a loop locks before there is a database
            ensure_private_dir(os.path.dirname(self.path))
        try:
            fd = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise CannotCreateError(f"cannot open lock {self.path}: {error.strerror}") from error
        until = clock.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if clock.monotonic() >= until:
                    text = os.pread(fd, 64, 0).decode("ascii", "replace").strip()
                    os.close(fd)
                    raise LockHeldError(f"{self.path} is held" + (f" by {text}" if text else "")) from None
                clock.sleep(_POLL_S)
        self._fd = fd
        with contextlib.suppress(OSError):  # no space for a text that only people read
            os.pwrite(fd, f"pid {os.getpid():<10}\n".encode(), 0)
        return self

    def release(self) -> None:
        """Let go; the file stays."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
