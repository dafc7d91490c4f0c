"""`run`: one pass for cron, or the loop for a supervisor."""

from __future__ import annotations

from llamaagent.base.errors import BAD_CONFIG, LockHeldError, UsageError
from llamaagent.cli.output import say
from llamaagent.cli.site import claim, context, database, load, matching, need_database
from llamaagent.domain import instance as st
from llamaagent.reconcile.passes import run_pass
from llamaagent.reconcile.problems import declaration, news, problems, remember
from llamaagent.store.locks import Lock
from llamaagent.store.samples import SampleStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.reconcile.passes import PassResult
    from llamaagent.reconcile.problems import News
    from llamaagent.store.types import Connection

_POLL_S = 0.2
_ERRORS = frozenset({"config_broken", "disk_low"})


def run(values: Values) -> int:
    """One pass with --once, else the loop."""
    if values.flag("once"):
        return once(values)
    from llamaagent.cli.loop import loop

    return loop(values)


def once(values: Values) -> int:
    """One pass: quiet when fine, exact when not."""
    opened = load_ready(values)
    patience = timeout_s(values)
    with database(opened, write=True) as db:
        claim(db, opened)
        try:
            lock = Lock(opened.database, "pass").take(opened.clock)
        except LockHeldError as error:
            if values.flag("require_lock"):
                raise
            say(f"another pass is on ({error}); nothing was done")
            return 0
        pull_trouble = None
        with lock:
            if opened.site.settings.git_pull != "never":
                from llamaagent.cli.pulling import pulled

                opened, pull_trouble = pulled(values, opened)
                refuse_broken_settings(opened)
            result = one_pass(values, opened, db, pull_trouble=pull_trouble)
        keep_small(opened, db, result)
        if values.flag("wait"):
            result = _settle(values, opened, db, result, patience, pull_trouble)
        code = BAD_CONFIG if any(fault.severity == "error" for fault in opened.site.faults) else 0
        if opened.site.settings.notify_command is not None or opened.site.settings.ping is not None:
            from llamaagent.cli.notifying import notify

            notify(opened, db, good=code == 0)
        from llamaagent.cli.publishing import backup_is_due, publish

        publish(values, opened, db, result.shortage)
        if backup_is_due(opened, db, result.shortage):
            from llamaagent.cli.backing import back_up

            back_up(opened, db)
    return code


def load_ready(values: Values) -> Opened:
    """The site for a pass. Raises ConfigError for broken settings that not even a pull mends."""
    opened = load(values)
    if not opened.site.settings_ok and opened.site.settings.git_pull != "never":
        from llamaagent.cli.pulling import mended

        opened = mended(values, opened)
    refuse_broken_settings(opened)
    need_database(opened)
    return opened


def refuse_broken_settings(opened: Opened) -> None:
    """Wrong settings mean that nothing may be started or stopped. Raises ConfigError with every fault."""
    if opened.site.settings_ok:
        return
    from llamaagent.base.errors import ConfigError
    from llamaagent.config.load import format_faults

    raise ConfigError(f"the settings are wrong; nothing was touched\n{format_faults(opened.site)}")


def one_pass(
    values: Values, opened: Opened, db: Connection, *, counting: bool = True, pull_trouble: str | None = None
) -> PassResult:
    """One pass under a lock that the caller holds; says what is news. counting: failed probes count."""
    ctx = context(
        opened, db, only=_only(values, opened, db), approved=values.flag("yes") and values.flag("once")
    )
    result = run_pass(ctx._replace(counting=counting))
    found = problems(ctx, result)
    if pull_trouble is not None:
        found["pull"] = declaration(pull_trouble)
    if opened.site.settings.prometheus_textfile is not None:
        from llamaagent.cli.metrics import leave_textfile

        trouble = leave_textfile(opened, db)
        if trouble is not None:
            found["prometheus"] = declaration(trouble)
    told = news(ctx, result, found)
    if not values.flag("quiet"):
        for text in worth_saying(told, opened.site.settings.log_level):
            say(text)
    remember(ctx, told)
    if values.number("verbose") or opened.site.settings.log_level == "DEBUG":
        for action in result.actions:
            say(
                f"{action.kind} {action.profile}: {action.reason}"
                + (f" ({action.detail})" if action.detail else "")
            )
    return result


def worth_saying(told: News, level: str) -> tuple[str, ...]:
    """The lines of at least this level: what is over is info; what is wrong with a server a warning, else an error."""
    if level in {"DEBUG", "INFO"}:
        return told.lines
    if level == "CRITICAL":
        return ()
    wrong = (*told.passed, *told.appeared)
    return tuple(one.text for one in wrong if level == "WARNING" or one.event in _ERRORS)


def keep_small(opened: Opened, db: Connection, result: PassResult) -> None:
    """Roll up and delete what is due, now that all is decided and done and the lock is free for others."""
    settings, short = opened.site.settings, result.shortage
    pressed = short is not None and short.is_short()
    if pressed or SampleStore(db).upkeep_due(settings, opened.clock.now()):
        from llamaagent.retain.upkeep import keep_up

        early = short is not None and short.samples_stop
        keep_up(db, settings, opened.clock, short=pressed, early=early)


def _only(values: Values, opened: Opened, db: Connection) -> frozenset[str] | None:
    """The profiles that this pass is limited to, None = all."""
    names = values.many("name")
    declared = frozenset(profile.name for profile in opened.site.profiles)
    if names:
        from llamaagent.store.instances import InstanceStore

        return matching(names, declared | {row.profile for row in InstanceStore(db).newest()})
    return declared if values.many("profiles") else None


def timeout_s(values: Values) -> float:
    """--timeout in seconds, by default a minute. Raises UsageError."""
    from llamaagent.base.units import UnitError, parse_seconds

    try:
        return float(parse_seconds(values.text("timeout") or "60s"))
    except UnitError as error:
        raise UsageError(f"--timeout: {error}") from error


def _settle(
    values: Values,
    opened: Opened,
    db: Connection,
    result: PassResult,
    patience_s: float,
    pull_trouble: str | None,
) -> PassResult:
    """Pass again until nothing of what the pass is for loads or stops, or the time is over; the last pass's result.

    The lock is free between the passes, for verbs and for others.
    """
    only = _only(values, opened, db)
    until = opened.clock.monotonic() + patience_s
    while opened.clock.monotonic() < until:
        rows = [row for row in result.rows if only is None or row.profile in only]
        if not any(row.status in {st.LOADING, st.STOPPING} for row in rows):
            return result
        opened.clock.sleep(_POLL_S)
        try:
            left = max(0.0, until - opened.clock.monotonic())
            with Lock(opened.database, "pass").take(opened.clock, left):
                result = one_pass(values, opened, db, counting=False, pull_trouble=pull_trouble)
        except LockHeldError:
            return result
    return result
