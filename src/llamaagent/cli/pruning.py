"""`db prune`: delete by hand what is too old, and `db simulate`: history made up."""

from __future__ import annotations

from llamaagent.base.errors import RefusedError, UsageError
from llamaagent.cli.output import emit_object, print_table, say
from llamaagent.cli.run import refuse_broken_settings
from llamaagent.cli.site import claim, database, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values
    from llamaagent.retain.byhand import Cut, Wanted

_MOST_DAYS = 3660


def prune(values: Values) -> int:
    """Roll up, then delete what the settings or the options call old. Raises RefusedError for most of a table."""
    from llamaagent.retain.byhand import cut_all, cuts
    from llamaagent.retain.rollup import roll_up

    wanted = _wanted(values)
    opened = load(values, need_settings=False)
    refuse_broken_settings(opened)
    with database(opened, write=True, create=False) as db:
        if opened.site_path:
            claim(db, opened)
        roll_up(db, opened.clock)
        now = opened.clock.now()
        chosen = cuts(db, opened.site.settings, now, wanted)
        if not values.flag("yes"):
            _refuse_most(chosen)
        gone = cut_all(db, chosen, now)
    rows = [(cut.table, cut.rows, gone[cut.table], cut.rows - gone[cut.table]) for cut in chosen]
    columns = ("table", "rows", "deleted", "left")
    if values.flag("json"):
        emit_object({"tables": [dict(zip(columns, row, strict=True)) for row in rows]})
    else:
        print_table([tuple(map(str, row)) for row in rows if row[1]], columns)
    return 0


def _wanted(values: Values) -> Wanted:
    from llamaagent.base.units import UnitError, parse_seconds
    from llamaagent.retain.byhand import Wanted

    given = values.text("older_than")
    try:
        older_s = None if given is None else parse_seconds(given)
    except UnitError as error:
        raise UsageError(f"--older-than: {error}") from error
    return Wanted(older_s, values.number("keep"))


def _refuse_most(chosen: tuple[Cut, ...]) -> None:
    most = [f"{cut.table}: {cut.going} of {cut.rows}" for cut in chosen if cut.is_most]
    if most:
        raise RefusedError(
            f"more than half of the rows would go, nothing was deleted ({'; '.join(most)})",
            hint="the same with --yes, if that is what you want",
        )


def simulate(values: Values) -> int:
    """Make up history in a file of its own. Raises RefusedError for a database with real rows."""
    import os

    from llamaagent.base.paths import ensure_private_dir
    from llamaagent.retain.simulate import Plan
    from llamaagent.retain.simulate import simulate as make_up
    from llamaagent.store.simulation import MARK, Simulation

    plan = Plan(values.number("days") or 30, *(_count(values, name) for name in ("instances", "gpus")))
    if plan.days > _MOST_DAYS:
        raise UsageError(f"--days: at most {_MOST_DAYS}")
    opened = load(values, need_settings=False)
    refuse_broken_settings(opened)
    out = os.path.abspath(
        values.text("out") or os.path.join(opened.places.data, "simulated", f"{plan.days}d.db")
    )
    if out == opened.database:
        raise RefusedError(f"{out} is this site's own database", hint="another file with --out")
    ensure_private_dir(os.path.dirname(out))
    begun = opened.clock.monotonic()
    with database(opened._replace(database=out), write=True, shared=False) as db:
        from llamaagent.store.samples import SampleStore

        if SampleStore(db).metadata(MARK) is not None:
            raise RefusedError(f"{out} is there already", hint="delete it, or name another file with --out")
        if Simulation(db).holds_real_rows() or SampleStore(db).metadata("site") is not None:
            raise RefusedError(f"{out} holds real rows", hint="another file with --out")
        make_up(db, plan, opened.site.settings, opened.clock, lambda _day: None)
    taken = opened.clock.monotonic() - begun
    if not values.flag("quiet"):
        say(f"simulated: {plan.days} days, {plan.instances} instances, {plan.gpus} gpus in {taken:.1f} s")
    print(out)
    return 0


def _count(values: Values, name: str) -> int:
    given = values.number(name)
    return {"instances": 20, "gpus": 8}[name] if given is None else given
