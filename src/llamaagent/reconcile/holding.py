"""Who holds room on the cards now, and what the rules of eviction ask of each: priority, use, age."""

from __future__ import annotations

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.eviction import Running, Share
from llamaagent.domain.hostroom import NOTHING
from llamaagent.domain.idle import Activity, idle_s
from llamaagent.reconcile.cardgate import not_back
from llamaagent.reconcile.owners import owners
from llamaagent.reconcile.quotas import priority_of
from llamaagent.reconcile.subjects import age_s
from llamaagent.store.memory import GivenBack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.hostroom import Claim
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.plan import Plan
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.sight import Sight
    from llamaagent.domain.wish import Override
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.declared import Declared
    from llamaagent.reconcile.observe import View

AGAIN = frozenset({"update", "restart"})  # stopped only to be launched anew: its room stays its own
NO_CLAIMS: Mapping[int, Claim] = {}


def running(
    ctx: Context,
    declared: Declared,
    rows: tuple[Instance, ...],
    view: View,
    gpus: GpuReading,
    plan: Plan,
    frees: Mapping[int, Claim] = NO_CLAIMS,
) -> tuple[Running, ...]:
    """Every instance of ours that holds room, and what has ended so lately that its memory is not back.

    frees: what comes back of the machine with each instance, where that matters to anybody.
    """
    held = _shares(ctx, rows, gpus)
    stops = {action.profile: action.reason for action in plan.actions if action.kind == act.STOP}
    dead = {row.id for row in rows if row.status in st.LIVE and _is_dead(view.sights.get(row.id))}
    activity, overrides = ctx.samples.activity(), ctx.wishes.overrides()
    made = []
    for row in rows:
        profile = declared.profiles.get(row.profile)
        shares, claim = held.get(row.id, ()), frees.get(row.id, NOTHING)
        if not (shares or any(claim)) or row.kind == "external":
            continue
        one = Running(row.profile, row.id, 0, shares, pinned=True, frees=claim)
        why = row.stop_reason if row.status == st.STOPPING else stops.get(row.profile)
        goes = row.id in dead or (why is not None and row.reason != "unkillable")
        one = one._replace(going=goes and why not in AGAIN, changing=why in AGAIN)
        if profile is not None:
            one = _ruled(ctx, one, row, profile, overrides.get(row.profile))
            one = _used(ctx, one, row, view, activity.get(row.id, Activity()))
        made.append(one)
    return (*made, *_returning(ctx, gpus, dead))


def _is_dead(sight: Sight | None) -> bool:
    """Whether it ended, and its row does not say so yet."""
    return sight is not None and not sight.server_alive and not sight.others_alive


def _shares(ctx: Context, rows: tuple[Instance, ...], gpus: GpuReading) -> dict[int, tuple[Share, ...]]:
    """By instance and card, the larger of what is reserved and what is taken."""
    of = owners(ctx.host, rows, gpus)
    found: dict[int, dict[str, Share]] = {row.id: {} for row in rows if row.status in st.LIVE}
    for one in ctx.instances.reservations():
        if one.instance_id in found:
            found[one.instance_id][one.uuid] = Share(one.uuid, one.memory_mib or 0, one.exclusive)
    taken: dict[tuple[int, str], int] = {}
    for card in gpus.cards:
        for holder in card.holders:
            if holder.pid in of:
                key = of[holder.pid], card.uuid
                taken[key] = taken.get(key, 0) + (holder.memory_mib or 0)
    for (owner, uuid), mib in taken.items():
        share = found[owner].get(uuid, Share(uuid, 0))
        found[owner][uuid] = share._replace(memory_mib=max(share.memory_mib, mib))
    return {owner: tuple(shares.values()) for owner, shares in found.items()}


def _ruled(ctx: Context, one: Running, row: Instance, profile: Profile, override: Override | None) -> Running:
    """What its profile says of eviction, and whether it will go by itself."""
    until = override.until_ts if override is not None and override.action == "start" else None
    ends = profile.schedule is not None or profile.idle.stop_after_s is not None or until is not None
    age = age_s(ctx, row)
    return one._replace(
        priority=priority_of(ctx, profile),
        pinned=profile.evict.pinned,
        when_busy=profile.evict.when_busy,
        min_residency_s=profile.evict.min_residency_s,
        since_ts=ctx.clock.now() - age if age is not None else row.launched_ts or row.created_ts,
        ends=ends,
    )


def _used(ctx: Context, one: Running, row: Instance, view: View, seen: Activity) -> Running:
    """Whether it is asked something now, and since when it is not."""
    if row.status == st.LOADING:
        return one  # nobody can ask it yet
    sight, counters = view.sights.get(row.id), view.counters.get(row.id)
    busy = sight.requests_processing if sight is not None else None
    if counters is None or busy is None:
        return one._replace(busy=None)
    boottime = int(ctx.clock.boottime())
    idle = idle_s(seen, counters.tokens, counters.in_progress, ctx.clock.now(), boottime)
    return one._replace(busy=busy > 0, idle_s=idle or 0)


def _returning(ctx: Context, gpus: GpuReading, dead: set[int]) -> tuple[Running, ...]:
    """What ended a moment ago, with as much of its memory as is in use by nobody who lives."""
    just = tuple(
        GivenBack(one.uuid, one.holder or "?", one.memory_mib or 0)
        for one in ctx.instances.reservations()
        if one.instance_id in dead
    )
    return tuple(
        Running(name, None, 0, (Share(uuid, mib),), going=True)
        for uuid, holders in not_back(ctx, gpus, just).items()
        for name, mib in holders.items()
    )
