"""`run` without --once: a pass every interval on a steady clock, for a supervisor to keep alive.

Whatever fails in a pass is said once and tried again on the next beat: a settings file that is gone, a database
that was moved away, a disk that is full. Only what is wrong at the very start ends the loop.
"""

from __future__ import annotations

import os
import signal

from llamaagent.base.errors import LlamaAgentError, LockHeldError
from llamaagent.base.sdnotify import manager
from llamaagent.cli.listening import Listening
from llamaagent.cli.output import say
from llamaagent.cli.publishing import Publisher, backup_is_due
from llamaagent.cli.run import keep_small, load_ready, one_pass
from llamaagent.cli.signals import Signals
from llamaagent.cli.site import Opened, claim, database, load
from llamaagent.domain import instance as st
from llamaagent.launch.process import bury
from llamaagent.store.errors import translate
from llamaagent.store.locks import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.backing import Keeper
    from llamaagent.cli.notifying import Courier
    from llamaagent.cli.spec import Values
    from llamaagent.reconcile.passes import PassResult
    from llamaagent.store.types import Connection

_LOCK_WAIT_S = 30.0


def loop(values: Values) -> int:
    """Pass until SIGTERM or SIGINT. SIGHUP reloads and SIGUSR1 passes at once (both: the next pass is now)."""
    signals = Signals()
    opened = load_ready(values)
    with Lock(opened.database, "agent").take(opened.clock):
        agent = Agent(values, opened)
        with database(opened, write=True) as db:  # what is wrong now is for a person to put right
            claim(db, opened)
            agent.tell_manager("READY=1", "STATUS=the first pass is on")
            agent.rounds(db, signals)
        while not signals.ending:
            agent.reopen(signals)
        agent.tell_manager("STOPPING=1")
        agent.finish()
        if values.flag("stop_instances"):
            with database(opened, write=True) as db:
                _stop_all(agent.opened, db)
    return 0


class Agent:
    """What the loop knows from one pass to the next."""

    def __init__(self, values: Values, opened: Opened) -> None:
        self.opened = opened
        self.due = opened.clock.monotonic()
        self._values = values
        self._told: dict[str, str] = {}
        self._publisher = Publisher()
        self._courier: Courier | None = None
        self._keeper: Keeper | None = None
        self._listening = Listening()
        self._manager = manager(os.environ, os.getpid())

    def rounds(self, db: Connection, signals: Signals) -> None:
        """Pass on each beat until the end is asked for, or the database has to be opened anew."""
        while not signals.ending and self.one_round(db):
            self.wait(signals)

    def reopen(self, signals: Signals) -> None:
        """Open the database again, where it is now or as a new one; what hinders that is tried on the next beat."""
        trouble = ""
        try:
            with database(self.opened, write=True) as db:
                claim(db, self.opened)
                self._say_once("database", "")
                self.rounds(db, signals)
        except (LlamaAgentError, OSError) as error:
            trouble = f"the database cannot be used: {error}"
        self._say_once("database", trouble)
        if trouble:
            self._next_beat()
            self.wait(signals)

    def one_round(self, db: Connection) -> bool:
        """One pass, whose failure is told and survived; False when the database has to be opened anew."""
        trouble = ""
        usable = True
        try:
            usable = self._pass(db)
        except (LlamaAgentError, OSError) as error:
            trouble = f"this pass was left out: {error}"
        if trouble or usable:
            self._say_once("pass", trouble)
        bury()
        if usable:
            self._next_beat()
        return usable

    def _pass(self, db: Connection) -> bool:
        """The pass and what follows it; False when the file is no longer where it was."""
        from llamaagent.store.connect import forsake, has_moved

        with translate(self.opened.database):
            with Lock(self.opened.database, "pass").take(self.opened.clock, _LOCK_WAIT_S):
                if has_moved(db):
                    forsake(db)
                    return False
                told = self._pull()
                self._reload()  # under the lock: what was read before a long wait may be old
                self._listening.beat(self.opened, db)
                result = one_pass(self._values, self.opened, db, pull_trouble=told)
            keep_small(self.opened, db, result)
            self._publisher.beat(self._values, self.opened, db, result.shortage)
            self._notify(db)
            self._back_up(db, result)
        self._report_status(result)
        return True

    def _notify(self, db: Connection) -> None:
        settings = self.opened.site.settings
        if settings.notify_command is None and settings.ping is None:
            return
        if self._courier is None:
            from llamaagent.cli.notifying import Courier

            self._courier = Courier()
        good = not any(fault.severity == "error" for fault in self.opened.site.faults)
        self._courier.beat(self.opened, db, good=good)

    def _back_up(self, db: Connection, result: PassResult) -> None:
        due = backup_is_due(self.opened, db, result.shortage)
        if self._keeper is None and due:
            from llamaagent.cli.backing import Keeper

            self._keeper = Keeper()
        if self._keeper is not None:
            self._keeper.beat(self.opened, db, due=due)

    def finish(self) -> None:
        """Wait for a notification that is being sent, at most as long as one may take."""
        self._listening.finish()
        if self._courier is not None:
            self._courier.finish(self.opened.site.settings.notify_timeout_s + 1.0)

    def wait(self, signals: Signals) -> None:
        """Until the next beat is due or a signal comes, feeding the manager's watchdog meanwhile."""
        clock = self.opened.clock
        often = self._manager.watchdog_s if self._manager is not None else None
        while True:
            if often is not None:
                self.tell_manager("WATCHDOG=1")
            left = self.due - clock.monotonic()
            came = signals.wait(left if often is None else min(left, often))
            if signal.SIGHUP in came:
                self.tell_manager("RELOADING=1", f"MONOTONIC_USEC={int(clock.monotonic() * 1e6)}")
                self._reload()
                self.tell_manager("READY=1")
            if came or clock.monotonic() >= self.due:
                return

    def tell_manager(self, *lines: str) -> None:
        """A message to systemd, when it wants any."""
        if self._manager is not None:
            self._manager.tell(*lines)

    def _report_status(self, result: PassResult) -> None:
        if self._manager is None:
            return
        running = sum(1 for row in result.rows if row.status == st.RUNNING)
        declared = sum(1 for profile in result.declared.profiles.values() if profile.state == "running")
        self.tell_manager(f"STATUS={running} running, {declared} declared to run")

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
        except (LlamaAgentError, OSError) as error:
            trouble = f"{error}; the settings from before stay in force"
        else:
            if not found.site.settings_ok:
                trouble = "\n".join(str(fault) for fault in found.site.faults)
            elif (found.database, found.site_path) != (self.opened.database, self.opened.site_path):
                trouble = "another database or settings file needs a new start of the loop"
            else:
                self.opened = found._replace(clock=self.opened.clock)
        self._say_once("settings", trouble)

    def _say_once(self, about: str, trouble: str) -> None:
        """Say a trouble when it appears or changes, not on every pass."""
        if trouble and trouble != self._told.get(about):
            say(trouble)
        self._told[about] = trouble

    def _next_beat(self) -> None:
        self.due = next_beat(self.due, self.opened.site.settings.interval_s, self.opened.clock.monotonic())


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

    try:
        with Lock(opened.database, "pass").take(opened.clock, _LOCK_WAIT_S):
            stop_everything(context(opened, db))
    except LockHeldError as error:
        raise LockHeldError(f"nothing was stopped: {error}", hint="llamaagent stop --all") from error
