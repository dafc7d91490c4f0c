"""`run` without --once: a pass every interval on a steady clock, for a supervisor to keep alive."""

from __future__ import annotations

import os
import select
import signal

from llamaagent.cli.output import say
from llamaagent.cli.run import one_pass, publish, refuse_broken_settings
from llamaagent.cli.site import Opened, claim, database, load
from llamaagent.launch.process import bury
from llamaagent.store.locks import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from llamaagent.cli.spec import Values
    from llamaagent.store.types import Connection

_LOCK_WAIT_S = 30.0
_WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class _Signals:
    """Signals as bytes in a pipe, so that a wait for the next pass ends at once and none is lost."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.ending = False
        for number in _WATCHED:
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number in {signal.SIGTERM, signal.SIGINT}:
            self.ending = True
        os.write(self._write, b"x")

    def wait(self, seconds: float) -> bool:
        """Wait for a signal at most so long; True when one came."""
        ready, _, _ = select.select([self._read], [], [], max(0.0, seconds))
        if ready:
            os.read(self._read, 4096)
        return bool(ready)


def loop(values: Values) -> int:
    """Pass until SIGTERM or SIGINT. SIGHUP reloads and SIGUSR1 passes at once (both: the next pass is now)."""
    signals = _Signals()
    opened = load(values)
    refuse_broken_settings(opened)
    with database(opened, write=True) as db, Lock(opened.database, "agent").take(opened.clock):
        claim(db, opened)
        due = opened.clock.monotonic()
        while not signals.ending:
            opened = _reload(values, opened)
            _pass(values, opened, db)
            bury()
            due = _next(due, opened)
            signals.wait(due - opened.clock.monotonic())
        if values.flag("stop_instances"):
            _stop_all(opened, db)
    return 0


def _reload(values: Values, before: Opened) -> Opened:
    """Read what changed; broken settings keep the last good ones in force."""
    found = load(values)
    if found.site.settings_ok and found.database == before.database:
        return found
    for fault in found.site.faults:
        say(str(fault))
    return before


def _pass(values: Values, opened: Opened, db: Connection) -> None:
    from llamaagent.base.errors import LockHeldError, StoreBusyError

    try:
        with Lock(opened.database, "pass").take(opened.clock, _LOCK_WAIT_S):
            one_pass(values, opened, db)
    except (LockHeldError, StoreBusyError) as error:
        say(f"this pass was left out: {error}")
        return
    publish(values, opened, db)


def _next(due: float, opened: Opened) -> float:
    """The next beat of the steady clock; beats that were missed are skipped, not made up for."""
    interval = max(1, opened.site.settings.interval_s)
    now = opened.clock.monotonic()
    due += interval
    if due < now:
        due += (now - due) // interval * interval + interval
    return due


def _stop_all(opened: Opened, db: Connection) -> None:
    """--stop-instances: stop what runs, without recording an operator's wish."""
    from llamaagent.cli.site import context
    from llamaagent.reconcile.passes import stop_everything

    with Lock(opened.database, "pass").take(opened.clock, _LOCK_WAIT_S):
        stop_everything(context(opened, db))
