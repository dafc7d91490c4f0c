"""What is done for each one that stood in the line: it starts, it waits for room that is made, or it is held."""

from __future__ import annotations

from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.admission import Refusal, place
from llamaagent.domain.hostroom import lacks
from llamaagent.domain.plan import Action, Arithmetic
from llamaagent.domain.queue import among
from llamaagent.domain.remedy import would_fit
from llamaagent.reconcile.cardgate import refused
from llamaagent.reconcile.evicting import eviction_of
from llamaagent.reconcile.starting import held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.eviction import Running
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.queue import Turn, Waiting
    from llamaagent.domain.space import Space
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.declared import Declared
    from llamaagent.reconcile.gates import Asking, HeldError
    from llamaagent.reconcile.hostgate import Host


class Room:
    """The cards and the machine, and who has how much of them, for one plan. host: None where nobody asks for it."""

    def __init__(
        self,
        ctx: Context,
        rows: tuple[Instance, ...],
        space: Space,
        holders: tuple[Running, ...],
        gpus: GpuReading,
        host: Host | None,
    ) -> None:
        self.ctx = ctx
        self.rows = rows
        self.space = space
        self.running = holders
        self.gpus = gpus
        self.host = host
        self.headroom_mib = ctx.settings.headroom.gpu_memory_mib

    def seen_by(self, one: Waiting) -> Space:
        """The room as it counts for this one: its cards, with what its own old launch has."""
        space = self.space if one.leaves is None else self.space.without((one.leaves,))
        return space._replace(cards=among(one, space.cards))

    def remedy(self, one: Waiting) -> Arithmetic:
        """What would make it fit."""
        seen = self.seen_by(one)
        text = would_fit(
            one.need,
            seen.cards,
            [other for other in self.running if other is not one.leaves],
            self.ctx.clock.now(),
            headroom_mib=self.headroom_mib,
            priority=one.priority,
            machine=seen.machine,
            claim=one.claim,
        )
        return Arithmetic("would_fit", text or None)

    def refusal(self, one: Waiting, asked: Asking) -> HeldError | None:
        """Why there is no room for it as things are, with every figure; None when there is."""
        seen = self.seen_by(one)
        found = place(one.need, seen.cards, self.headroom_mib)
        if isinstance(found, Refusal):
            return refused(self.ctx, self.gpus, one.need, seen.cards, found, asked.reckoned, self.rows)
        if self.host is None or asked.demand is None or lacks(seen.machine, one.claim) is None:
            return None
        return self.host.refusal(asked.demand)


def evictions(
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


def outcome(
    room: Room,
    turn: Turn,
    one: Waiting,
    profile: Profile,
    asked: Asking,
    action: Action,
    row: Instance | None,
) -> Action:
    """What is done for one that wants room. action: its start, or the stop for its change, as it was decided."""
    where = turn.placement.uuids if turn.placement is not None else ()
    on = tuple(zip(where, turn.placement.shares, strict=True)) if turn.placement is not None else ()
    if turn.kind == act.START:
        if action.kind != act.START:
            return action  # the change goes on
        figures = turn.placement.arithmetic if turn.placement is not None else ()
        return action._replace(
            cards=on, arithmetic=(*figures, *asked.reckoned.on(where).figures()) if on else ()
        )
    refusal = room.refusal(one, asked) if turn.behind is None else None
    made = held(profile, refusal) if refusal is not None else _queued(turn, profile, asked)
    if turn.kind == act.WAIT:
        made = _waits(room, turn, made)._replace(cards=on)
    else:
        made = made._replace(arithmetic=(*made.arithmetic, room.remedy(one)))
    if action.kind != act.START:
        return made._replace(instance_id=action.instance_id)
    return carrying(_as_evicted(made, row), action)


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


def _waits(room: Room, turn: Turn, made: Action) -> Action:
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
    if all(room.ctx.may_evict(victim.name) for victim in turn.eviction.victims):
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


def carrying(action: Action, start: Action) -> Action:
    """The hold in place of a start: what is asked for anew owes nothing to failures before."""
    return action._replace(restarts=0 if start.reason in {"override", "changed-file"} else None)
