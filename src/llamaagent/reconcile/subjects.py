"""What `decide` is told of each profile, put together from the declared, the rows, the sights and the words."""

from __future__ import annotations

import os

from llamaagent.domain import instance as st
from llamaagent.reconcile.decide import Subject, World
from llamaagent.reconcile.retiring import approved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llamaagent.domain.instance import Instance
    from llamaagent.domain.profile import Profile
    from llamaagent.domain.sight import Sight
    from llamaagent.launch.outside import Outside
    from llamaagent.reconcile.again import Past
    from llamaagent.reconcile.context import Context
    from llamaagent.reconcile.declared import Declared
    from llamaagent.reconcile.observe import View


def world(
    ctx: Context, declared: Declared, rows: Iterable[Instance], view: View, *, first: bool = True
) -> World:
    """Everything that `decide` is told. first: the pass's first look, whose probes count."""
    overrides = ctx.wishes.overrides()
    by_name = {row.profile: row for row in rows}
    names = declared.profiles.keys() | {n for n, row in by_name.items() if row.status not in st.OVER}
    idle = _idle_ages(ctx, declared, by_name, view)
    off_card = _off_card(ctx, by_name.values())
    subjects = []
    for name in sorted(names):
        row = by_name.get(name)
        if not ctx.chosen(name) and not (ctx.evicts and _makes_way(row)):
            continue
        profile, sight = declared.profiles.get(name), view.sights.get(row.id) if row is not None else None
        subjects.append(
            Subject(
                name,
                profile,
                declared.gone.get(name, "retired"),
                row,
                sight,
                overrides.get(name),
                age_s(ctx, row),
                idle.get(row.id) if row is not None else None,
                first and ctx.counting,
                _stalled_s(ctx, row, sight),
                name in declared.rolled_back,
                _past(ctx, row, profile),
                off_card.get(row.id) if row is not None else None,
                _outside(ctx, profile, row),
            )
        )
    return World(ctx.clock.now(), tuple(subjects), approved(ctx, subjects))


def _makes_way(row: Instance | None) -> bool:
    """Whether it is on its way out for good, evicted or not: whoever waits for its room sees to the end of it."""
    return row is not None and row.status == st.STOPPING and row.stop_reason not in {"update", "restart"}


def _off_card(ctx: Context, rows: Iterable[Instance]) -> Mapping[int, bool]:
    """Launches with a card of which nothing is there; on a host without cards nothing is asked."""
    if not any(row.status in {st.RUNNING, st.UNHEALTHY} and row.gpus not in {None, "[]"} for row in rows):
        return {}
    from llamaagent.reconcile.oncpu import GRACE_S
    from llamaagent.store.memory import MemoryStore

    return MemoryStore(ctx.db).off_card(GRACE_S, ctx.clock.now())


def _outside(ctx: Context, profile: Profile | None, row: Instance | None) -> Outside | None:
    """Where a server that somebody else runs is, as long as no live row says it."""
    if profile is None or profile.runtime.kind != "external" or (row is not None and row.status in st.LIVE):
        return None
    from llamaagent.reconcile.external import seek

    return seek(ctx, profile)


def _past(ctx: Context, row: Instance | None, profile: Profile | None) -> Past | None:
    """Of a launch that failed only; most have none."""
    if row is None or profile is None or row.status != st.ERROR:
        return None
    from llamaagent.reconcile.past import past_of

    return past_of(ctx, row, profile)


def _stalled_s(ctx: Context, row: Instance | None, sight: Sight | None) -> int | None:
    """How long a loading server has made no progress; None when it does not load."""
    if row is None or sight is None or row.status != st.LOADING:
        return None
    from llamaagent.reconcile.progress import stalled_s

    return stalled_s(row, sight, ctx.clock.boottime())


def _idle_ages(
    ctx: Context, declared: Declared, rows: Mapping[str, Instance], view: View
) -> Mapping[int, int]:
    """Of what may be stopped for idleness; where nothing may, nothing is loaded for it."""
    if all(profile.idle.stop_after_s is None for profile in declared.profiles.values()):
        return {}
    from llamaagent.reconcile.idling import idle_ages

    return idle_ages(ctx, rows.values(), declared.profiles, view)


def age_s(ctx: Context, row: Instance | None) -> int | None:
    """How long the server lives by the clock since boot; the wall clock may have been set since."""
    if row is None or row.start_ticks is None or row.status not in st.LIVE:
        return None
    age = ctx.clock.boottime() - row.start_ticks / os.sysconf("SC_CLK_TCK")
    return int(age) if age >= 0 else None  # a host without /proc counts its ticks otherwise
