"""Xid reports as they happen, for a program that lives long: a child waits, its pipe is read between two passes."""

from __future__ import annotations

import json
import os
import signal
import sys

from llamaagent.domain.xid import Xid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LISTENER = (sys.executable, "-P", "-m", "llamaagent.collect.xidchild")


class XidEvents:
    """One child. listening: it has said that it waits, and has not ended."""

    def __init__(self, command: Sequence[str] = LISTENER) -> None:
        """Start it. Raises OSError when that is not possible."""
        self.listening = False
        self.ended = False
        self._rest = b""
        self._fd, write_end = os.pipe()
        os.set_blocking(self._fd, False)
        try:
            self._pid = os.posix_spawn(
                command[0],
                [*command, str(os.getpid())],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, write_end, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
                setpgroup=0,
            )
        except OSError:
            os.close(self._fd)
            raise
        finally:
            os.close(write_end)

    def heard(self, now: int) -> tuple[Xid, ...]:
        """What came since the last call; never waits. now: the time that is put down for it."""
        found: list[Xid] = []
        for line in self._lines():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if "listening" in said:
                self.listening = True
            if isinstance(said.get("xid"), int) and isinstance(said.get("uuid"), str):
                found.append(Xid(said["xid"], now, uuid=said["uuid"], source="events"))
        return tuple(found)

    def _lines(self) -> list[bytes]:
        while not self.ended:
            try:
                data = os.read(self._fd, 65536)
            except BlockingIOError:
                break
            if not data:
                self._end()
                break
            self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        return lines

    def stop(self) -> None:
        """Kill it and let go: inside the driver it may live on, and nobody waits for it."""
        if not self.ended:
            os.kill(self._pid, signal.SIGKILL)
            self._end()

    def _end(self) -> None:
        self.ended, self.listening = True, False
        os.close(self._fd)
        os.waitpid(self._pid, os.WNOHANG)
