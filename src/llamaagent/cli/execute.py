"""`exec`: a command in the container of a profile."""

from __future__ import annotations

import sys

from llamaagent.base.errors import ServiceUnavailableError, UsageError
from llamaagent.cli.site import context, known_names, load, one_name, reading
from llamaagent.domain import instance as st

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.spec import Values


def run(values: Values) -> int:
    """Run it there, with a terminal where there is one here; its exit status is ours."""
    from llamaagent.engine.execute import execute

    opened = load(values)
    with reading(opened) as db:
        ctx = context(opened, db)
        name = one_name(values.text("name") or "", known_names(opened, db))
        row = next((row for row in ctx.instances.newest() if row.profile == name), None)
    if row is not None and row.kind != "container" and row.status in st.LIVE:
        raise UsageError(f"{name} is a {row.kind} and no container, so there is nothing to enter")
    if row is None or row.status not in st.LIVE or row.container_id is None:
        raise ServiceUnavailableError(f"no container of {name} runs", hint=f"llamaagent start {name}")
    command = values.many("command")
    command = command[1:] if command[:1] == ("--",) else command
    if not command:
        raise UsageError("no command is named", hint=f"llamaagent exec {name} -- sh")
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    return execute(
        ctx.engines().at(row.engine or ""), row.container_id, command, stdin=sys.stdin.fileno(), tty=tty
    )
