"""Small writes of many threads in one transaction: whoever comes first writes for all who wait meanwhile.

Each gets its own answer when its write is on disk, as if it had written alone; a disk that takes milliseconds to be
sure is asked once for all of them.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.library.link import Link
    from llamaagent.store.types import Connection

_MOST = 200  # in one transaction, so that others come to write too


class _Write:
    """One write that waits, and its answer."""

    def __init__(self, act: Callable[[Connection], Any], otherwise: Any) -> None:
        self.act, self.otherwise = act, otherwise
        self.done = False
        self.answer = otherwise
        self.error: Exception | None = None


class Together:
    """The writes of one link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._turn = threading.Lock()
        self._waiting: deque[_Write] = deque()

    def write(self, act: Callable[[Connection], Any], otherwise: Any) -> Any:
        """As `Link.write`."""
        if os.getpid() != self._pid:  # a child made by fork: its parent's threads are not here
            self._begin()
        mine = _Write(act, otherwise)
        self._waiting.append(mine)
        with self._turn:
            while not mine.done:  # each goes in its turn, and mine is among those that wait
                self._write_next()
        if mine.error is not None:
            raise mine.error
        return mine.answer

    def _write_next(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(_MOST, len(self._waiting)))]

        def all_of_them(db: Connection) -> list[Any]:
            return [write.act(db) for write in batch]

        try:
            answers = self._link.write(all_of_them, None)
            for write, answer in zip(batch, answers or [write.otherwise for write in batch], strict=True):
                write.answer = answer
        except Exception:  # noqa: BLE001 - one of them is wrong: told to its own caller, and the others go on
            for write in batch:
                try:
                    write.answer = self._link.write(write.act, write.otherwise)
                except Exception as error:  # noqa: BLE001 - as above
                    write.error = error
        finally:
            for write in batch:
                write.done = True
