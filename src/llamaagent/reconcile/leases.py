"""Lending cards: who gets one, which processes use a lease, and what becomes of one whose process is gone."""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple
from llamaagent.domain.admission import Placement, Refusal, place
from llamaagent.domain.quota import ON_CARDS, exceeded
from llamaagent.domain.usable import refused_together, usable
from llamaagent.launch.identity import alive, boot_id, other_namespace, read_stat
from llamaagent.reconcile.cardgate import named_holders
from llamaagent.reconcile.cardroom import cards
from llamaagent.reconcile.gates import HeldError
from llamaagent.reconcile.quotas import limits, place_on_cards, refuse, usage, windows_of
from llamaagent.store.audit import AuditStore
from llamaagent.store.leases import LeaseStore
from llamaagent.store.quotas import QuotaStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.actor import Actor
    from llamaagent.domain.lease import Lease, LeaseAsk
    from llamaagent.domain.sample import GpuSample
    from llamaagent.reconcile.context import Context

# Refusals against which room may help: where a quota leaves only the cards that the project has already, room on those.
ROOM_HELPS = frozenset({"gpu-memory", "quota"})
_DEPTH = 64  # of a tree of processes
_TRIES = 3


def settle_leases(ctx: Context) -> tuple[Lease, ...]:
    """Release leases whose process is gone or whose time is up; gives the others."""
    store, now, boot = LeaseStore(ctx.db), ctx.clock.now(), boot_id(ctx.host)
    found = store.live()
    over = [lease for lease in found if lease.over(now) or _gone(ctx, lease, boot)]
    if over:
        with ctx.db:
            for lease in over:
                store.release(lease.id, now)
                why = "its time is up" if lease.over(now) else f"its process (pid {lease.pid}) is gone"
                ctx.samples.log("info", "gpus", f"lease {lease.id} of {lease.holder} ended: {why}", now)
    return tuple(lease for lease in found if lease not in over)


def _gone(ctx: Context, lease: Lease, boot: str) -> bool:
    """Whether the process with which it ends has ended; of another pid namespace nothing is known."""
    if lease.process is None or other_namespace(lease.boot_id, boot):
        return False
    return not alive(lease.process, ctx.host, boot=boot)


class Granted(NamedTuple):
    """A lease that was given. cards: every card of the host as it was then."""

    lease_id: int
    ts: int
    placement: Placement
    cards: tuple[GpuSample, ...]


def grant(ctx: Context, ask: LeaseAsk, by: Actor, action: str, evicted: tuple[str, ...] = ()) -> Granted:
    """Lend cards, or raise HeldError with the arithmetic and the holders. evicted: who made way, for the audit log.

    Nobody else is given anything meanwhile: looking and writing are one transaction.
    """
    settle_leases(ctx)
    gpus = read_cards(ctx)
    now = ctx.clock.now()
    with ctx.db:
        ctx.samples.know_gpus(gpus.cards, boot_id(ctx.host), now)
        given = placed(ctx, ask, gpus, lambda one: _place(ctx, one, gpus))
        user_id = AuditStore(ctx.db).know(by, now)
        lease_id = LeaseStore(ctx.db).add(ask, given, by.name, user_id, now)
        details = {"gpus": list(given.uuids), "memory_mib": ask.memory_mib, "project": ask.project}
        details |= {"reason": ask.reason, "expires_ts": ask.expires_ts}
        details |= {"evicted": list(evicted)} if evicted else {}
        AuditStore(ctx.db).note(by, action, ("gpu", str(lease_id)), now, details)
    return Granted(lease_id, now, given, gpus.cards)


def read_cards(ctx: Context) -> GpuReading:
    """The cards as they are. Somebody who asks is worth a second try: another program may just be asking the driver."""
    found = ctx.read_gpus()
    for _ in range(_TRIES - 1):
        if found.cards or found.error is None:
            break
        found = ctx.read_gpus()
    if found.error is not None and not found.cards:
        raise HeldError("gpu-missing", f"the cards cannot be read: {found.error}")
    return found


def placed(
    ctx: Context, ask: LeaseAsk, gpus: GpuReading, place_ask: Callable[[LeaseAsk], Placement]
) -> Placement:
    """Where it goes within quota and room. place_ask: where within room alone. Either raises HeldError."""
    found = limits(ctx, ask.project)
    if found:
        uses, _ = usage(QuotaStore(ctx.db), ask.project, windows_of(found), ctx.clock.now())
        refuse(exceeded(found, uses, dict.fromkeys(ON_CARDS, 0)))
    count = ask.gpus if isinstance(ask.gpus, int) else 0

    def on(names: tuple[str, ...] | None) -> Placement:
        return place_ask(ask if names is None else ask._replace(gpus=names))

    return place_on_cards(ctx, ask.project, found, gpus, on, count)


def _place(ctx: Context, ask: LeaseAsk, gpus: GpuReading) -> Placement:
    found: Placement | Refusal
    left = usable(ask.gpus, gpus.cards, gpus.missing)
    if isinstance(left, Refusal):
        found = left
    else:
        given = cards(ctx, gpus._replace(cards=left))
        found = place(ask.need, given, ctx.settings.headroom.gpu_memory_mib)
    if isinstance(found, Placement):
        found = refused_together(found.uuids) or found
    if isinstance(found, Refusal):
        raise refused(ctx, ask, gpus, found)
    return found


def refused(ctx: Context, ask: LeaseAsk, gpus: GpuReading, found: Refusal) -> HeldError:
    """The refusal in the words of a lease, with those who have the cards."""
    told = named_holders(ctx, gpus, ctx.instances.newest())
    detail = found.detail
    if ask.memory_mib is None and found.reason == "gpu-memory":
        detail = _none_free(ask)
    who = "; ".join(f"{one.name.removesuffix('_holders')}: {one.value}" for one in told)
    return HeldError(found.reason, f"{detail}; {who}" if who else detail, (*found.arithmetic, *told))


def _none_free(ask: LeaseAsk) -> str:
    if isinstance(ask.gpus, tuple):
        return f"of {', '.join(ask.gpus)} not every card is free of holders and reservations"
    cards_wanted = "no card is" if ask.gpus == 1 else f"no {ask.gpus} cards are"
    return f"{cards_wanted} free of holders and reservations"


def processes_of(ctx: Context, gpus: GpuReading, known: Iterable[int | None]) -> dict[int, int]:
    """Which process uses which lease: pid -> number of the lease. known: pids of instances, which use none.

    A lease that ends with a process is used by that process and its descendants; one that is held by hand by what
    the same user started on its cards since. Root's processes are too many things to be taken for a lease's.
    """
    leases = [lease for lease in LeaseStore(ctx.db).live() if not lease.over(ctx.clock.now())]
    ours = set(known)
    found: dict[int, int] = {}
    for card in gpus.cards:
        here = [lease for lease in leases if card.uuid in lease.uuids]
        for holder in card.holders:
            if here and holder.pid not in ours and holder.pid not in found:
                lease = _lease_of(ctx, holder.pid, here)
                if lease is not None:
                    found[holder.pid] = lease.id
    return found


def _lease_of(ctx: Context, pid: int, leases: list[Lease]) -> Lease | None:
    parents = _ancestry(ctx, pid)
    for lease in leases:
        if lease.pid is not None and lease.pid in parents:
            return lease
    uid = _uid(ctx, pid)
    for lease in leases:
        if lease.pid is None and uid and lease.uid == uid and _started(ctx, pid) >= lease.created_ts - 1:
            return lease
    return None


def _ancestry(ctx: Context, pid: int) -> list[int]:
    """The process and its parents, as long as they can be read."""
    found = [pid]
    for _ in range(_DEPTH):
        stat = read_stat(found[-1], ctx.host)
        if stat is None or stat.ppid <= 1:
            break
        found.append(stat.ppid)
    return found


def _uid(ctx: Context, pid: int) -> int | None:
    try:
        return os.stat(f"{ctx.host.proc}/{pid}").st_uid
    except OSError:
        return None


def _started(ctx: Context, pid: int) -> float:
    """When it started by the wall clock of today, 0 when it is gone."""
    stat = read_stat(pid, ctx.host)
    if stat is None:
        return 0.0
    return ctx.clock.now() - (ctx.clock.boottime() - stat.start_ticks / os.sysconf("SC_CLK_TCK"))
