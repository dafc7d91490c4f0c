"""The cards as admission sees them: what the driver says is free, and what is promised there and not taken yet."""

from __future__ import annotations

from llamaagent.domain.admission import Card
from llamaagent.reconcile.owners import owners

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.instance import Instance
    from llamaagent.reconcile.context import Context
    from llamaagent.store.instances import Reservation


def cards(
    ctx: Context, gpus: GpuReading, *, leaving: int | None = None, rows: Iterable[Instance] | None = None
) -> tuple[Card, ...]:
    """The cards with what is promised on them and not yet taken.

    leaving: an instance that is about to go, whose memory and reservation count as free. rows: the newest row of each
    profile, where they are known already.
    """
    if not gpus.cards:
        return ()
    pids = owners(ctx.host, ctx.instances.newest() if rows is None else rows, gpus)
    reserved = ctx.instances.reservations()
    if any(r.lease_id is not None for r in reserved):
        from llamaagent.reconcile.leases import processes_of

        pids |= {pid: -lease for pid, lease in processes_of(ctx, gpus, pids).items()}  # as Reservation.owner
    made: list[Card] = []
    for card in gpus.cards:
        used: dict[int, int] = {}
        for holder in card.holders:
            owner = pids.get(holder.pid)
            if owner is not None:
                used[owner] = used.get(owner, 0) + (holder.memory_mib or 0)
        mine = [r for r in reserved if r.uuid == card.uuid and (leaving is None or r.instance_id != leaving)]
        total = card.memory_total_mib or 0
        unused = sum(max(0, _promised_mib(r, total) - used.get(r.owner, 0)) for r in mine)
        free = (
            card.memory_free_mib if card.memory_free_mib is not None else total - (card.memory_used_mib or 0)
        )
        free += used.get(leaving, 0) if leaving is not None else 0
        reserving = {r.owner for r in mine}  # what is only watched holds memory without a reservation
        foreign = sum(1 for holder in card.holders if pids.get(holder.pid, -1) not in {*reserving, leaving})
        exclusive = any(r.exclusive for r in mine)
        made.append(Card(card.uuid, card.index, total, free, unused, exclusive, len(mine) + foreign))
    return tuple(made)


def _promised_mib(reserved: Reservation, total_mib: int) -> int:
    """What a reservation takes of a card of this size; a lease without a size takes all of it."""
    if reserved.memory_mib is None:
        return total_mib if reserved.lease_id is not None else 0
    return reserved.memory_mib
