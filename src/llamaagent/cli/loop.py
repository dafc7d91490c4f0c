"""`run` without --once: a pass every interval on a steady clock, for a supervisor to keep alive."""

from __future__ import annotations

import os
import select
import signal

from llamaagent.base.errors import LlamaAgentError
from llamaagent.cli.output import say
from llamaagent.cli.publishing import Publisher
from llamaagent.cli.run import load_ready, one_pass
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
    opened = load_ready(values)
    with Lock(opened.database, "agent").take(opened.clock):
        agent = _Agent(values, opened)
        while not signals.ending:
            with database(opened, write=True) as db:
                claim(db, opened)
                while not signals.ending and agent.one_round(db):
                    signals.wait(agent.due - opened.clock.monotonic())
        if values.flag("stop_instances"):
            with database(opened, write=True) as db:
                _stop_all(agent.opened, db)
    return 0


class _Agent:
    """What the loop knows from one pass to the next."""

    def __init__(self, values: Values, opened: Opened) -> None:
        self.opened = opened
        self.due = opened.clock.monotonic()
        self._values = values
        self._told: dict[str, str] = {}
        self._publisher = Publisher()

    def one_round(self, db: Connection) -> bool:
        """One pass, whose failure is told and survived; False when the database is no longer where it was."""
        from llamaagent.store.connect import forsake, has_moved
        from llamaagent.store.errors import translate

        trouble = ""
        try:
            with translate(self.opened.database):
                with Lock(self.opened.database, "pass").take(self.opened.clock, _LOCK_WAIT_S):
                    if has_moved(db):
                        forsake(db)
                        return False
                    told = self._pull()
                    self._reload()  # under the lock: what was read before a long wait may be old
                    one_pass(self._values, self.opened, db, pull_trouble=told)
                self._publisher.beat(self._values, self.opened, db)
        except LlamaAgentError as error:
            trouble = f"this pass was left out: {error}"
        self._tell("pass", trouble)
        bury()
        self.due = next_beat(self.due, self.opened.site.settings.interval_s, self.opened.clock.monotonic())
        return True

    def _pull(self) -> str | None:
        """Bring the profiles' work tree up to date, where that is asked for; what to tell of it."""
        if self.opened.site.settings.git_pull == "never":
            return None
        from llamaagent.cli.pulling import pull

        return pull(self.opened).trouble

    def _reload(self) -> None:
        """Read what changed; settings that are broken or gone leave the last good ones in force."""
        trouble = ""
        try:
            found = load(self._values)
        except LlamaAgentError as error:
            trouble = f"{error}; the settings from before stay in force"
        else:
            if not found.site.settings_ok:
                trouble = "\n".join(str(fault) for fault in found.site.faults)
            elif (found.database, found.site_path) != (self.opened.database, self.opened.site_path):
                trouble = "another database or settings file needs a new start of the loop"
            else:
                self.opened = found
        self._tell("settings", trouble)

    def _tell(self, about: str, trouble: str) -> None:
        """Say a trouble when it appears or changes, not on every pass."""
        if trouble and trouble != self._told.get(about):
            say(trouble)
        self._told[about] = trouble


def next_beat(due: float, interval_s: int, now: float) -> float:
    """The next beat of the steady clock: beats that were missed are skipped, a pass between two moves none."""
    interval = max(1, interval_s)
    if now < due:
        return min(due, now + interval)
    return due + ((now - due) // interval + 1) * interval


def _stop_all(opened: Opened, db: Connection) -> None:
    """--stop-instances: stop what runs, without recording an operator's wish."""
    from llamaagent.cli.site import context
    from llamaagent.reconcile.passes import stop_everything

    with Lock(opened.database, "pass").take(opened.clock, _LOCK_WAIT_S):
        stop_everything(context(opened, db))
