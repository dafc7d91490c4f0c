"""`plan`: what a pass would do now, decided by the same function, done by nobody."""

from __future__ import annotations

from functools import cache

from llamaagent.base.errors import WORK_TO_DO
from llamaagent.cli.outdated import mark_moved_images, sentences
from llamaagent.cli.output import chosen_format, clean, emit, say
from llamaagent.cli.rows import moment, profile_rows
from llamaagent.cli.run import refuse_broken_settings
from llamaagent.cli.site import context, known_names, load, matching, reading
from llamaagent.domain import instance as st
from llamaagent.domain import plan as act
from llamaagent.domain.wish import wish
from llamaagent.reconcile.passes import preview

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values
    from llamaagent.collect.gpu import GpuReading
    from llamaagent.domain.admission import Placement
    from llamaagent.domain.instance import Instance
    from llamaagent.domain.plan import Action, Plan
    from llamaagent.domain.profile import Profile
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.declared import Declared

_COLUMNS = (
    "action", "profile", "reason", "detail", "instance_id", "signal", "gpus", "memory_mib", "for", "would_fit",
    "arithmetic",
)  # fmt: skip


def run(values: Values) -> int:
    """Print the plan; with --exit-code, 10 when there is something to do."""
    opened = load(values)
    refuse_broken_settings(opened)
    with reading(opened) as db:
        ctx = context(opened, db)
        names = values.many("name")
        if names:
            ctx = ctx._replace(only=matching(names, known_names(opened, db)))
        actions, instances, declared = foresee(ctx)
        rows = described(ctx, actions)
        waiting = _waiting(ctx, instances, declared)
        current = profile_rows(opened, db)
        mark_moved_images(db, current)
        old = [line for line in sentences(opened, current) if ctx.chosen(line.split(" ", 1)[0])]
    for fault in opened.site.faults:
        say(str(fault))
    for name, text in (declared.kept | declared.rolled_back).items():
        say(f"{name}: {text}")
    for name, ts in waiting:
        say(f"{name}: outside schedule, starts {moment(ts)}")
    for line in old:
        say(line)
    placed = ("placement",) if any(row["placement"] for row in rows) else ()
    shown = ("action", "profile", "reason", *placed, "detail")
    emit(values, rows, _COLUMNS, shown=shown, empty="nothing to do")
    if chosen_format(values) == "table":
        for line in remedies(rows):
            print(f"  {clean(line)}")
    by_name = {row.profile: row for row in instances}
    work = any(_is_work(action, by_name.get(action.profile)) for action in actions)
    return WORK_TO_DO if work and values.flag("exit_code") else 0


def foresee(ctx: Context) -> tuple[tuple[Action, ...], tuple[Instance, ...], Declared]:
    """What a pass would do, down to the card of each start. Writes nothing; the cards are read at most once."""
    ctx = ctx._replace(read_gpus=cache(ctx.read_gpus))
    plan, instances, _, declared = preview(ctx)
    return _foreseen(ctx, plan, instances, declared), instances, declared


def described(ctx: Context, actions: tuple[Action, ...]) -> list[dict[str, object]]:
    """The actions as rows. placement: where it goes, or what it frees, in words for the table."""
    numbers: dict[str, int] = {}
    if any(action.cards for action in actions):
        numbers = {card.uuid: card.index for card in ctx.read_gpus().cards}
    return [_row(action, numbers) for action in actions]


def _row(action: Action, numbers: dict[str, int]) -> dict[str, object]:
    figures = {figure.name: figure.value for figure in action.arithmetic}
    remedy = figures.pop("would_fit", None)
    cards = dict(action.cards)
    parts = [f"gpu{numbers.get(uuid, uuid)} {mib} MiB" for uuid, mib in cards.items()]
    if action.kind == act.EVICT:
        parts += _of_machine(action.profile, figures)
    where = ", ".join(parts)
    before = {act.EVICT: "frees ", act.WAIT: "then "}.get(action.kind, "")
    return {
        "action": action.kind,
        "profile": action.profile,
        "reason": action.reason,
        "detail": action.detail,
        "instance_id": action.instance_id,
        "signal": action.signal,
        "gpus": list(cards),
        "memory_mib": sum(cards.values()) if cards else None,
        "for": action.partner,
        "would_fit": remedy,
        "arithmetic": figures,
        "placement": before + where if where else None,
    }


def _of_machine(profile: str, figures: dict[str, int | str | None]) -> list[str]:
    """What an eviction gives back besides cards, where that is what lacks."""
    memory, cpus = figures.get(f"memory_freed_by_{profile}_mib"), figures.get(f"cpu_freed_by_{profile}_milli")
    told = [] if memory is None else [f"memory {memory} MiB"]
    return told if cpus is None else [*told, f"{int(cpus) / 1000:g} cores"]


def remedies(rows: list[dict[str, object]]) -> list[str]:
    """For each one that is held: what would make it fit, and who has the cards."""
    lines = []
    for row in rows:
        if row["would_fit"] is not None:
            lines.append(f"{row['profile']} would fit {row['would_fit']}")
        figures = row["arithmetic"]
        if row["action"] in {act.HOLD, act.WAIT} and isinstance(figures, dict):
            holders = {name: text for name, text in figures.items() if name.endswith("_holders")}
            lines += [f"{row['profile']}: on {name.split('_')[0]} {text}" for name, text in holders.items()]
    return lines


def _foreseen(ctx: Context, plan: Plan, rows: tuple[Instance, ...], declared: Declared) -> tuple[Action, ...]:
    """The plan with what would be said to each start and change: where it goes, or why it is held."""
    from llamaagent.reconcile.gates import HeldError, ask, ask_before_change
    from llamaagent.reconcile.quotas import refuse_beside
    from llamaagent.reconcile.starting import held

    planned: list[tuple[Profile, Placement]] = []
    gpus: GpuReading | None = None
    made: list[Action] = []
    running = {row.profile: row for row in rows}
    for action in plan.journalled():
        changed = act.is_change(action)
        profile = declared.profiles.get(action.profile)
        if profile is None or not (changed or action.kind == act.START):
            made.append(action)
            continue
        gpus = gpus or ctx.read_gpus()
        try:
            if changed:
                placement = ask_before_change(ctx, profile, running[action.profile], gpus)
            else:
                on = tuple(uuid for uuid, _ in action.cards)
                placement = ask(ctx, profile, rows, gpus, on).placement
                refuse_beside(ctx, profile, placement, planned)
                planned.append((profile, placement))
                gpus = _less(gpus, placement)
        except HeldError as error:
            made.append(held(profile, error)._replace(instance_id=action.instance_id))
            continue
        cards = tuple(zip(placement.uuids, placement.shares, strict=True))
        made.append(action._replace(arithmetic=placement.arithmetic, cards=cards))
    return tuple(made)


def _waiting(ctx: Context, rows: tuple[Instance, ...], declared: Declared) -> list[tuple[str, int]]:
    """Profiles whose schedule is closed, and when it opens."""
    overrides, newest = ctx.wishes.overrides(), {row.profile: row for row in rows}
    found: list[tuple[str, int]] = []
    for name, profile in sorted(declared.profiles.items()):
        want = wish(profile, overrides.get(name), ctx.clock.now(), newest.get(name))
        if ctx.chosen(name) and want.reason == "schedule" and not want.wanted and want.until_ts is not None:
            found.append((name, want.until_ts))
    return found


def _less(gpus: GpuReading, taken: Placement) -> GpuReading:
    """The cards as the next start of the same pass would find them."""
    shares = dict(zip(taken.uuids, taken.shares, strict=True))
    cards = tuple(
        card._replace(memory_free_mib=card.memory_free_mib - shares[card.uuid])
        if card.uuid in shares and card.memory_free_mib is not None
        else card
        for card in gpus.cards
    )
    return gpus._replace(cards=cards)


def _is_work(action: Action, row: Instance | None) -> bool:
    """To hold what is held for the same reason already is nothing to do."""
    held = row is not None and row.status == st.CREATED and row.reason == action.reason
    return action.kind != act.HOLD or not held
