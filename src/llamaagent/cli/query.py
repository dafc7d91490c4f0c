"""`query`: read-only SQL over tables and views."""

from __future__ import annotations

import sys

from llamaagent.base.errors import BadInputError, UsageError
from llamaagent.cli.output import emit, say
from llamaagent.cli.site import database, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values

_ROWS = 10_000


def run(values: Values) -> int:
    """Print the rows. More than --limit are cut with a word about it; more than the default are an error."""
    from llamaagent.store.query import run_query

    timeout = _timeout(values)
    opened = load(values, need_settings=False)
    sql = values.text("sql") or ""
    if sql == "-":
        sql = sys.stdin.read()
    if not sql.strip():
        raise BadInputError("no SQL was given", hint='llamaagent query "SELECT * FROM v_system_summary"')
    limit = values.number("limit")
    with database(opened, write=False) as db:
        most = _ROWS if limit is None else limit
        answer = run_query(db, sql, clock=opened.clock, limit=most, timeout_s=timeout)
    if answer.more and limit is None:
        raise BadInputError(
            f"there are more than {_ROWS} rows", hint="-n N takes more of them; LIMIT asks for less"
        )
    emit(values, answer.rows, answer.columns, empty="no rows")
    if answer.more and not values.flag("quiet"):
        say(f"there are more than these {limit} rows")
    return 0


def _timeout(values: Values) -> float:
    from llamaagent.base.units import UnitError, parse_seconds

    try:
        return float(parse_seconds(values.text("timeout") or "10s"))
    except UnitError as error:
        raise UsageError(f"--timeout: {error}") from error
