"""`db backup` and `db restore`: copies of the database, out and in."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import ExitStack, contextmanager

from llamaagent.base.errors import NOT_FINE, LockHeldError, UsageError
from llamaagent.cli.output import emit_object, say
from llamaagent.cli.run import refuse_broken_settings
from llamaagent.cli.site import database, load
from llamaagent.store.errors import translate
from llamaagent.store.locks import Lock
from llamaagent.store.samples import SampleStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.store.copying import Progress

_PASS_WAIT_S = 12.0  # a pass takes ten seconds at most


def backup(values: Values) -> int:
    """Copy the database while it is in use, and print where."""
    from llamaagent.store.backup import back_up_in_turn, back_up_into, back_up_to, folder_of

    opened = load(values, need_settings=False)
    refuse_broken_settings(opened)
    settings, target = opened.site.settings, values.text("file")
    now = opened.clock.now()
    with (
        database(opened, write=True, create=False) as db,
        Lock(opened.database, "backup").take(opened.clock),
        _progress(values, "copying") as told,
    ):
        if target is None:
            folder = folder_of(opened.database, settings.backup_directory)
            keep, every = settings.backup_keep, settings.backup_every_s
            made = back_up_in_turn(db, folder, now, keep=keep, every_s=every, told=told)
        elif os.path.isdir(target):
            made = back_up_into(db, os.path.abspath(target), now, told=told)
        else:
            made = back_up_to(db, target, now, told)
    if values.flag("json"):
        emit_object(made._asdict())
        return 0
    print(made.path)
    if not values.flag("quiet"):
        for path in made.removed:
            say(f"removed {path}")
    return 0


def restore(values: Values) -> int:
    """Make the database what a backup is; what it replaces stays beside it."""
    from llamaagent.store.restore import restore as put_back

    opened = load(values, need_settings=False)
    refuse_broken_settings(opened)
    source = values.text("file")
    if source is None:
        raise UsageError("no backup is named", hint=_newest_backup(opened))
    source = os.path.abspath(source)
    if not agreed(values, f"replace {opened.database} by {source}? It stays, under another name."):
        return NOT_FINE
    with _alone(opened):
        with translate(opened.database), _progress(values, "copying") as told:
            aside = put_back(source, opened.database, opened.clock.now(), told)
        if aside is not None:
            say(f"the one from before: {aside}")
        with database(opened, write=True, create=False) as db:
            samples = SampleStore(db)
            with db:
                samples.log("info", "restore", f"restored from {source}", opened.clock.now(), "backup")
            if opened.site_path:
                _warn_of_site(opened, samples.metadata("site"))
    print(opened.database)
    return 0


@contextmanager
def _alone(opened: Opened) -> Iterator[None]:
    """Neither a loop nor a pass nor a backup is on, and none begins. Raises LockHeldError."""
    with ExitStack() as held:
        try:
            held.enter_context(Lock(opened.database, "agent").take(opened.clock))
        except LockHeldError as error:
            raise LockHeldError(
                f"a loop runs and nothing was restored: {error}",
                hint="stop it first (SIGTERM; the servers stay)",
            ) from error
        held.enter_context(Lock(opened.database, "pass").take(opened.clock, _PASS_WAIT_S))
        held.enter_context(Lock(opened.database, "backup").take(opened.clock, _PASS_WAIT_S))
        yield


def _newest_backup(opened: Opened) -> str:
    from llamaagent.store.backup import backups_in, folder_of

    folder = folder_of(opened.database, opened.site.settings.backup_directory)
    found = backups_in(folder, opened.database)
    return f"llamaagent db restore {shlex.quote(found[-1][0])}" if found else f"there are none in {folder}"


def _warn_of_site(opened: Opened, stored: str | None) -> None:
    site = json.loads(stored)["path"] if stored is not None else None
    if site not in {None, opened.site_path}:
        say(f"it belongs to the site {site}; to make it this one's: llamaagent db adopt-site")


def agreed(values: Values, question: str) -> bool:
    """Ask, unless --yes was given. Raises UsageError where there is nobody to ask."""
    if values.flag("yes"):
        return True
    if not (sys.stdin and sys.stdin.isatty()):
        raise UsageError("nobody can be asked here, so nothing was changed", hint="--yes does it")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return True
    say("nothing was changed")
    return False


@contextmanager
def _progress(values: Values, doing: str) -> Iterator[Progress | None]:
    """A line on a terminal that says how far it is, and nothing anywhere else."""
    if values.flag("quiet") or not sys.stderr.isatty():
        yield None
        return

    def told(done: int, pages: int) -> None:
        percent = 100 * done // max(1, pages)
        print(f"\r\033[K{doing} {percent} % of {pages} pages", end="", file=sys.stderr, flush=True)

    try:
        yield told
    finally:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
