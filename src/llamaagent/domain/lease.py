"""Cards lent to a person or a program: what is asked for, what was given. Pure."""

from __future__ import annotations

from llamaagent.base.record import NamedTuple
from llamaagent.domain.admission import Need
from llamaagent.domain.instance import Identity


class LeaseAsk(NamedTuple):
    """gpus: a count or uuids/indexes. memory_mib: over all cards, None = whole cards, which are nobody else's."""

    gpus: int | tuple[str, ...]
    memory_mib: int | None
    exclusive: bool
    project: str
    reason: str | None
    expires_ts: int | None
    process: Identity | None = None  # it ends with this process

    @property
    def need(self) -> Need:
        """The same as admission asks it."""
        return Need(self.gpus, self.memory_mib or 0, self.exclusive or self.memory_mib is None)


class Lease(NamedTuple):
    """A lease that is not released; it may have expired."""

    id: int
    holder: str
    project: str
    reason: str | None
    uid: int | None
    created_ts: int
    expires_ts: int | None
    memory_mib: int | None  # on each card
    exclusive: bool
    boot_id: str | None
    pid: int | None
    start_ticks: int | None
    uuids: tuple[str, ...]

    @property
    def process(self) -> Identity | None:
        """The process with which it ends, None for one that somebody holds by hand."""
        if self.boot_id is None or self.pid is None or self.start_ticks is None:
            return None
        return Identity(self.boot_id, self.pid, self.start_ticks)

    def over(self, now: int) -> bool:
        """Its time is up."""
        return self.expires_ts is not None and self.expires_ts <= now
