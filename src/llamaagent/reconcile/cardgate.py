"""The cards as a gate: how much a launch needs, where it goes, or who has the memory that it would need.

What counts is the declared figure, or what launches like it were measured to take if that is more; without a
declaration the measured one with a margin, else a fit, else the header, else the file's size. All that is known is
told, each under its own name.
"""

from __future__ import annotations

import os

from llamaagent.base.record import NamedTuple
from llamaagent.domain.admission import Card, Placement, Refusal, place
from llamaagent.domain.cardoptions import need_of
from llamaagent.domain.plan import Arithmetic
from llamaagent.domain.projection import Expected, margin_mib
from llamaagent.domain.usable import refused_together, usable
from llamaagent.launch.identity import boot_id
from llamaagent.reconcile.cardroom import cards
from llamaagent.reconcile.gates import HeldError, estimate_mib
from llamaagent.reconcile.owners import owners
from llamaagent.reconcile.projecting import expected
from llamaagent.store.memory import MemoryStore
from llamaagent.store.supervision import MemoryKey, SupervisionStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.admission import Need
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.sample import GpuSample
    from llamaagent.reconcile.context import Context
    from llamaagent.store.memory import GivenBack

RELEASE_S = (
    60  # so long a launch waits for memory that one which ended has not given back; then it is refused
)


class Reckoned(NamedTuple):
    """What is known of how much GPU memory a launch takes. None: not known.

    measured_mib: the most on any of the cards here; by_card: on cards like each of them, where that differs.
    """

    declared_mib: int | None = None
    measured_mib: int | None = None
    expected: Expected | None = None
    oom_mib: int | None = None
    by_card: tuple[tuple[str, int | None], ...] = ()

    def on(self, uuids: Iterable[str]) -> Reckoned:
        """What is known of it on these cards."""
        if not self.by_card:
            return self
        known = dict(self.by_card)
        measured = [mib for uuid in uuids if (mib := known.get(uuid)) is not None]
        return self._replace(measured_mib=max(measured, default=None), by_card=())

    @property
    def needed_by_card(self) -> tuple[tuple[str, int], ...]:
        """What is reserved for it where it is alone on each card; () where that is the same for all."""
        return tuple((uuid, self.on((uuid,)).needed_mib) for uuid, _ in self.by_card)

    @property
    def needed_mib(self) -> int:
        """What is reserved for it."""
        if self.by_card:
            return max(mib for _, mib in self.needed_by_card)
        if self.declared_mib is not None:
            least = max(self.declared_mib, self.measured_mib or 0)
        elif self.measured_mib is not None:
            least = self.measured_mib + margin_mib(self.measured_mib)
        else:
            least = self.expected.gpu_mib if self.expected is not None else 0
        return least if self.oom_mib is None else max(least, self.oom_mib + 1)

    def figures(self) -> tuple[Arithmetic, ...]:
        """Each under its own name, whichever of them counts."""
        told = [] if self.declared_mib is None else [Arithmetic("declared_mib", self.declared_mib)]
        if self.measured_mib is not None:
            told.append(Arithmetic("measured_mib", self.measured_mib))
            if self.declared_mib is None:
                told.append(Arithmetic("margin_mib", margin_mib(self.measured_mib)))
        if self.expected is not None:
            told.append(Arithmetic(f"{self.expected.source}_mib", self.expected.gpu_mib))
        if self.oom_mib is not None:
            told.append(Arithmetic("oom_mib", self.oom_mib))
        return tuple(told)


def reckon(
    ctx: Context, profile: Profile, gpus: GpuReading, size: int | None, key: MemoryKey | None
) -> Reckoned:
    """What is known of its GPU memory, asked only where there is some to be had."""
    declared = profile.resources.gpu_memory_mib
    if not gpus.cards or profile.resources.gpus == "none":
        return Reckoned(declared)
    fit = expected(ctx, profile)
    if (
        fit is None and size is not None
    ):  # else a model that is not here yet; 0 MiB would be a figure that nobody has
        fit = Expected(estimate_mib(size), "file_size_estimate")
    if key is None:
        return Reckoned(declared, None, fit)
    measured = MemoryStore(ctx.db).measured_on(key, gpus.cards)
    differs = tuple(measured.items()) if len(set(measured.values())) > 1 else ()
    most = max((mib for mib in measured.values() if mib is not None), default=None)
    return Reckoned(declared, most, fit, SupervisionStore(ctx.db).out_of(key), differs)


def place_launch(
    ctx: Context,
    profile: Profile,
    gpus: GpuReading,
    reckoned: Reckoned,
    rows: tuple[Instance, ...],
    *,
    leaving: int | None = None,
    on: tuple[str, ...] = (),
) -> Placement:
    """Where it goes. leaving: an instance whose memory counts as free. Raises HeldError.

    on: the cards that were found for it in its turn, the only ones it may get; () = any.
    """
    need, left = wanted(ctx, profile, gpus, reckoned, rows)
    if on and not isinstance(need.gpus, tuple):
        left = tuple(card for card in left if card.uuid in on)
    seen = cards(ctx, gpus._replace(cards=left), leaving=leaving, rows=rows)
    found = place(need, seen, ctx.settings.headroom.gpu_memory_mib)
    if isinstance(found, Placement):
        found = refused_together(found.uuids) or found
    if isinstance(found, Refusal):
        raise refused(ctx, gpus, need, seen, found, reckoned, rows)
    if not found.uuids:
        return found
    return found._replace(arithmetic=(*found.arithmetic, *reckoned.on(found.uuids).figures()))


def wanted(
    ctx: Context, profile: Profile, gpus: GpuReading, reckoned: Reckoned, rows: tuple[Instance, ...]
) -> tuple[Need, tuple[GpuSample, ...]]:
    """What it asks of the cards, and those that may be given to it at all. Raises HeldError."""
    if gpus.error is not None and profile.resources.gpus != "none":
        raise HeldError("gpu-missing", f"the cards cannot be read: {gpus.error}")
    need = need_of(profile, reckoned.needed_mib, _missing(ctx, profile, gpus))
    need = need._replace(by_card=reckoned.needed_by_card)
    left = usable(profile.resources.gpus, gpus.cards, gpus.missing)
    if isinstance(left, Refusal):
        raise HeldError(left.reason, left.detail, (*left.arithmetic, *named_holders(ctx, gpus, rows)))
    return need, left


def _missing(ctx: Context, profile: Profile, gpus: GpuReading) -> tuple[str, ...]:
    """Cards that were here and are not: all that ever were when none is left, else those of this boot."""
    if profile.resources.gpus not in {"auto", "all"}:
        return ()
    visible, boot = {card.uuid for card in gpus.cards}, boot_id(ctx.host)
    known = MemoryStore(ctx.db).known_cards()
    return tuple(
        uuid for uuid, seen in known.items() if uuid not in visible and (not visible or seen == boot)
    )


def refused(
    ctx: Context,
    gpus: GpuReading,
    need: Need,
    seen: tuple[Card, ...],
    why: Refusal,
    reckoned: Reckoned,
    rows: tuple[Instance, ...],
) -> HeldError:
    """The refusal with every figure behind it, with memory that is not back yet, and with those who hold the cards."""
    detail, reason = why.detail, why.reason
    figures = (*why.arithmetic, *reckoned.figures())
    if reckoned.oom_mib is not None:
        detail += f"; with {reckoned.oom_mib} MiB it ran out of memory"
    if reason == "gpu-memory":
        late = not_back(ctx, gpus)
        then = tuple(c._replace(free_mib=c.free_mib + sum(late.get(c.uuid, {}).values())) for c in seen)
        if late and isinstance(place(need, then, ctx.settings.headroom.gpu_memory_mib), Placement):
            names = ", ".join(sorted({name for given in late.values() for name in given}))
            reason = "gpu-releasing"
            detail = f"waits up to {RELEASE_S} s for the memory that {names} had; {detail}"
        numbers = {card.uuid: card.number for card in seen}
        figures += tuple(
            Arithmetic(f"gpu{numbers[uuid]}_not_back_mib", sum(given.values()))
            for uuid, given in late.items()
        )
    return HeldError(reason, detail, (*figures, *named_holders(ctx, gpus, rows)))


def not_back(ctx: Context, gpus: GpuReading, just: tuple[GivenBack, ...] = ()) -> dict[str, dict[str, int]]:
    """Card -> who ended a moment ago -> MiB that are in use there by nobody who lives, and so may be his.

    just: of those whose end is seen in this look, and not stored yet.
    """
    now = ctx.clock.now()
    found: dict[str, dict[str, int]] = {}
    given = (*just, *MemoryStore(ctx.db).given_back(now - RELEASE_S, now))
    for card in gpus.cards if given else ():
        total, free = card.memory_total_mib or 0, card.memory_free_mib
        used = total - free if free is not None else card.memory_used_mib or 0
        living = [h for h in card.holders if os.path.exists(f"{ctx.host.proc}/{h.pid}")]
        nobodys = used - sum(holder.memory_mib or 0 for holder in living)
        for one in given:
            if one.uuid == card.uuid and nobodys > 0:
                here = found.setdefault(card.uuid, {})
                here[one.holder] = here.get(one.holder, 0) + min(one.memory_mib, nobodys)
                nobodys -= min(one.memory_mib, nobodys)
    return found


def named_holders(ctx: Context, gpus: GpuReading, rows: tuple[Instance, ...]) -> tuple[Arithmetic, ...]:
    """Who has the memory of each card, in words: a refusal names them."""
    from llamaagent.reconcile.record import holders_of

    told: dict[str, list[str]] = {card.uuid: [] for card in gpus.cards}
    ours = {row.id: row.profile for row in rows}
    for one in holders_of(ctx, gpus, owners(ctx.host, rows, gpus)):
        who = ours.get(one.instance_id or 0) or f"pid {one.pid} ({one.user or '?'}: {one.command or '?'})"
        told[one.uuid].append(f"{who} holds {'?' if one.memory_mib is None else one.memory_mib} MiB")
    for reserved in ctx.instances.reservations():
        if reserved.uuid in told:
            lease = "" if reserved.lease_id is None else f"lease {reserved.lease_id} of "
            what = "the card" if reserved.memory_mib is None else f"{reserved.memory_mib} MiB"
            told[reserved.uuid].append(f"{lease}{reserved.holder} has reserved {what}")
    named = [(card.index, "; ".join(told[card.uuid])) for card in gpus.cards if told[card.uuid]]
    return tuple(Arithmetic(f"gpu{index}_holders", text) for index, text in named)
