"""`events`: what the agent did, and what programs that use its library had to say, newest first."""

from __future__ import annotations

from llamaagent.base.errors import UsageError
from llamaagent.cli.history import since
from llamaagent.cli.output import chosen_format, emit, say
from llamaagent.cli.rows import moment
from llamaagent.cli.site import load, reading
from llamaagent.store.events import EventFilter, EventStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values

_USUAL = 100


def run(values: Values) -> int:
    """A page of the log; --before ID goes on from its last row."""
    opened = load(values)
    now = opened.clock.now()
    limit = values.number("limit")
    wanted = EventFilter(
        level=values.text("level") or "debug",
        source=values.text("source"),
        category=values.text("category"),
        since=since(values, now),
        grep=values.text("grep"),
        text=values.text("text"),
        limit=_USUAL if limit is None else limit,
    )
    if values.text("until"):
        wanted = wanted._replace(until=since(values, now, "until"))
    with reading(opened) as db:
        store, event_id = EventStore(db), values.number("before")
        if event_id is not None:
            place = store.place_of(event_id)
            if place is None:
                raise UsageError(f"no event has the id {event_id}", hint="llamaagent events --until WHEN")
            wanted = wanted._replace(before=place)
        table = store.search(wanted)
    for row in table.rows:
        row["time"] = moment(row["ts"])
    emit(values, table.rows, table.columns, shown=("time", "level", "source", "message"), empty="no events")
    full = table.rows and len(table.rows) == wanted.limit
    if full and chosen_format(values) == "table" and not values.flag("quiet"):
        say(f"older ones: --before {table.rows[-1]['id']}")
    return 0
