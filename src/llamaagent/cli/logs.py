"""`logs`: a server's own output, from its file."""

from __future__ import annotations

import os
import sys

from llamaagent.base.errors import LlamaAgentError, UsageError
from llamaagent.cli.output import say
from llamaagent.cli.site import known_names, load, one_name, reading
from llamaagent.domain import instance as st
from llamaagent.store.instances import InstanceStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.domain.instance import Instance

_BLOCK = 65536
_POLL_S = 0.2
_LOOK_S = 2.0


def run(values: Values) -> int:
    """The last lines; with -f go on, into the log of the next launch too."""
    opened = load(values)
    row = _launch(values, opened)
    if row is None:
        often = "only been launched once" if values.flag("previous") else "not been launched yet"
        raise LlamaAgentError(f"{values.text('name')} has {often}", hint="llamaagent history")
    if row.log_path is None or not os.path.exists(row.log_path):
        raise LlamaAgentError(f"the log of launch {row.id} is gone: {row.log_path}")
    at = _last_lines(row.log_path, values.number("lines") if values.number("lines") is not None else 50)
    if values.flag("follow"):
        _follow(values, opened, row, at)
    return 0


def _launch(values: Values, opened: Opened) -> Instance | None:
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


def _last_lines(path: str, lines: int | None) -> int:
    """Print the last lines and give the offset behind them."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        data = b""
        start = size
        while start > 0 and data.count(b"\n") <= (lines or 0):
            start = max(0, start - _BLOCK)
            file.seek(start)
            data = file.read(size - start)
        kept = data.splitlines(keepends=True)[-lines:] if lines else []
    _write(b"".join(kept))
    return size


def _write(data: bytes) -> None:
    """Server output as it is, without what would steer a terminal."""
    text = data.decode("utf-8", "replace")
    if sys.stdout.isatty():
        text = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    sys.stdout.write(text)
    sys.stdout.flush()


def _follow(values: Values, opened: Opened, row: Instance, at: int) -> None:
    path = row.log_path or ""
    looked = opened.clock.monotonic()
    while True:
        size = os.stat(path).st_size if os.path.exists(path) else 0
        at = 0 if size < at else at
        if size > at:
            with open(path, "rb") as file:
                file.seek(at)
                data = file.read(size - at)
            at += len(data)
            _write(data)
            continue
        if values.number("instance") is None and opened.clock.monotonic() - looked >= _LOOK_S:
            looked = opened.clock.monotonic()
            newest = _launch(values, opened)
            if newest is not None and newest.id != row.id and newest.log_path:
                say(f"--- launch {newest.id} of {row.profile} ---")
                row, path, at = newest, newest.log_path, 0
                continue
        opened.clock.sleep(_POLL_S)
