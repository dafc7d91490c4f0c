"""A lease that evicts: who makes way for it, and the wait until their memory is back.

The caller holds the pass lock from the first eviction to the grant, so that no pass launches anything in the room
that is being made. Whatever ends this in between leaves rows that the next pass goes on with: it stops the evicted
to the end and, because nobody has their room, launches them again.
"""

from __future__ import annotations

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.admission import Refusal
from llamaagent.domain.eviction import Eviction, relieved, spared, victims
from llamaagent.domain.plan import Arithmetic, Plan
from llamaagent.domain.usable import refused_together, usable
from llamaagent.reconcile.cardgate import not_back
from llamaagent.reconcile.cardroom import cards
from llamaagent.reconcile.context import Borders
from llamaagent.reconcile.evicting import eviction_of
from llamaagent.reconcile.gates import HeldError
from llamaagent.reconcile.holding import running
from llamaagent.reconcile.leases import ROOM_HELPS, grant, placed, read_cards, refused
from llamaagent.reconcile.passes import carry_out, glance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.actor import Actor
    from llamaagent.domain.admission import Placement
    from llamaagent.domain.eviction import Running
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.lease import LeaseAsk
    from llamaagent.domain.plan import Action
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.declared import Declared
    from llamaagent.reconcile.leases import Granted

_POLL_S = 0.1
_ENDING = frozenset({act.STOP, act.SIGNAL, act.STUCK, act.END})


def grant_evicting(
    ctx: Context,
    ask: LeaseAsk,
    by: Actor,
    action: str,
    until: float,
    told: Callable[[tuple[str, ...]], None],
) -> Granted:
    """Lend cards for which others make way. The caller holds the pass lock.

    until: on the monotonic clock, how long their memory is waited for. told: called with the names of those that go.
    Raises HeldError, with nobody evicted when all that may be would not be enough.
    """
    plan, rows, view, declared = glance(ctx)
    gpus = read_cards(ctx)
    holders = running(ctx, declared, rows, view, gpus, plan)
    room = _who_goes(ctx, ask, gpus, rows, holders)
    evicted = tuple(sorted(one.name for one in room.victims))
    if evicted:
        told(evicted)
    actions = _evictions(room, ctx, by, rows, declared)
    borders = Borders(lambda: gpus, lambda: (None, None))
    carry_out(ctx, Plan(actions), rows, declared, view, borders, [])
    leaving = frozenset((*evicted, *_going_there(holders, room)))
    _await_ends(ctx, leaving, borders, until)
    while True:
        late = _is_late(ctx, room)  # asked first: what comes back meanwhile is there for the grant
        try:
            return grant(ctx, ask, by, action, evicted)
        except HeldError as error:
            if error.reason not in ROOM_HELPS or not late or ctx.clock.monotonic() >= until:
                raise
        ctx.clock.sleep(_POLL_S)


def _going_there(holders: tuple[Running, ...], room: Eviction) -> list[str]:
    """Those that go anyway and whose room is part of the lease's."""
    there = {*room.placement.uuids}
    return [one.name for one in holders if one.going and any(share.uuid in there for share in one.shares)]


def _who_goes(
    ctx: Context, ask: LeaseAsk, gpus: GpuReading, rows: tuple[Instance, ...], holders: tuple[Running, ...]
) -> Eviction:
    """Who goes besides those that go anyway, within quota. Raises HeldError that says who is spared, and why."""
    going = [one for one in holders if one.going]
    now, headroom = ctx.clock.now(), ctx.settings.headroom.gpu_memory_mib
    found: dict[Placement, Eviction] = {}

    def on(one: LeaseAsk) -> Placement:
        left = usable(one.gpus, gpus.cards, gpus.missing)
        if isinstance(left, Refusal):
            raise refused(ctx, one, gpus, left)
        seen = relieved(cards(ctx, gpus._replace(cards=left), rows=rows), going)
        made = victims(one.need, seen, holders, now, headroom_mib=headroom)
        if isinstance(made, Eviction):
            made = refused_together(made.placement.uuids) or made
        if isinstance(made, Refusal):
            raise refused(ctx, one, gpus, made)
        found[made.placement] = made
        return made.placement

    try:
        return found[placed(ctx, ask, gpus, on)]
    except HeldError as error:
        spared_ones = _why_not(ask, gpus, holders, now) if error.reason == "gpu-memory" else ""
        if not spared_ones:
            raise
        raise HeldError(error.reason, f"{error}; {spared_ones}", error.arithmetic) from error


def _why_not(ask: LeaseAsk, gpus: GpuReading, holders: tuple[Running, ...], now: int) -> str:
    """Of every instance on the cards that were asked for, why it is not evicted; "" when none is there."""
    names = set(ask.gpus) if isinstance(ask.gpus, tuple) else None
    meant = {
        card.uuid for card in gpus.cards if names is None or card.uuid in names or str(card.index) in names
    }
    stay, too_little = [], []
    for one in holders:
        if any(share.uuid in meant for share in one.shares):
            why = spared(one, None, now)
            if why is None:
                too_little.append(one.name)
            else:
                stay.append(f"{one.name} {why}")
    said = [f"not evicted: {', '.join(stay)}"] if stay else []
    said += [f"without {' and '.join(too_little)} it would not fit either"] if too_little else []
    return "; ".join(said)


def _evictions(
    room: Eviction, ctx: Context, by: Actor, rows: tuple[Instance, ...], declared: Declared
) -> tuple[Action, ...]:
    """One decision for each that makes way, with the arithmetic."""
    newest = {row.profile: row for row in rows}
    detail = f"evicted for a lease of {by.name}"
    made = []
    for victim in room.victims:
        figures = (
            *room.arithmetic,
            Arithmetic("priority", victim.priority),
            Arithmetic("idle_s", victim.idle_s),
        )
        row, profile = newest[victim.name], declared.profiles[victim.name]
        made.append(eviction_of(ctx, victim, row, profile, detail, figures))
    return tuple(made)


def _await_ends(ctx: Context, leaving: frozenset[str], borders: Borders, until: float) -> None:
    """Wait until none of them lives. Raises HeldError when the time is over before that."""
    while left := _still_there(ctx, leaving, borders):
        if ctx.clock.monotonic() >= until:
            names, verb = ", ".join(left), "has" if len(left) == 1 else "have"
            raise HeldError("gpu-memory", f"{names} {verb} not ended in time; the next pass goes on with it")
        ctx.clock.sleep(_POLL_S)


def _still_there(ctx: Context, leaving: frozenset[str], borders: Borders) -> list[str]:
    """Take each of them one step further towards its end; the names of those that have not ended."""
    if not leaving:
        return []
    plan, rows, view, declared = glance(ctx)
    steps = tuple(one for one in plan.actions if one.profile in leaving and one.kind in _ENDING)
    carry_out(ctx, Plan(steps), rows, declared, view, borders, [])
    alive = {row.profile for row in ctx.instances.newest() if row.status in st.LIVE}
    return sorted(leaving & alive)


def _is_late(ctx: Context, room: Eviction) -> bool:
    """Whether memory on its cards is still to come back from one that has ended."""
    return bool(not_back(ctx, ctx.read_gpus()).keys() & {*room.placement.uuids})
