"""`history`, `why`: what happened, newest first."""

from __future__ import annotations

import json

from llamaagent.cli.output import chosen_format, clean, emit
from llamaagent.cli.rows import moment
from llamaagent.cli.site import known_names, load, matching, reading
from llamaagent.store.read import Table, select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.store.types import Connection

_HISTORY = ("instance_id", "profile", "launched", "ended", "status", "reason", "exit", "restarts",
            "peak_memory_mib", "build", "commit")  # fmt: skip


def since(values: Values, now: int, name: str = "since") -> int:
    """A time that a person typed, as Unix seconds; 0 when none was given. Raises UsageError."""
    text = values.text(name)
    if text is None:
        return 0
    from llamaagent.base.errors import UsageError
    from llamaagent.base.units import UnitError, parse_when

    try:
        return parse_when(text, now)
    except UnitError as error:
        raise UsageError(f"--{name}: {error}") from error


def _limited(values: Values, opened: Opened, db: Connection, table: Table, default: int) -> Table:
    """Only the names asked for, and at most so many rows. A profile of which there is nothing to tell is no error."""
    rows = table.rows
    if values.many("name"):
        known = known_names(opened, db) | {str(row["profile"]) for row in rows}
        wanted = matching(values.many("name"), known)
        rows = tuple(row for row in rows if row["profile"] in wanted)
    limit = values.number("limit")
    return Table(table.columns, rows[: default if limit is None else limit])


def history_rows(values: Values, opened: Opened, db: Connection) -> Table:
    """Every launch, with times for people beside the numbers."""
    table = select(db, "list_history", {"since": since(values, opened.clock.now()), "limit": -1})
    table = _limited(values, opened, db, table, 100_000)
    for row in table.rows:
        row["launched"], row["ended"] = moment(row["launched_ts"]), moment(row["ended_ts"])
        code, signal = row["exit_code"], row["exit_signal"]
        row["exit"] = f"signal {signal}" if signal is not None else code
        row["commit"] = (
            str(row["git_commit"])[:8] + ("+" if row["git_dirty"] else "") if row["git_commit"] else None
        )
    return table


def history(values: Values) -> int:
    """Every launch."""
    opened = load(values)
    with reading(opened) as db:
        table = history_rows(values, opened, db)
    emit(values, table.rows, table.columns, shown=_HISTORY, empty="nothing was launched")
    return 0


def why(values: Values) -> int:
    """The decision journal; each entry with its arithmetic below it."""
    opened = load(values)
    with reading(opened) as db:
        table = select(db, "list_decisions", {"since": since(values, opened.clock.now()), "limit": -1})
        table = _limited(values, opened, db, table, 50)
    for row in table.rows:
        row["arithmetic"] = json.loads(str(row["arithmetic"])) if row["arithmetic"] else {}
    if chosen_format(values) != "table":
        emit(values, table.rows, table.columns)
        return 0
    for row in table.rows:
        count = row["count"]
        times = (
            f" ({count} times, last {moment(row['last_ts'])})" if isinstance(count, int) and count > 1 else ""
        )
        detail = f": {clean(str(row['detail']))}" if row["detail"] else ""
        print(f"{moment(row['ts'])}  {row['profile']}  {row['action']}  {row['reason']}{detail}{times}")
        figures = row["arithmetic"]
        if isinstance(figures, dict) and figures:
            remedy = figures.pop("would_fit", None)
            print("    " + "  ".join(f"{name}={clean(str(value))}" for name, value in figures.items()))
            if remedy is not None:
                print(f"    would fit: {clean(str(remedy))}")
    if not table.rows and not values.flag("quiet"):
        from llamaagent.cli.output import say

        say("no decisions yet")
    return 0
