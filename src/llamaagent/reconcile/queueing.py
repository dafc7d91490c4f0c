"""The starts and changes of a plan in the order in which room is given, on the cards and of the machine.

A change that needs more than the old launch has stands in that line too. `plan` and a pass ask the same function; what
it decides is carried out like any other action.
"""

from __future__ import annotations

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.admission import Need, fits
from llamaagent.domain.hostroom import NOTHING, UNRECKONED
from llamaagent.domain.plan import Plan
from llamaagent.domain.queue import Waiting, among, in_order
from llamaagent.domain.queue import line_up as turns
from llamaagent.domain.space import Space
from llamaagent.reconcile.cardroom import cards
from llamaagent.reconcile.gates import HeldError, asking
from llamaagent.reconcile.holding import AGAIN, NO_CLAIMS, running
from llamaagent.reconcile.quotas import priority_of
from llamaagent.reconcile.served import Room, carrying, evictions, outcome
from llamaagent.reconcile.starting import held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.eviction import Running
    from llamaagent.domain.hostroom import Claim
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.plan import Action
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.declared import Declared
    from llamaagent.reconcile.gates import Asking
    from llamaagent.reconcile.hostgate import Host
    from llamaagent.reconcile.observe import View

_NOTHING = Need("none", 0)


def line_up(
    ctx: Context, plan: Plan, declared: Declared, rows: tuple[Instance, ...], view: View, gpus: GpuReading
) -> Plan:
    """The plan with every start and change that does not fit turned into a wait or a hold, and with evictions."""
    newest = {row.profile: row for row in rows}
    wanted = {a.profile: a for a in plan.actions if a.kind == act.START or _in_line(a, declared)}
    others = tuple(action for action in plan.actions if wanted.get(action.profile) is not action)
    if gpus.error is not None or not gpus.cards:
        profiles = (declared.profiles[name] for name in wanted)
        if not any(p.resources.memory_mib is not None or p.resources.cpus is not None for p in profiles):
            waiting = [_waiting(ctx, declared.profiles[name], newest.get(name), None) for name in wanted]
            return Plan((*others, *(wanted[one.name] for one in in_order(waiting))))
    asked, refusals = _ask(ctx, declared, wanted, rows, gpus)
    room = _room(
        ctx, rows, gpus, asked.values(), lambda frees: running(ctx, declared, rows, view, gpus, plan, frees)
    )
    waiting = [_waiting(ctx, declared.profiles[name], newest.get(name), one) for name, one in asked.items()]
    waiting = [_anew(room, one, newest.get(one.name)) for one in waiting]
    made: list[Action] = []
    served: list[Action] = []
    by_name = {one.name: one for one in waiting}
    now, space = ctx.clock.now(), room.space
    for turn in turns(waiting, space.cards, room.running, now, room.headroom_mib, space.machine):
        if turn.name not in wanted:
            continue  # not this pass's to start, but its place in the line counts
        profile, one, row = declared.profiles[turn.name], by_name[turn.name], newest.get(turn.name)
        if turn.eviction is not None and all(ctx.may_evict(one.name) for one in turn.eviction.victims):
            made += evictions(ctx, turn, one, declared, newest)
        served.append(outcome(room, turn, one, profile, asked[turn.name], wanted[turn.name], row))
    waits = [action for action in served if action.kind in {act.HOLD, act.WAIT}]
    stops = [action for action in served if action.kind == act.STOP]
    starts = [action for action in served if action.kind == act.START]
    return Plan((*others, *stops, *made, *refusals, *waits, *starts))


def _in_line(action: Action, declared: Declared) -> bool:
    """Whether it is a change of what we run and shall run."""
    profile = declared.profiles.get(action.profile)
    return act.is_change(action) and profile is not None and profile.runtime.kind != "external"


def _room(
    ctx: Context,
    rows: tuple[Instance, ...],
    gpus: GpuReading,
    asked: Iterable[Asking],
    holders: Callable[[Mapping[int, Claim]], tuple[Running, ...]],
) -> Room:
    """The room there is and who has it; the machine is asked only when somebody claims something of it."""
    host: Host | None = None
    machine, frees = UNRECKONED, NO_CLAIMS
    if any(one.demand is not None and any(one.demand.claim) for one in asked):
        from llamaagent.reconcile.hostgate import Host

        host = Host(ctx)
        machine, frees = host.machine, host.frees(ctx, rows)
    space = Space(cards(ctx, gpus, rows=rows), machine)
    return Room(ctx, rows, space, holders(frees), gpus, host)


def _ask(
    ctx: Context, declared: Declared, wanted: dict[str, Action], rows: tuple[Instance, ...], gpus: GpuReading
) -> tuple[dict[str, Asking], list[Action]]:
    """What each wants; those that something else stands in the way of are held for that instead.

    A pass for some looks at the others that wait for room too, because they may be first; and what is just being
    stopped to be launched anew keeps the room that it will need.
    """
    asked: dict[str, Asking] = {}
    refusals: list[Action] = []
    newest = {row.profile: row for row in rows}
    line = [row.profile for row in rows if row.status == st.CREATED and row.reason in act.ROOM]
    beside = [name for name in line if not ctx.chosen(name)]
    beside += [row.profile for row in rows if row.status == st.STOPPING and row.stop_reason in AGAIN]
    for name in dict.fromkeys((*wanted, *(n for n in beside if n in declared.profiles))):
        profile, row = declared.profiles[name], newest.get(name)
        leaving = row if row is not None and row.status in st.LIVE else None
        try:
            asked[name] = asking(ctx, profile, rows, gpus, leaving)
        except HeldError as error:
            if name in wanted:
                refusal = held(profile, error)
                if leaving is not None:
                    refusals.append(refusal._replace(instance_id=leaving.id))
                else:
                    refusals.append(carrying(refusal, wanted[name]))
    return asked, refusals


def _waiting(ctx: Context, profile: Profile, row: Instance | None, asked: Asking | None) -> Waiting:
    since = ctx.clock.now()
    again = False
    if row is not None and (
        row.status == st.CREATED or (row.status == st.STOPPED and row.reason in {"evicted", *AGAIN})
    ):
        since = row.since_ts
        again = row.status == st.STOPPED and row.reason in AGAIN
    elif row is not None and row.status in st.LIVE:
        since = _change_since(ctx, profile, row)
    need, given = (_NOTHING, None) if asked is None else (asked.need, asked.among)
    claim = NOTHING if asked is None or asked.demand is None else asked.demand.claim
    return Waiting(profile.name, need, priority_of(ctx, profile), since, again, given, claim)


def _change_since(ctx: Context, profile: Profile, row: Instance) -> int:
    """Since when a change or a restart of what runs is wanted."""
    said = ctx.wishes.overrides().get(profile.name)
    if said is not None and said.action == "restart" and said.done_ts is None:
        return said.created_ts
    declared = ctx.wishes.changed_since(profile.name, profile.launch_hash)
    return max(declared or ctx.clock.now(), row.launched_ts or 0)


def _anew(room: Room, one: Waiting, row: Instance | None) -> Waiting:
    """With what its old launch will leave, if that still has it; what needs no more than that keeps its place."""
    if row is None or row.status not in st.LIVE:
        return one
    old = next((other for other in room.running if other.instance_id == row.id), None)
    one = one._replace(leaves=old)
    return one._replace(keeps_place=row.status == st.STOPPING or not _grows(room, one, old, row))


def _grows(room: Room, one: Waiting, old: Running | None, row: Instance) -> bool:
    """Whether it needs more than its old launch has, on any card or of the machine."""
    if room.host is not None:
        claimed = room.host.claimed(row.id)
        if one.claim.memory_mib > claimed.memory_mib or one.claim.cpu_milli > claimed.cpu_milli:
            return True
    if one.need.gpus == "none" or not room.space.cards:
        return False
    own = {share.uuid: share.memory_mib for share in old.shares} if old is not None else {}
    free = among(one, room.space.without((old,) if old is not None else ()).cards)
    mine = tuple(
        card._replace(
            free_mib=min(card.free_mib - card.reserved_unused_mib, own[card.uuid] + room.headroom_mib),
            reserved_unused_mib=0,
        )
        for card in free
        if card.uuid in own
    )
    all_of_them = one.need.gpus == "all" and len(mine) < len(free)
    return not mine or all_of_them or not fits(one.need, mine, room.headroom_mib)
