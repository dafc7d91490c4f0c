"""How a store reaches its database, and what happens when it cannot: a default answer and one warning."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from llamaagent.base.errors import (
    CannotCreateError,
    ConfigError,
    InstallError,
    LlamaAgentError,
    StorageError,
    StoreBusyError,
)
from llamaagent.store.perthread import Connections, MemoryConnections

if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.store.types import Connection

    T = TypeVar("T")

_UNAVAILABLE = (StorageError, StoreBusyError, CannotCreateError, ConfigError, InstallError)


class Link:
    """The way to one database. kind: `file`, `read-only`, `memory` (kept until the program ends), `disabled`.

    problem: why it is not what was asked for, or what went wrong last; None when all is well.
    """

    def __init__(
        self, kind: str, connections: Connections | MemoryConnections, problem: str | None = None
    ) -> None:
        self.kind = kind
        self.problem = problem
        self._connections = connections
        self._told: set[type[LlamaAgentError]] = set()
        self._closed = False

    def read(self, ask: Callable[[Connection], T], otherwise: T) -> T:
        """What `ask` finds; `otherwise` when the database cannot be read."""
        if self._closed:
            return otherwise
        try:
            with self._connections.reading() as db:
                return ask(db)
        except _UNAVAILABLE as error:
            self._tell(error)
        except Exception:
            if not self._closed:  # else another thread has closed it under this one
                raise
        return otherwise

    def write(self, act: Callable[[Connection], T], otherwise: T) -> T:
        """What `act` gives, done in one transaction; `otherwise` when nothing could be written, and so nothing was."""

        def whole(db: Connection) -> T:
            with db:
                return act(db)
            raise AssertionError  # for mypy: the block above may end an exception

        return self.work(whole, otherwise)

    def work(self, act: Callable[[Connection], T], otherwise: T) -> T:
        """As `write`, for work that makes its own transactions."""
        if self._closed or self.kind in {"disabled", "read-only"}:
            return otherwise
        try:
            with self._connections.writing() as db:
                return act(db)
        except _UNAVAILABLE as error:
            self._tell(error)
        except Exception:
            if not self._closed:
                raise
        return otherwise

    def close(self) -> None:
        """Close the connections; what is asked afterwards gets default answers."""
        self._closed = True
        self._connections.close()

    def _tell(self, error: LlamaAgentError) -> None:
        self.problem = str(error)
        if type(error) not in self._told:
            self._told.add(type(error))
            warn(f"{error}; going on without it")


def warn(text: str) -> None:
    """Tell the program's log. The handler that writes to the database leaves this logger out."""
    import logging

    logging.getLogger("llamaagent.library").warning("%s", text)


def connect(path: str, *, busy_timeout_ms: int) -> Link:
    """Open the file for writing, else for reading, else keep all in memory; one warning for less than asked for."""
    connections = Connections(path, busy_timeout_ms=busy_timeout_ms)
    try:
        with connections.writing():
            return Link("file", connections)
    except _UNAVAILABLE as error:
        problem = str(error)
    try:
        with connections.reading():
            warn(f"{problem}; it is only read")
            return Link("read-only", connections, problem)
    except _UNAVAILABLE:
        return in_memory(problem)


def in_memory(problem: str, *, told: bool = False) -> Link:
    """A store that lasts as long as the program, and, unless the user was told, one warning that says why."""
    if not told:
        warn(f"{problem}; what is stored is kept in memory and gone when this program ends")
    return Link("memory", MemoryConnections(), problem)


def without() -> Link:
    """A store that keeps nothing and finds nothing."""
    return Link("disabled", MemoryConnections())
