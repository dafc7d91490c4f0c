"""`stats`: requests in figures, read from the servers' own logs."""

from __future__ import annotations

import json

from llamaagent.cli.history import since
from llamaagent.cli.output import emit
from llamaagent.cli.site import known_names, load, matching, reading
from llamaagent.store.read import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values

_SHOWN = ("requests", "prompt_tokens", "cached_tokens", "generated_tokens", "prompt_tokens_per_second",
          "tokens_per_second", "total_time_ms", "cancelled")  # fmt: skip


def run(values: Values) -> int:
    """Totals and means, in one row or by --by."""
    opened = load(values)
    now = opened.clock.now()
    with reading(opened) as db:
        profiles = None
        if values.many("name"):
            profiles = json.dumps(sorted(matching(values.many("name"), known_names(opened, db))))
        until = since(values, now, "until") if values.text("until") else 1 << 62
        given = {"by": values.text("by"), "since": since(values, now), "until": until, "profiles": profiles}
        table = select(db, "list_stats", given)
    shown = ("group", *_SHOWN) if values.text("by") else _SHOWN
    emit(values, table.rows, table.columns, shown=shown, empty="no requests in that time")
    return 0
