"""Which part of the report is asked for, and that it takes the place of nothing."""

from __future__ import annotations

import os

from llamaagent.base.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from llamaagent.cli.site import Opened
    from llamaagent.cli.spec import Values
    from llamaagent.report.scope import Scope
    from llamaagent.store.types import Connection


def choose_scope(values: Values, opened: Opened) -> Scope:
    """What the options say. Raises UsageError for names that nothing bears and a time that cannot be."""
    from llamaagent.cli.history import since
    from llamaagent.cli.site import known_names, matching, reading
    from llamaagent.report.scope import Scope

    now = opened.clock.now()
    begin = since(values, now) if values.text("since") else None
    end = since(values, now, "until") if values.text("until") else None
    if begin is not None and begin >= (now if end is None else end):
        raise UsageError("--since: later than the end of the time that is shown")
    names, project = None, values.text("project")
    if values.many("profile") or project is not None:
        with reading(opened) as db:
            if values.many("profile"):
                names = frozenset(matching(values.many("profile"), known_names(opened, db)))
            if project is not None:
                _check_project(project, opened, db)
    return Scope(names, project, begin, end)


def check_place(scope: Scope, out: str | None, single: str | None, site: str) -> None:
    """Raise UsageError where it is not clear what is to be written where. site: the folder of the whole site."""
    if out is not None and single is not None:
        raise UsageError(
            "-o DIR and --single-file FILE: one of them", hint="a site, or one file instead of it"
        )
    whole = out is None or os.path.realpath(out) == os.path.realpath(site)
    if not scope.whole and single is None and whole:
        raise UsageError(
            "a part of the site would take the place of all of it",
            hint="say where: -o DIR or --single-file FILE" if out is None else f"another folder than {out}",
        )


def _check_project(name: str, opened: Opened, db: Connection) -> None:
    from llamaagent.store.instances import InstanceStore
    from llamaagent.store.quotas import QuotaStore

    known = {"default", *QuotaStore(db).projects()}
    known |= {limits.name for limits in opened.site.settings.projects}
    known |= {profile.project for profile in opened.site.profiles}
    known |= {row.project for row in InstanceStore(db).newest()}
    if name not in known:
        from llamaagent.config.near import nearest

        near = nearest(name, sorted(known))
        raise UsageError(
            f"no project is named {name}",
            hint="llamaagent quota" if near is None else f"did you mean {near}?",
        )
