"""The backup when `backup.every` says so: made by a child after a pass, waited for by cron's, never by the loop.

Before the child starts, the next try is noted for an hour later; a child that succeeds notes the real time. So a
backup that is killed or fails is tried again, and two passes do not both make one.
"""

from __future__ import annotations

import json
import sys

from llamaagent.base.errors import TRY_AGAIN
from llamaagent.domain.backups import RETRY_S
from llamaagent.store.backup import NEXT, TROUBLE
from llamaagent.store.samples import SampleStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Thread

    from llamaagent.base.run import Result
    from llamaagent.cli.site import Opened
    from llamaagent.store.types import Connection

_WAIT_S = 1800.0
_WORDS_KEPT = 500
_FULL = ("no space", "over a quota", "size limit")


def back_up(opened: Opened, db: Connection) -> None:
    """Make the backup that is due, and wait for it."""
    argv = _take_turn(opened, db)
    if argv is not None:
        _keep(opened, db, _make(argv))


class Keeper:
    """The same for the loop: the child is started on one beat and its end looked at on a later one."""

    def __init__(self) -> None:
        self._thread: Thread | None = None
        self._result: Result | None = None

    def beat(self, opened: Opened, db: Connection, *, due: bool) -> None:
        """Collect a backup that has ended, start one that is due. Takes no time."""
        if self._thread is not None:
            if self._thread.is_alive():
                return
            self._thread = None
            if self._result is not None:
                _keep(opened, db, self._result)
        argv = _take_turn(opened, db) if due else None
        if argv is None:
            return
        from threading import Thread

        # Only the waiting is done in the thread: it touches neither the database nor anything of ours.
        self._thread = Thread(target=self._wait, args=(argv,), daemon=True)
        self._thread.start()

    def _wait(self, argv: tuple[str, ...]) -> None:
        self._result = _make(argv)


def _take_turn(opened: Opened, db: Connection) -> tuple[str, ...] | None:
    """The command line of the child, once the turn is noted. The very first backup comes one period from now."""
    every = opened.site.settings.backup_every_s
    if every is None:
        return None
    samples = SampleStore(db)
    first = samples.metadata(NEXT) is None
    now = opened.clock.now()
    with db:
        samples.set_metadata(NEXT, str(now + (every if first else min(every, RETRY_S))), now)
    if first:
        return None
    settings = opened.site.settings.file
    given = () if settings is None else (f"--config={settings}",)
    return (sys.executable, "-P", "-m", "llamaagent", "db", "backup", "-q", *given, f"--db={opened.database}")


def _make(argv: tuple[str, ...]) -> Result:
    from llamaagent.base.run import run
    from llamaagent.cli.report import environment

    return run(argv, deadline_s=_WAIT_S, max_output_bytes=65536, env=environment(), cwd="/")


def _keep(opened: Opened, db: Connection, result: Result) -> None:
    """Record a failure; the next pass tells it, once, as any other problem. Success was recorded by the child."""
    if result.code in {0, TRY_AGAIN}:  # another is on: it is not the pass's trouble
        return
    words = result.err.decode("utf-8", "replace").strip()[-_WORDS_KEPT:]
    words = words.partition("\n")[0].removeprefix("llamaagent: ")
    reason = "it took too long" if result.timed_out else words or f"exit status {result.code}"
    event = "disk_low" if any(word in reason for word in _FULL) else "config_broken"
    samples = SampleStore(db)
    now = opened.clock.now()
    with db:
        samples.set_metadata(TROUBLE, json.dumps({"text": reason, "event": event}), now)
        samples.log("error", "backup", f"not made: {reason}", now, "backup")
