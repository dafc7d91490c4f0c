"""`open_store`: which database, and whether to use one at all, by arguments and environment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from llamaagent.base.clock import SystemClock
from llamaagent.base.paths import places
from llamaagent.config.environment import process_switches
from llamaagent.library.link import connect, in_memory, warn, without
from llamaagent.library.store import Store

if TYPE_CHECKING:
    from llamaagent.base.clock import Clock

_BUSY_TIMEOUT_S = 5.0


def open_store(
    path: str | os.PathLike[str] | None = None,
    enabled: bool = True,
    *,
    log_level: str | None = None,
    busy_timeout_s: float = _BUSY_TIMEOUT_S,
) -> Store:
    """Open the database for a program; made when it is not there, brought up to date when it is older.

    path: default `LLAMAAGENT_DB_PATH`, else llamaagent's own place. enabled: False, or `LLAMAAGENT_DB_ENABLED=0`,
    gives a store that keeps nothing and finds nothing. log_level: what is below is not stored (default
    `LLAMAAGENT_LOG_LEVEL`, else INFO); `LLAMAAGENT_LOG_TO_DB=0` stores no lines at all. busy_timeout_s: how long to
    wait for another program that is writing.

    A database that cannot be had is no error: one that may not be written is only read, else everything is kept in
    memory until the program ends; `Store.kind` tells which, `Store.problem` why, and the logger
    `llamaagent.library` warns once.
    """
    switches = process_switches(os.environ, lambda _variable, text: warn(f"{text}; it is left out"))
    file = os.path.abspath(os.fspath(path)) if path is not None else places(os.environ).database
    if enabled and switches.get("db_enabled", True):
        link = connect(file, busy_timeout_ms=round(busy_timeout_s * 1000))
    else:
        link = without()
    return Store(
        file,
        link,
        SystemClock(),
        log_level=log_level or str(switches.get("log_level", "INFO")),
        log_to_db=bool(switches.get("log_to_db", True)),
    )


def store_at(path: str, *, enabled: bool, there: bool, told: bool, clock: Clock) -> Store:
    """The store of a site whose database is at path, for a command that is no pass.

    there: False gives a store in memory and, unless the user was told, one warning: nothing is made where a pass would
    look for more.
    """
    if not enabled:
        link = without()
    elif there:
        link = connect(path, busy_timeout_ms=round(_BUSY_TIMEOUT_S * 1000))
    else:
        link = in_memory(f"no database at {path}", told=told)
    return Store(path, link, clock, log_level="INFO", log_to_db=False)
