"""A logging handler that writes to the table `logs`, from a thread of its own.

It never raises into the program that logs and never makes it wait: lines go through a bounded queue, and when that
is full (a database that stays locked, a full disk), further ones are counted and dropped, which a line says later.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from typing import TYPE_CHECKING

from llamaagent.base.clock import SystemClock
from llamaagent.library.logs import MESSAGE_MOST, context_text, error_texts
from llamaagent.store.events import Event

if TYPE_CHECKING:
    from llamaagent.library.store import Store

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_BATCH = 200
_FLUSH_S = 5.0
_AGAIN_S = 0.5  # until lines that could not be stored are tried again
_OURS = "llamaagent.library"  # warns of a store in trouble: not to be told to that store


class DatabaseHandler(logging.Handler):
    """`logging.getLogger().addHandler(DatabaseHandler(store))`. Fields given by `extra=` go into the context.

    level: below it nothing is taken (default: the store's). capacity: lines that wait at most.
    """

    def __init__(
        self, store: Store | None = None, level: int | str | None = None, capacity: int = 1000
    ) -> None:
        if store is None:
            from llamaagent.library.opening import open_store

            store = open_store()
        super().__init__(store.logs.level.upper() if level is None else level)
        self._store, self._capacity, self._clock = store, capacity, SystemClock()
        self.dropped = 0  # lines that found the queue full, and were not told of yet
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._waiting: deque[Event] = deque()
        self._busy = False
        self._ended = False
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave our own warnings out, before the lock that a flush holds while it waits for the thread."""
        return record.name != _OURS and bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Put a line into the queue."""
        try:
            event = _event(record)
            if (
                os.getpid() != self._pid
            ):  # a child made by fork has no such thread, and not its parent's lines
                self._begin()
            with self._change:
                if len(self._waiting) >= self._capacity:
                    self.dropped += 1
                    return
                self._waiting.append(event)
                self._start()
                self._change.notify_all()
        except Exception:  # noqa: BLE001 - a line that cannot be logged is logging's to tell
            self.handleError(record)

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._ended = False
            self._thread = threading.Thread(target=self._run, name="llamaagent-logs", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._change:
                while not self._waiting and not self._ended:
                    self._change.wait()
                if not self._waiting:
                    return
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                lost, self._busy = self.dropped, True
            stored = self._store_lines(batch, lost)
            with self._change:
                if stored:
                    self.dropped -= lost
                elif self._store.kind == "file" and not self._ended:
                    self._waiting.extendleft(reversed(batch))
                    self._change.wait_for(lambda: self._ended, _AGAIN_S)
                self._busy = False
                self._change.notify_all()

    def _store_lines(self, batch: list[Event], lost: int) -> bool:
        told = []
        if lost:
            text = f"{lost} line{'s' * (lost != 1)} dropped: the queue was full"
            told.append(Event(self._clock.now(), "warning", text, _OURS))
        try:
            return self._store.logs.add_many([*batch, *told])
        except Exception as error:  # noqa: BLE001 - nobody above this thread could do anything
            logging.getLogger(_OURS).warning("log lines lost: %s", error)
            return True

    def flush(self) -> None:
        """Wait until the queue is empty, five seconds at most."""
        if os.getpid() != self._pid or threading.current_thread() is self._thread:
            return
        until = self._clock.monotonic() + _FLUSH_S
        with self._change:
            while (self._waiting or self._busy) and (left := until - self._clock.monotonic()) > 0:
                self._change.wait(left)

    def close(self) -> None:
        """Flush, and end the thread. The store stays open."""
        self.flush()
        if os.getpid() == self._pid:
            with self._change:
                self._ended = True
                self._change.notify_all()
        super().close()


def _event(record: logging.LogRecord) -> Event:
    extra = {name: value for name, value in vars(record).items() if name not in _PLAIN}
    error = record.exc_info[1] if record.exc_info else None
    names = ((50, "critical"), (40, "error"), (30, "warning"), (20, "info"))
    level = next((name for number, name in names if record.levelno >= number), "debug")
    return Event(
        int(record.created),
        level,
        record.getMessage()[:MESSAGE_MOST],
        record.name,
        None,
        context_text(extra),
        None,
        None,
        *error_texts(error),
    )
