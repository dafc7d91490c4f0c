"""`db check` and `db salvage`: what is wrong with the database, and what of it can be saved."""

from __future__ import annotations

import os
import shlex

from llamaagent.base.errors import FINE, NOT_FINE
from llamaagent.cli.output import emit, say
from llamaagent.cli.site import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.store.checkup import Remedies


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
