"""`quota`: limits of projects with their use, and overrides that somebody sets for a time."""

from __future__ import annotations

import os

from llamaagent.base.errors import UsageError
from llamaagent.base.units import UnitError, parse_count, parse_mib, parse_rate
from llamaagent.cli.actor import actor
from llamaagent.cli.output import chosen_format, clean, emit, print_table, say
from llamaagent.cli.rows import age, moment
from llamaagent.cli.run import refuse_broken_settings
from llamaagent.cli.site import claim, context, database, load, reading
from llamaagent.cli.spans import until
from llamaagent.domain.quota import (
    RESOURCES,
    WINDOWED,
    Limit,
    amount_text,
    limit_text,
    strongest,
    used,
    users_text,
)
from llamaagent.reconcile.quotas import all_declared, keep_settings, usage, windows_of
from llamaagent.store.audit import AuditStore
from llamaagent.store.quotas import QuotaStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.store.types import Connection

    Row = dict[str, object]

_COLUMNS = (
    "project", "resource", "amount", "unit", "window_s", "used", "used_by", "origin", "settings_amount", "reason",
    "username", "until_ts", "unmeasured_s",
)  # fmt: skip
_SHOWN = ("project", "resource", "used", "limit", "use", "origin", "used_by")
_UNITS = {"cpus": "milli", "memory": "mib", "gpu_hours": "s", "energy": "wh"}
_BAR = 10


def listing(values: Values) -> int:
    """Every limit in force, with its use."""
    return _list(values, lambda row: row["origin"] != "none")


def show(values: Values) -> int:
    """Limits and use of a project, or of all; also what is used without a limit."""
    return _list(values, lambda row: row["origin"] != "none" or row["used"])


def _list(values: Values, wanted: Callable[[Row], object]) -> int:
    opened = load(values)
    with _database(opened) as db:
        ctx = context(opened, db)
        if not db.readonly("main"):
            keep_settings(ctx)
        rows = [row for row in _rows(opened, db, values.text("project")) if wanted(row)]
    if chosen_format(values) != "table":
        emit(values, rows, _COLUMNS)
        return 0
    _table(values, rows)
    return 0


def _database(opened: Opened) -> AbstractContextManager[Connection]:
    """For writing where there is a database and it may be written: its table is to show today's settings."""
    if os.access(opened.database, os.W_OK):
        return database(opened, write=True, create=False)
    return reading(opened)


def _rows(opened: Opened, db: Connection, project: str | None) -> list[Row]:
    """A row for each project and resource."""
    store, now = QuotaStore(db), opened.clock.now()
    declared = all_declared(opened.site.settings)
    limits = strongest(declared, store.overrides(), now)
    names = sorted(
        {limit.project for limit in declared} | {limit.project for limit in limits} | {*store.projects()}
    )
    if project is not None and project not in names:
        known = {profile.project for profile in opened.site.profiles}
        if project not in known:
            raise UsageError(f"no project is named {project}", hint="llamaagent quota")
        names.append(project)
    said = {(limit.project, limit.resource): limit.amount for limit in declared}
    made: list[Row] = []
    for name in names if project is None else [project]:
        mine = {limit.resource: limit for limit in limits if limit.project == name}
        made += _of_project(store, name, mine, said, now)
    return made


def _of_project(
    store: QuotaStore, name: str, mine: dict[str, Limit], said: dict[tuple[str, str], int | None], now: int
) -> list[Row]:
    uses, unmeasured = usage(store, name, windows_of(mine.values()), now)
    made: list[Row] = []
    for resource in RESOURCES:
        limit = mine.get(resource) or Limit(name, resource, None, origin="none")
        counted = resource in uses
        by = uses.get(resource, ())
        row: Row = {
            **limit._asdict(),
            "unit": _UNITS.get(resource),
            "settings_amount": said.get((name, resource)),
        }
        row |= {"used": used(by) if counted else None}
        row |= {"used_by": {use.who: use.amount for use in by if use.amount}}
        row |= {"unmeasured_s": unmeasured if resource == "energy" and unmeasured else None}
        row |= {"by": users_text(resource, by), "limit": limit_text(limit)}
        made.append(row)
    return made


def _table(values: Values, rows: list[Row]) -> None:
    if not rows:
        if not values.flag("quiet"):
            say("no project has a limit, and nothing runs; limits stand in the settings under projects:")
        return
    cells = [
        [
            clean(str(row["project"])),
            str(row["resource"]),
            "-" if row["used"] is None else amount_text(str(row["resource"]), _int(row["used"])),
            str(row["limit"]),
            _bar(row),
            str(row["origin"]) if row["origin"] != "none" else "-",
            clean(str(row["by"])) or "-",
        ]
        for row in rows
    ]
    print_table(cells, _SHOWN)
    for row in rows:
        if row["origin"] == "override":
            print(f"  {clean(_told(row))}")
        if row["unmeasured_s"]:
            print(
                f"  {row['project']}: for {age(_int(row['unmeasured_s']))} of its cards' time no power is known"
            )


def _told(row: Row) -> str:
    ends = f"until {moment(row['until_ts'])}" if row["until_ts"] is not None else "until unset"
    why = f": {row['reason']}" if row["reason"] else ""
    resource, before = str(row["resource"]), row["settings_amount"]
    instead = f", instead of {amount_text(resource, before)}" if isinstance(before, int) else ""
    return f"{row['project']} {resource}: {row['limit']} by {row['username']} {ends}{instead}{why}"


def _bar(row: Row) -> str:
    amount, taken = row["amount"], row["used"]
    if not isinstance(amount, int) or not isinstance(taken, int):
        return "-"
    full = _BAR if taken >= amount else _BAR * taken // amount
    return f"{'#' * full}{'.' * (_BAR - full)}"


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


def put(values: Values) -> int:
    """Set a limit in place of the settings' one, for a time or until it is unset."""
    opened = _opened(values)
    now, by = opened.clock.now(), actor()
    project, resource = _project(values, opened), _resource(values.text("resource") or "")
    amount, window_s = _amount(resource, values.text("amount") or "")
    ends, reason = until(values, now), values.text("reason")
    limit = Limit(project, resource, amount, window_s, "override", reason, by.name, ends)
    details = {
        "limit": limit_text(limit),
        "amount": amount,
        "window_s": window_s,
        "until_ts": ends,
        "reason": reason,
    }
    with database(opened, write=True) as db:
        claim(db, opened)
        keep_settings(context(opened, db))
        with db:
            user_id = AuditStore(db).note(by, "quota set", ("quota", f"{project} {resource}"), now, details)
            QuotaStore(db).put(limit, user_id, now)
    if not values.flag("quiet"):
        say(f"{project} {resource}: {limit_text(limit)} {f'until {moment(ends)}' if ends else 'until unset'}")
    return 0


def drop(values: Values) -> int:
    """Back to what the settings say."""
    opened = _opened(values)
    now, by = opened.clock.now(), actor()
    project, word = values.text("project") or "", values.text("resource")
    resources = RESOURCES if word is None else (_resource(word),)
    with database(opened, write=True) as db:
        claim(db, opened)
        with db:
            gone = [resource for resource in resources if QuotaStore(db).drop(project, resource)]
            for resource in gone:
                AuditStore(db).note(by, "quota unset", ("quota", f"{project} {resource}"), now)
    if not values.flag("quiet"):
        say(f"{project}: {', '.join(gone)} as the settings say" if gone else f"{project}: already_unset")
    return 0


def _project(values: Values, opened: Opened) -> str:
    """The project named. Raises UsageError for a name that no project can have; a new one is told."""
    import re

    name = values.text("project") or ""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise UsageError(f"{name!r} is no name of a project: small letters, digits, '.', '_' and '-'")
    known = {profile.project for profile in opened.site.profiles} | {
        p.name for p in opened.site.settings.projects
    }
    if name not in known:
        say(f"note: no profile and no settings name the project {name} yet")
    return name


def _resource(word: str) -> str:
    """The resource named, in any spelling. Raises UsageError with the nearest one."""
    name = word.replace("-", "_").removesuffix("_kwh")
    if name in RESOURCES:
        return name
    from difflib import get_close_matches

    near = get_close_matches(name, RESOURCES, 1)
    hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(RESOURCES)}"
    raise UsageError(f"no resource is named {word}", hint=hint)


def _amount(resource: str, word: str) -> tuple[int | None, int | None]:
    """Amount and window in the units of the table; (None, None) for `none`. Raises UsageError."""
    if word in {"none", "never"}:
        return None, None
    try:
        if resource in WINDOWED:
            amount, window_s = parse_rate(word)
            return round(amount * {"gpu_hours": 3600, "energy": 1000}.get(resource, 1)), window_s
        if resource == "memory":
            return parse_mib(word), None
        value = parse_count(word)
    except UnitError as error:
        raise UsageError(f"{resource}: {error}") from error
    if resource == "cpus":
        return round(value * 1000), None
    if value != int(value):
        raise UsageError(f"{resource}: {word!r} is not a whole number")
    return int(value), None


def _opened(values: Values) -> Opened:
    opened = load(values)
    refuse_broken_settings(opened)
    return opened
