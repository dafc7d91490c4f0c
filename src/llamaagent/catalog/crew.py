"""A few threads that do the same to many things. They die with the program, so that Ctrl-C waits for no server."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Thing = TypeVar("Thing")
Result = TypeVar("Result")


class Done(NamedTuple, Generic[Thing, Result]):
    """What became of one thing: a result, or what was raised."""

    thing: Thing
    result: Result | None
    error: Exception | None


def each(
    things: Iterable[Thing], do: Callable[[Thing], Result], threads: int
) -> Iterator[Done[Thing, Result]]:
    """Do it to all, at most `threads` at a time; gives them as they are done.

    `do` runs in other threads. No more is taken from `things` than is worked on; when the caller stops listening,
    what is not begun is left.
    """
    waiting: queue.SimpleQueue[Thing | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[Done[Thing, Result]] = queue.SimpleQueue()

    def work() -> None:
        while (thing := waiting.get()) is not None:
            try:
                done.put(Done(thing, do(thing), None))
            except Exception as error:  # noqa: BLE001 - handed to whoever asked
                done.put(Done(thing, None, error))

    crew = 0
    source = iter(things)
    under_way = 0
    try:
        for thing in source:
            if crew < threads:
                threading.Thread(target=work, daemon=True).start()
                crew += 1
            waiting.put(thing)
            under_way += 1
            if under_way >= threads:
                yield done.get()
                under_way -= 1
        while under_way:
            yield done.get()
            under_way -= 1
    finally:
        for _ in range(crew):
            waiting.put(None)
