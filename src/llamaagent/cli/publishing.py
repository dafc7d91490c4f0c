"""The report when it is due, drawn by a child: waited for by a pass of cron's, never by the loop."""

from __future__ import annotations

from llamaagent.cli.output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Thread

    from llamaagent.base.run import Result
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.collect.disk import Shortage
    from llamaagent.store.types import Connection

_WAIT_S = 60.0
_WORDS_KEPT = 500
_SHUT = "report_shut"  # what was said of a site that a web server cannot read


def publish(values: Values, opened: Opened, db: Connection, shortage: Shortage | None = None) -> None:
    """Build the report if it is due; at most a minute is spent waiting for it.

    shortage: the room on the disks; the report is the first that is given up when they are short.
    """
    argv = _take_turn(values, opened, db, shortage)
    if argv is not None:
        begin = opened.clock.monotonic()
        result = _build(argv)
        _tell(opened, db, result)
        _tell_after(opened, db, _after(opened, result, _WAIT_S - (opened.clock.monotonic() - begin)))


class Publisher:
    """The same for the loop: the child is started on one beat and its end looked at on a later one."""

    def __init__(self) -> None:
        self._thread: Thread | None = None
        self._result: Result | None = None
        self._failure: str | None = None

    def beat(self, values: Values, opened: Opened, db: Connection, shortage: Shortage | None = None) -> None:
        """Collect a build that has ended, start one that is due. Takes no time."""
        if self._thread is not None:
            if self._thread.is_alive():
                return
            self._thread = None
            if self._result is not None:
                _tell(opened, db, self._result)
                _tell_after(opened, db, self._failure)
        argv = _take_turn(values, opened, db, shortage)
        if argv is None:
            return
        from threading import Thread

        # Only the waiting is done in the thread: it touches neither the database nor anything of ours.
        self._thread = Thread(target=self._wait, args=(opened, argv), daemon=True)
        self._thread.start()

    def _wait(self, opened: Opened, argv: tuple[str, ...]) -> None:
        self._failure = None
        self._result = _build(argv)
        self._failure = _after(opened, self._result, float(opened.site.settings.reports.after_timeout_s))


def backup_is_due(opened: Opened, db: Connection, shortage: Shortage | None) -> bool:
    """Whether to look into a backup after this pass; one more of a time far ahead was due before the clock was set.

    On a short disk it waits.
    """
    every = opened.site.settings.backup_every_s
    if every is None or (shortage is not None and shortage.is_short()):
        return False
    from llamaagent.store.samples import SampleStore

    stored = SampleStore(db).metadata("backup_next_ts")
    return stored is None or not 0 < int(stored) - opened.clock.now() <= every


def _take_turn(
    values: Values, opened: Opened, db: Connection, shortage: Shortage | None
) -> tuple[str, ...] | None:
    """The command line of the child when a report is due, which is noted: it will not be due again at once."""
    every = opened.site.settings.reports.every_s
    if every is None or values.flag("no_report") or (shortage is not None and shortage.is_short()):
        return None
    from llamaagent.store.samples import SampleStore

    samples = SampleStore(db)
    last = samples.metadata("report_ts")
    now = opened.clock.now()
    if last is not None and 0 <= now - int(last) < every:
        return None
    with db:
        samples.set_metadata("report_ts", str(now), now)
    from llamaagent.cli.report import command

    return command(opened, pictures="due")


def _build(argv: tuple[str, ...]) -> Result:
    from llamaagent.base.run import run
    from llamaagent.cli.report import environment

    return run(argv, deadline_s=_WAIT_S, max_output_bytes=65536, env=environment(), cwd="/")


def _tell(opened: Opened, db: Connection, result: Result) -> None:
    """Say and record that a build failed; one that did not is no news, unless nobody can see it."""
    if result.code == 0:
        _tell_shut(opened, db)
        return
    from llamaagent.store.samples import SampleStore

    words = result.err.decode("utf-8", "replace").strip()[-_WORDS_KEPT:]
    reason = "it took too long" if result.timed_out else words
    say(f"the report was not built: {reason}")
    with db:
        SampleStore(db).log("error", "report", f"not built: {reason}", opened.clock.now(), "report")


def _tell_shut(opened: Opened, db: Connection) -> None:
    """Say and record once that a web server cannot read the site: when that begins, and when the reason changes."""
    from llamaagent.cli.report import say_shut
    from llamaagent.store.samples import SampleStore

    samples, now = SampleStore(db), opened.clock.now()
    shut = say_shut(opened)
    if shut == samples.metadata(_SHUT):
        return
    with db:
        if shut is None:
            samples.delete_metadata(_SHUT)
        else:
            samples.set_metadata(_SHUT, shut, now)
            samples.log("warning", "report", shut, now, "report")
    if shut is not None:
        say(shut)


def _after(opened: Opened, result: Result, limit_s: float) -> str | None:
    """Run `reports.after` when the site changed; what went wrong, or None. limit_s: no longer than that."""
    from llamaagent.cli.report import run_after

    return run_after(opened, result, min(limit_s, opened.site.settings.reports.after_timeout_s))


def _tell_after(opened: Opened, db: Connection, failure: str | None) -> None:
    """Say and record that the command after a report failed."""
    if failure is None:
        return
    from llamaagent.store.samples import SampleStore

    say(failure)
    with db:
        SampleStore(db).log("error", "report", failure, opened.clock.now(), "report")
