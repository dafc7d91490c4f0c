"""Leases of cards in `reservations`."""

from __future__ import annotations

from llamaagent.domain.lease import Lease
from llamaagent.sql import statements

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from apsw import Connection

    from llamaagent.domain.admission import Placement
    from llamaagent.domain.instance import Identity
    from llamaagent.domain.lease import LeaseAsk

_SQL = statements("leases")


class LeaseStore:
    """The leases of one open database. Methods that write expect the caller's transaction."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def live(self) -> tuple[Lease, ...]:
        """Every lease that is not released, those whose time is up included."""
        return tuple(_lease(row) for row in self._db.execute(_SQL["select_leases"]).fetchall())

    def add(self, ask: LeaseAsk, given: Placement, holder: str, user_id: int, ts: int) -> int:
        """Lend these cards; the number of the lease."""
        row = {"holder": holder, "project": ask.project, "reason": ask.reason, "user_id": user_id, "ts": ts}
        row |= {"exclusive": ask.need.exclusive, "expires_ts": ask.expires_ts}
        row |= {"memory_mib": None if ask.memory_mib is None else given.memory_mib}
        row |= {"boot_id": None, "pid": None, "start_ticks": None}
        row |= ask.process._asdict() if ask.process is not None else {}
        lease_id: int | None = None
        for uuid in given.uuids:
            made = self._db.execute(_SQL["insert_lease"], {**row, "uuid": uuid, "lease_id": lease_id}).get
            if lease_id is None:
                lease_id = int(made)
                self._db.execute(_SQL["name_lease"], {"id": lease_id})
        if lease_id is None:
            raise ValueError(given)
        return lease_id

    def follow(self, lease_id: int, process: Identity) -> None:
        """From now on it ends with this process."""
        self._db.execute(_SQL["follow_lease"], {"lease_id": lease_id, **process._asdict()})

    def release(self, lease_id: int, ts: int) -> int:
        """End a lease; how many cards became free. One that had expired ends with the time at which it did."""
        return len(self._db.execute(_SQL["release_lease"], {"lease_id": lease_id, "ts": ts}).fetchall())


def _lease(row: tuple[Any, ...]) -> Lease:
    found = list(row)
    found[8], found[12] = bool(row[8]), tuple(row[12].split(","))
    return Lease(*found)
