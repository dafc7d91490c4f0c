"""A process that is killed, or whose disk is full or fails from then on, at the n-th thing that it does to the disk.

What is done is counted at two borders: SQLite's own VFS, and the interpreter's audit events for what Python does with
names.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING

import apsw

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "proof"))

from disk import Disk, Op, told_disk

from llamaagent.base.errors import LlamaAgentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAMES = frozenset({"os.rename", "os.link", "os.remove", "os.chmod", "open"})
DONE, TOLD, KILLED = 0, 3, -signal.SIGKILL
NEVER = 1 << 40
HOW = [
    "killed",
    "full",
    "broken",
]  # broken: a failed write, as a quota or a limit of the file's size gives it


class Counter(Disk):
    """A disk that also hears what Python does to names below a folder."""

    def __init__(self, folder: str, at: int, how: str) -> None:
        super().__init__()
        self.folder, self.at, self.how = folder, at, how

    def change(self, op: Op) -> None:
        error: apsw.Error = apsw.FullError("the test says no")
        if self.how == "broken":
            error = apsw.IOError("the test says no")
            error.extendedresult = apsw.SQLITE_IOERR_WRITE
        self.tick(error)

    def hear(self, event: str, given: tuple[object, ...]) -> None:
        if event not in NAMES or not str(given[0]).startswith(self.folder):
            return
        if event == "open" and not (isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        if event == "os.remove" and not os.path.lexists(str(given[0])):
            return
        code = errno.EDQUOT if self.how == "broken" else errno.ENOSPC
        self.tick(OSError(code, os.strerror(code), str(given[0])))

    def tick(self, error: Exception) -> None:
        self.count += 1
        if self.count < self.at:
            return
        if self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise error  # and so does everything after it


def attempt(folder: Path, at: int, how: str, action: Callable[[], object]) -> tuple[int, int]:
    """The action in a child of its own, whose disk fails at the n-th change: how it ended, and changes until then."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code, counter = 1, Counter(str(folder), at, how)
        try:
            with told_disk(counter):
                sys.addaudithook(counter.hear)
                action()
            code = DONE
        except (LlamaAgentError, OSError, apsw.Error):
            code = TOLD
        except BaseException:  # noqa: BLE001 - a child must never come back into pytest
            traceback.print_exc()
        finally:
            os.write(writer, str(counter.count).encode())
            os._exit(code)
    os.close(writer)
    with open(reader, "rb") as pipe:
        count = int(pipe.read() or b"0")
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), count


def moments(count: int, last: int = 90) -> Iterator[int]:
    """Of the many pages that are written one in eleven, of the steps before and of the last ones all."""
    assert count > 20
    yield from (n for n in range(1, count + 1) if n < 12 or n > count - last or n % 11 == 0)
