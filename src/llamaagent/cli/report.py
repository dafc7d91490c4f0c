"""`report build`: write the static site, drawn by a child process; and what is run after it."""

from __future__ import annotations

import json
import os
import shlex

from llamaagent.base.errors import StorageError
from llamaagent.cli.output import say
from llamaagent.cli.site import load, need_database

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.base.run import Result
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.report.scope import Scope

_DEADLINE_S = 600.0
_OWED = ".llamaagent-after"  # lies in the site while `reports.after` has not been done for what it shows


def where(opened: Opened, out: str | None = None) -> tuple[str, bool]:
    """(folder, public): the settings' folder is meant for a web server, the default one is private."""
    if out is not None:
        return os.path.abspath(out), True
    directory = opened.site.settings.reports.directory
    return (directory, True) if directory is not None else (opened.places.report, False)


def command(
    opened: Opened,
    out: str | None = None,
    *,
    pictures: str = "all",
    scope: Scope | None = None,
    single_file: str | None = None,
) -> tuple[str, ...]:
    """The command line of the child that builds the site."""
    from llamaagent.report.child import child_argv
    from llamaagent.report.choices import Choices
    from llamaagent.report.scope import WHOLE
    from llamaagent.retain.prune import periods

    reports = opened.site.settings.reports
    folder, public = where(opened, out)
    return child_argv(
        opened.database,
        folder,
        public=public,
        title=reports.title,
        cache_directory=os.path.join(opened.places.cache, "matplotlib"),
        choices=Choices(
            logo=reports.logo,
            links=reports.links,
            sections=reports.sections,
            templates=reports.templates,
            keep_s=reports.keep_s,
            pictures=pictures,
            scope=scope or WHOLE,
            single_file=single_file,
            kept=periods(opened.site.settings),
            every_s=reports.every_s,
        ),
    )


def environment() -> dict[str, str]:
    """Ours, and this very package, so that a checkout's child finds it."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH")))),
    }


def build(values: Values) -> int:
    """Build the site now and say where it is: on stdout the path, on stderr the rest."""
    from llamaagent.base.run import run
    from llamaagent.cli.reportscope import check_place, choose_scope

    opened = load(values)
    need_database(opened)
    out, single = values.text("out"), values.text("single_file")
    scope = choose_scope(values, opened)
    check_place(scope, out, single, where(opened)[0])
    argv = command(
        opened,
        out,
        pictures=values.text("pictures") or "all",
        scope=scope,
        single_file=None if single is None else os.path.abspath(single),
    )
    result = run(argv, deadline_s=_DEADLINE_S, max_output_bytes=1 << 20, env=environment(), cwd="/")
    if result.timed_out:
        raise StorageError(f"the report was not finished within {_DEADLINE_S:.0f} s")
    errors = result.err.decode("utf-8", "replace").strip()
    if errors:
        say(errors)
    if result.code != 0:
        return result.code
    told = json.loads(result.out)
    if not values.flag("quiet"):
        pages = "1 page" if told["pages"] == 1 else f"{told['pages']} pages"
        say(f"{pages}, {told['charts']} charts with pictures, {float(told['seconds']):.1f} s")
    if out is None and single is None:
        failure = run_after(opened, result, float(opened.site.settings.reports.after_timeout_s))
        if failure is not None:
            say(failure)
    shut = None if single is not None or values.flag("quiet") else say_shut(opened, out)
    if shut is not None:
        say(shut)
    print(f"file://{told['path']}" if values.flag("open") else told["path"])
    return 0


def run_after(opened: Opened, result: Result, limit_s: float) -> str | None:
    """Run `reports.after` in the site's folder when it changed, or when it failed before; what went wrong, or None.

    limit_s: then it is ended, with all that it started. The command is the shell's and sees LLAMAAGENT_SITE.
    """
    words = opened.site.settings.reports.after
    if words is None or result.code != 0:
        return None
    from llamaagent.base.run import run

    folder = where(opened)[0]
    owed = os.path.join(folder, _OWED)
    if json.loads(result.out)["written"]:
        with open(owed, "wb"):
            pass
    if not os.path.exists(owed):
        return None
    if limit_s <= 0:
        return "reports.after was left to the next report: this one took all the time there was"
    env = {**os.environ, "LLAMAAGENT_SITE": folder}
    done = run(("/bin/sh", "-c", words), deadline_s=limit_s, max_output_bytes=65536, env=env, cwd=folder)
    if done.code == 0:
        os.unlink(owed)
        return None
    if done.timed_out:
        return f"reports.after was ended: it took more than {limit_s:.0f} s"
    said = done.err.decode("utf-8", "replace").strip()[-300:]
    return f"reports.after ended with {done.code}{': ' if said else ''}{said}"


def say_shut(opened: Opened, out: str | None = None) -> str | None:
    """The line that says how a site that is meant for a web server becomes readable by it; None when it is."""
    folder, public = where(opened, out)
    shut = first_shut(folder) if public else None
    return None if shut is None else f"a web server cannot read the site: chmod o+x {shlex.quote(shut)}"


def first_shut(folder: str) -> str | None:
    """The highest folder on the way that others may not pass; None when there is none."""
    parts = os.path.abspath(folder).split(os.sep)
    for length in range(1, len(parts) + 1):
        path = os.sep.join(parts[:length]) or os.sep
        if not os.stat(path).st_mode & 0o001:
            return path
    return None
