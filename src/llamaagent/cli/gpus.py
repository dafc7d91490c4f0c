"""`gpus`: the cards as they were last seen, with who holds memory on them and what is promised."""

from __future__ import annotations

import json
import os

from llamaagent.cli.output import chosen_format, clean, emit, say
from llamaagent.cli.rows import moment
from llamaagent.cli.site import context, database, load, reading
from llamaagent.store.read import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.store.types import Connection

_BAR = 20
_SHOWN = ("idx", "name", "use", "utilization_percent", "reserved_mib", "temp", "power", "status")


def run(values: Values) -> int:
    """Read the cards now, and print them with holders and reservations."""
    opened = load(values)
    with _database(opened) as db:
        ctx = context(opened, db)
        found = ctx.read_gpus()
        if (found.cards or (found.available and not found.error)) and not db.readonly("main"):
            from llamaagent.launch.identity import boot_id
            from llamaagent.reconcile.record import holders_of

            with db:
                ctx.samples.add_gpus(found.cards, holders_of(ctx, found), boot_id(), opened.clock.now())
        table = select(db, "list_gpus")
    for row in table.rows:
        row["holders"] = json.loads(str(row["holders"] or "[]"))
        row["reservations"] = json.loads(str(row["reservations"] or "[]"))
    if chosen_format(values) != "table":
        emit(values, table.rows, table.columns)
        return 0
    if found.error:
        say(f"the cards cannot be read now: {found.error}")
    empty = None if found.error else "no GPU on this host"
    rows = [
        {**row, "use": _bar(row), "power": _power(row), "temp": row["temperature_celsius"]}
        for row in table.rows
    ]
    emit(values, rows, table.columns, shown=_SHOWN, empty=empty)
    for row in table.rows:
        for holder in row["holders"] if isinstance(row["holders"], list) else ():
            who = holder.get("profile") or f"{holder.get('user') or '?'}: {holder.get('command') or '?'}"
            print(
                f"  gpu {row['idx']}: pid {holder['pid']} holds {holder['memory_mib'] or '?'} MiB ({clean(str(who))})"
            )
        for one in row["reservations"] if isinstance(row["reservations"], list) else ():
            if one.get("kind") == "lease":
                print(f"  gpu {row['idx']}: {clean(_lease(one))}")
    return 0


def _lease(one: dict[str, object]) -> str:
    what = "the card" if one["memory_mib"] is None else f"{one['memory_mib']} MiB"
    until = f", until {moment(one['expires_ts'])}" if one["expires_ts"] is not None else ""
    why = f" ({one['reason']})" if one["reason"] else ""
    return f"lease {one['lease_id']} of {one['holder']} has {what}{until}{why}"


def _database(opened: Opened) -> AbstractContextManager[Connection]:
    """For writing what was just read, where there is a database and it may be written."""
    if os.access(opened.database, os.W_OK):
        return database(opened, write=True, create=False)
    return reading(opened)


def _bar(row: dict[str, object]) -> str:
    used, total = row["memory_used_mib"], row["memory_total_mib"]
    if not isinstance(used, int) or not isinstance(total, int) or not total:
        return "-"
    full = round(_BAR * used / total)
    return f"{'#' * full}{'.' * (_BAR - full)} {used}/{total} MiB"


def _power(row: dict[str, object]) -> str | None:
    power, limit = row["power_mw"], row["power_limit_mw"]
    if not isinstance(power, int):
        return None
    return f"{power // 1000}/{limit // 1000} W" if isinstance(limit, int) else f"{power // 1000} W"
