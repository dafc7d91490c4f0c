"""The starts of a plan in the order in which room is given, and what becomes of those for which there is none.

`plan` and a pass ask the same function; what it decides is carried out like any other action.
"""

from __future__ import annotations

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.admission import Need, Refusal, place
from llamaagent.domain.plan import Action, Arithmetic, Plan
from llamaagent.domain.queue import Turn, Waiting, among, in_order
from llamaagent.domain.queue import line_up as turns
from llamaagent.domain.remedy import would_fit
from llamaagent.reconcile.cardgate import refused
from llamaagent.reconcile.evicting import eviction_of
from llamaagent.reconcile.gates import Asking, HeldError, asking, cards
from llamaagent.reconcile.holding import running
from llamaagent.reconcile.quotas import priority_of
from llamaagent.reconcile.starting import held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.eviction import Running
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.declared import Declared
    from llamaagent.reconcile.observe import View

_AGAIN = frozenset({"update", "restart"})
_NOTHING = Need("none", 0)


def line_up(
    ctx: Context, plan: Plan, declared: Declared, rows: tuple[Instance, ...], view: View, gpus: GpuReading
) -> Plan:
    """The plan with every start that does not fit turned into a wait or a hold, and with the evictions it takes."""
    newest = {row.profile: row for row in rows}
    starts = {action.profile: action for action in plan.actions if action.kind == act.START}
    others = tuple(action for action in plan.actions if action.kind != act.START)
    if gpus.error is not None or not gpus.cards:
        waiting = [_waiting(ctx, declared.profiles[name], newest.get(name), None) for name in starts]
        return Plan((*others, *(starts[one.name] for one in in_order(waiting))))
    asked, refusals = _ask(ctx, declared, starts, rows, gpus)
    waiting = [_waiting(ctx, declared.profiles[name], newest.get(name), one) for name, one in asked.items()]
    room = _Room(ctx, rows, running(ctx, declared, rows, view, gpus, plan), gpus)
    evictions: list[Action] = []
    served: list[Action] = []
    by_name = {one.name: one for one in waiting}
    for turn in turns(waiting, room.cards, room.running, ctx.clock.now(), room.headroom_mib):
        if turn.name not in starts:
            continue  # not this pass's to start, but its place in the line counts
        profile, one, row = declared.profiles[turn.name], by_name[turn.name], newest.get(turn.name)
        if turn.eviction is not None and all(ctx.chosen(victim.name) for victim in turn.eviction.victims):
            evictions += _evictions(ctx, turn, one, declared, newest)
        served.append(_action(room, turn, one, profile, asked[turn.name], starts[turn.name], row))
    held_or_waiting = [action for action in served if action.kind != act.START]
    started = [action for action in served if action.kind == act.START]
    return Plan((*others, *evictions, *refusals, *held_or_waiting, *started))


class _Room:
    """The cards and who holds them, for one plan."""

    def __init__(
        self, ctx: Context, rows: tuple[Instance, ...], holders: tuple[Running, ...], gpus: GpuReading
    ) -> None:
        self.ctx = ctx
        self.rows = rows
        self.cards = cards(ctx, gpus, rows=rows)
        self.running = holders
        self.gpus = gpus
        self.headroom_mib = ctx.settings.headroom.gpu_memory_mib

    def remedy(self, one: Waiting) -> Arithmetic:
        """What would make it fit."""
        text = would_fit(
            one.need,
            among(one, self.cards),
            self.running,
            self.ctx.clock.now(),
            headroom_mib=self.headroom_mib,
            priority=one.priority,
        )
        return Arithmetic("would_fit", text or None)


def _ask(
    ctx: Context, declared: Declared, starts: dict[str, Action], rows: tuple[Instance, ...], gpus: GpuReading
) -> tuple[dict[str, Asking], list[Action]]:
    """What each wants of the cards; those that something else stands in the way of are held for that instead.

    A pass for some looks at the others that wait for room too, because they may be first.
    """
    asked: dict[str, Asking] = {}
    refusals: list[Action] = []
    line = [row.profile for row in rows if row.status == st.CREATED and row.reason in act.ROOM]
    names = dict.fromkeys((*starts, *(n for n in line if not ctx.chosen(n) and n in declared.profiles)))
    for name in names:
        profile = declared.profiles[name]
        try:
            asked[name] = asking(ctx, profile, rows, gpus)
        except HeldError as error:
            if name in starts:
                refusals.append(_carrying(held(profile, error), starts[name]))
    return asked, refusals


def _waiting(ctx: Context, profile: Profile, row: Instance | None, asked: Asking | None) -> Waiting:
    since = ctx.clock.now()
    again = False
    if row is not None and (
        row.status == st.CREATED or (row.status == st.STOPPED and row.reason in {"evicted", *_AGAIN})
    ):
        since = row.since_ts
        again = row.status == st.STOPPED and row.reason in _AGAIN
    need, given = (_NOTHING, None) if asked is None else (asked.need, asked.among)
    return Waiting(profile.name, need, priority_of(ctx, profile), since, again, given)


def _evictions(
    ctx: Context, turn: Turn, one: Waiting, declared: Declared, newest: dict[str, Instance]
) -> list[Action]:
    """One decision for each that makes way: for whom, and the arithmetic."""
    made = []
    assert turn.eviction is not None  # noqa: S101 - asked only then
    for victim in turn.eviction.victims:
        row, profile = newest[victim.name], declared.profiles[victim.name]
        detail = f"evicted for {one.name}; priority {one.priority} over {victim.priority}"
        figures = (
            *turn.eviction.arithmetic,
            Arithmetic("priority", victim.priority),
            Arithmetic("for_priority", one.priority),
            Arithmetic("idle_s", victim.idle_s),
        )
        made.append(eviction_of(ctx, victim, row, profile, detail, figures)._replace(partner=one.name))
    return made


def _action(
    room: _Room,
    turn: Turn,
    one: Waiting,
    profile: Profile,
    asked: Asking,
    start: Action,
    row: Instance | None,
) -> Action:
    """What is done for one that wants room."""
    where = turn.placement.uuids if turn.placement is not None else ()
    on = tuple(zip(where, turn.placement.shares, strict=True)) if turn.placement is not None else ()
    if turn.kind == act.START:
        figures = turn.placement.arithmetic if turn.placement is not None else ()
        return start._replace(cards=on, arithmetic=(*figures, *asked.reckoned.figures()) if on else ())
    seen = among(one, room.cards)
    free = place(one.need, seen, room.headroom_mib)
    if turn.behind is not None or not isinstance(free, Refusal):
        made = _queued(turn, profile, asked)
    else:
        made = held(profile, refused(room.ctx, room.gpus, one.need, seen, free, asked.reckoned, room.rows))
    if turn.kind == act.WAIT:
        made = _waits(room, turn, made)._replace(cards=on)
    else:
        made = made._replace(arithmetic=(*made.arithmetic, room.remedy(one)))
    return _carrying(_as_evicted(made, row), start)


def _queued(turn: Turn, profile: Profile, asked: Asking) -> Action:
    """It would fit, but not without delaying somebody in front of it."""
    figures = (Arithmetic("needed_mib", asked.need.memory_mib), *asked.reckoned.figures())
    if turn.behind is None:
        detail = "would fit, but others wait in front of it"
    else:
        detail = f"would fit, but {turn.behind.name} is in front of it and waits for that room"
        figures = (
            *figures,
            Arithmetic("behind", turn.behind.name),
            Arithmetic("behind_needed_mib", turn.behind.need.memory_mib),
        )
    return Action(act.HOLD, profile.name, None, "queued", detail, figures)


def _waits(room: _Room, turn: Turn, made: Action) -> Action:
    """Room is being made, or comes by itself: the decision says whose."""
    if turn.eviction is None and made.reason == "gpu-releasing":
        return made  # says so itself, and for how long
    if turn.eviction is None:
        names = ", ".join(dict.fromkeys(turn.going))
        figures = (*made.arithmetic, Arithmetic("waits_for", names))
        return made._replace(
            kind=act.WAIT,
            detail=f"{made.detail}; {names} is going, its room is waited for",
            arithmetic=figures,
        )
    names = ", ".join(victim.name for victim in turn.eviction.victims)
    figures = (*turn.eviction.arithmetic, Arithmetic("waits_for", names))
    if all(room.ctx.chosen(victim.name) for victim in turn.eviction.victims):
        return made._replace(
            kind=act.WAIT, detail=f"{made.detail}; evicted for it: {names}", arithmetic=figures
        )
    # A pass for some leaves all others alone.
    return made._replace(
        detail=f"{made.detail}; the next pass for all evicts {names} for it", arithmetic=figures
    )


def _as_evicted(action: Action, row: Instance | None) -> Action:
    """Until it runs again, one that made way says for whom."""
    told = row.detail if row is not None and row.status in {st.STOPPED, st.CREATED} else None
    if row is None or row.reason != "evicted" or not told or action.reason not in act.ROOM:
        return action
    return action._replace(reason="evicted", detail=f"{told.split(';', 1)[0]}; {action.detail}")


def _carrying(action: Action, start: Action) -> Action:
    """The hold in place of a start: what is asked for anew owes nothing to failures before."""
    return action._replace(restarts=0 if start.reason in {"override", "changed-file"} else None)
