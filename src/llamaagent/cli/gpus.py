"""`gpus`: the cards as they were last seen, with who holds memory on them and what is promised."""

from __future__ import annotations

import json
import os

from llamaagent.base.errors import LlamaAgentError
from llamaagent.cli.gputable import print_gpus
from llamaagent.cli.output import chosen_format, emit, say
from llamaagent.cli.site import context, database, load, reading
from llamaagent.store.read import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.reconcile.context import Context
    from llamaagent.store.types import Connection

_PARTS = ("holders", "reservations", "throttle", "xids")  # columns that are JSON


def run(values: Values) -> int:
    """Read the cards now, and print them with holders and reservations."""
    opened = load(values)
    with _database(opened) as db:
        ctx = context(opened, db)
        found = ctx.read_gpus()
        if found.available and not db.readonly("main"):
            from llamaagent.launch.identity import boot_id
            from llamaagent.reconcile.record import store_gpus

            with db:
                store_gpus(ctx, found, boot_id(), opened.clock.now())
        table = select(db, "list_gpus")
        boxes = _foreign(ctx) if chosen_format(values) == "table" and table.rows else ()
    for row in table.rows:
        row.update({name: json.loads(str(row[name] or "[]")) for name in _PARTS})
    if chosen_format(values) != "table":
        emit(values, table.rows, table.columns)
        return 0
    if found.error:
        say(f"the cards cannot be read now: {found.error}")
    for text in found.missing:
        say(f"not answering: {text}")
    if table.rows:
        print_gpus(table.rows, opened.clock.now())
        for line in boxes:
            print(line)
    elif not found.error and not found.missing and not values.flag("quiet"):
        say("no GPU on this host")
    return 0


def _foreign(ctx: Context) -> tuple[str, ...]:
    """A line for each container of others that was given a card, whether it uses it now or not."""
    from llamaagent.cli.output import clean
    from llamaagent.engine.foreign import foreign_containers

    try:
        found = foreign_containers(ctx.engines().wanted(None), ctx.site_id)
    except LlamaAgentError:  # no engine, no containers
        return ()
    return tuple(
        clean(f"container {one.name} ({one.id[:12]}, {one.image}) is not ours; it may use {_named(one.gpus)}")
        for one in found
        if one.gpus
    )


def _named(gpus: tuple[str, ...]) -> str:
    return "every card" if gpus == ("all",) else ", ".join(gpus)


def _database(opened: Opened) -> AbstractContextManager[Connection]:
    """For writing what was just read, where there is a database and it may be written."""
    if os.access(opened.database, os.W_OK):
        return database(opened, write=True, create=False)
    return reading(opened)
