"""`logs`: a server's own output, from its file, or from what the database kept of it."""

from __future__ import annotations

import sys

from llamaagent.base.errors import LlamaAgentError, UsageError
from llamaagent.cli.site import known_names, load, one_name, reading
from llamaagent.collect.tail import last_lines
from llamaagent.domain import instance as st
from llamaagent.store.instances import InstanceStore
from llamaagent.store.logs import LogStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.domain.instance import Instance

_LINES = 50
_MOST = 1 << 26  # bytes that are looked at for the lines asked for


def run(values: Values) -> int:
    """The last lines; with -f go on, into the log of the next launch too."""
    opened = load(values)
    row = launch_of(values, opened)
    if row is None:
        often = "only been launched once" if values.flag("previous") else "not been launched yet"
        raise LlamaAgentError(f"{values.text('name')} has {often}", hint="llamaagent history")
    number = values.number("lines")
    lines = _LINES if number is None else max(0, number)
    try:
        found, at = last_lines(row.log_path or "", lines, _MOST)
    except OSError as error:
        found, at = _kept(opened, row, lines, error), 0
    write(b"".join(found))
    if values.flag("follow"):
        from llamaagent.cli.follow import follow

        follow(values, opened, row, at)
    return 0


def _kept(opened: Opened, row: Instance, lines: int, error: OSError) -> list[bytes]:
    """What the database kept of a launch whose file is gone. Raises LlamaAgentError."""
    with reading(opened) as db:
        text = LogStore(db).tail(row.id)
    if text is None:
        gone = isinstance(error, FileNotFoundError)
        what = "is gone" if gone else f"cannot be read ({error.strerror})"
        raise LlamaAgentError(f"the log of launch {row.id} {what}: {row.log_path}") from error
    kept = [f"{line}\n".encode() for line in text.splitlines()]
    return kept[-lines:] if lines else []


def launch_of(values: Values, opened: Opened) -> Instance | None:
    """The launch that is meant: --instance, else the newest, with --previous the one before it."""
    with reading(opened) as db:
        store = InstanceStore(db)
        number = values.number("instance")
        name = one_name(values.text("name") or "", known_names(opened, db))
        every = store.of_profile(name, 1000)
        launches = [row for row in every if row.log_path is not None]
        if every and every[0].status in st.LIVE and every[0].log_path is None and number is None:
            raise LlamaAgentError(
                f"{name} was not launched from here, and where its server logs is not known"
            )
    if number is not None:
        found = next((row for row in launches if row.id == number), None)
        if found is None:
            raise UsageError(f"{name} has no launch {number}", hint=f"llamaagent history {name}")
        return found
    skip = 1 if values.flag("previous") else 0
    return launches[skip] if len(launches) > skip else None


def write(data: bytes) -> None:
    """Server output as it is, without what would steer a terminal."""
    text = data.decode("utf-8", "replace")
    if sys.stdout.isatty():
        text = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    sys.stdout.write(text)
    sys.stdout.flush()
