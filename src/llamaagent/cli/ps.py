"""`ps`: one row for each declared or live profile, checked against the live process."""

from __future__ import annotations

from llamaagent.cli.output import chosen_format, emit
from llamaagent.cli.rows import PROFILE_COLUMNS, moment, profile_rows
from llamaagent.cli.site import load, matching, reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values

_SHOWN = ("profile", "state", "port", "pid", "memory_mib", "tokens_per_second", "uptime", "restarts")
_SHOWN_GPU = ("profile", "state", "port", "pid", "gpus", "gpu_memory_mib", "memory_mib", "tokens_per_second", "uptime",
              "restarts")  # fmt: skip
_HISTORY = (
    "instance_id",
    "profile",
    "status",
    "reason",
    "pid",
    "port",
    "launched",
    "ended",
    "exit_code",
    "exit_signal",
)


def run(values: Values) -> int:
    """Print the listing, with -w again and again."""
    if not values.flag("watch"):
        return _once(values)
    from llamaagent.base.clock import SystemClock

    clock = SystemClock()
    while True:
        print("\033[H\033[2J", end="")
        _once(values)
        clock.sleep(2)


def _once(values: Values) -> int:
    opened = load(values)
    with reading(opened) as db:
        if values.flag("all"):
            from llamaagent.cli.history import history_rows

            table = history_rows(values, opened, db)
            emit(values, table.rows, table.columns, shown=_HISTORY, empty="nothing was ever launched")
            return 0
        rows = profile_rows(opened, db)
    names = values.many("name")
    if names:
        wanted = matching(names, {str(row["profile"]) for row in rows})
        rows = [row for row in rows if row["profile"] in wanted]
    empty = "no profile has these labels" if rows else "no profiles; llamaagent init makes a first one"
    rows = [row for row in rows if _labelled(row, values.many("label"))]
    shown: tuple[str, ...] = _SHOWN_GPU if any(row["gpus"] for row in rows) else _SHOWN
    if values.text("output") == "wide":
        shown = PROFILE_COLUMNS
        if chosen_format(values) == "table":
            rows = [
                {**row, "since": moment(row["since"]), "retry_at": moment(row["retry_at"])} for row in rows
            ]
    emit(values, rows, PROFILE_COLUMNS, shown=shown, empty=empty)
    return 0


def _labelled(row: dict[str, object], labels: tuple[str, ...]) -> bool:
    have = row["labels"] if isinstance(row["labels"], dict) else {}
    return all(
        have.get(key) == value if equals else key in have
        for key, equals, value in (label.partition("=") for label in labels)
    )
