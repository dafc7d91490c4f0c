"""`db check` and `db salvage`: what is wrong with the database, and what of it can be saved."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import ExitStack, contextmanager, suppress

from llamaagent.base.errors import FINE, NOT_FINE, CannotCreateError
from llamaagent.cli.output import chosen_format, emit, say
from llamaagent.cli.site import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.store.checkup import Remedies
    from llamaagent.store.salvage import Salvage, Saved

_COLUMNS = ("table", "state", "rows", "lost", "refused", "damaged_pages", "between")
_PASS_WAIT_S = 12.0


def check(values: Values) -> int:
    """One row for each thing that is wrong, with its remedy; exit code 1 when there is any."""
    from llamaagent.store.checkup import Damage, examine
    from llamaagent.store.errors import translate

    opened = load(values, need_settings=False)
    with translate(opened.database):
        found = examine(opened.database, _remedies(opened), _known(opened), quick=values.flag("quick"))
    emit(values, [one._asdict() for one in found], Damage._fields)
    if found:
        say(f"{opened.database}: not sound")
        return NOT_FINE
    if not values.flag("quiet"):
        say(f"{opened.database}: sound")
    return FINE


def _known(opened: Opened) -> tuple[str, ...]:
    """What says that there has been a database: beside it, among its backups, in the state of launches."""
    from llamaagent.store.backup import backups_in, folder_of
    from llamaagent.store.checkup import traces

    found = list(traces(opened.database))
    folder = folder_of(opened.database, opened.site.settings.backup_directory)
    found += [os.path.basename(path) for path, _ in backups_in(folder, opened.database)[-1:]]
    default = opened.database == opened.places.database
    for place in (opened.places.exits, opened.places.logs) if default else ():
        if os.path.isdir(place) and os.listdir(place):
            found.append(place)
    return tuple(found)


def _remedies(opened: Opened) -> Remedies:
    from llamaagent.store.backup import backups_in, folder_of
    from llamaagent.store.checkup import Remedies

    folder = folder_of(opened.database, opened.site.settings.backup_directory)
    found = backups_in(folder, opened.database)
    back = f"llamaagent db restore {shlex.quote(found[-1][0])}" if found else None
    salvage = "llamaagent db salvage OUT, then llamaagent db restore OUT"
    lost = back or "llamaagent db init (there is no backup); servers that run are taken over by the next pass"
    return Remedies(lost, f"{salvage}; or {back}" if back else salvage)


def salvage(values: Values) -> int:
    """One row for each table that had rows or lost some; exit code 1 when anything was lost."""
    from llamaagent.store.salvage import salvage as save

    opened = load(values, need_settings=False)
    out = os.path.abspath(values.text("out") or "")
    shown = sys.stderr.isatty() and not values.flag("quiet")

    def told(table: str) -> None:
        print(f"\r\033[Kreading {table}", end="", file=sys.stderr, flush=True)

    with _still(opened):
        found = save(opened.database, out, told if shown else None)
    if shown:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    rows = [_row(one) for one in found.tables]
    some = [row for row in rows if row["rows"] or row["state"] != "whole"]
    emit(values, rows if chosen_format(values) != "table" else some, _COLUMNS)
    return _sum_up(found, out)


def _sum_up(found: Salvage, out: str) -> int:
    """What was lost, in words, and what to do next."""
    if found.header_lost:
        say(
            "the file's header is lost, and with it which pages are free: rows deleted long ago may have come back"
        )
    for table, count in found.stand_ins.items():
        say(f"{table}: {count} lost rows that others point to have a stand-in, so that those could be kept")
    if found.cleared:
        say(f"{found.cleared} references to lost rows were emptied")
    damaged = [one for one in found.tables if state_of(one) != "whole"]
    say(f"{out}: {sum(one.rows for one in found.tables)} rows" + ("" if damaged else "; nothing was lost"))
    say(f"next: llamaagent db restore {shlex.quote(out)}")
    return NOT_FINE if damaged else FINE


def state_of(one: Saved) -> str:
    """In a word: whole | damaged | not found."""
    if one.missing:
        return "not found"
    return "whole" if one.lost == 0 and not one.refused else "damaged"


def _row(one: Saved) -> dict[str, object]:
    return {
        "table": one.table,
        "state": state_of(one),
        "rows": one.rows,
        "lost": one.lost,
        "refused": one.refused,
        "damaged_pages": one.pages,
        "between": "; ".join(
            f"{_key(gap.after, 'the first')} and {_key(gap.before, 'the last')}" for gap in one.gaps
        ),
    }


def _key(key: tuple[object, ...] | None, end: str) -> str:
    return end if key is None else "/".join("" if isinstance(part, bytes) else str(part) for part in key)


@contextmanager
def _still(opened: Opened) -> Iterator[None]:
    """No pass writes meanwhile. A file in a folder that we may not write to has no pass of ours."""
    from llamaagent.store.locks import Lock

    with ExitStack() as held:
        if os.path.isdir(os.path.dirname(opened.database)):
            with suppress(CannotCreateError):
                held.enter_context(Lock(opened.database, "pass").take(opened.clock, _PASS_WAIT_S))
        yield
